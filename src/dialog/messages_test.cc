#include "dialog/messages.h"

#include <gtest/gtest.h>

#include "json/parse.h"
#include "json/write.h"

namespace mach::dialog {
namespace {

std::string Normalized(std::string_view messages) {
  const auto result = NormalizeMessages(*json::Parse(messages), {});
  if (!result) return "error " + result.error().param;
  return json::Write(*result);
}

TEST(NormalizeMessages, GivesTemplatesWhatTheyExpect) {
  const std::pair<const char*, const char*> cases[] = {
      // System and developer messages become one, in front.
      {R"([{"role":"user","content":"a"},{"role":"developer","content":"b"},)"
       R"({"role":"system","content":[{"type":"text","text":"c"}]}])",
       R"([{"role":"system","content":"b\n\nc"},{"role":"user","content":"a"}])"},
      // A line that is new in every request goes, at the very front and from system messages alone.
      {R"([{"role":"system","content":[{"type":"text","text":"x-anthropic-billing-header: )"
       R"(cc_version=2.1.36; cch=a1b2c;"},{"type":"text","text":"b"}]},)"
       R"({"role":"user","content":"x-anthropic-billing-header: c"}])",
       R"([{"role":"system","content":"b"},)"
       R"({"role":"user","content":"x-anthropic-billing-header: c"}])"},
      {R"([{"role":"system","content":"Say x-anthropic-billing-header: cch=1;"},{"role":"user",)"
       R"("content":""}])",
       R"([{"role":"system","content":"Say x-anthropic-billing-header: cch=1;"},)"
       R"({"role":"user","content":""}])"},
      // Parts are joined; unknown keys go.
      {R"([{"role":"user","content":[{"type":"text","text":"a"},{"type":"input_text","text":"b"},)"
       R"("c"],"x":1,"name":"n"}])",
       R"([{"role":"user","content":"a\nb\nc","name":"n"}])"},
      // Content may be null in the assistant's messages, and missing where they say something else.
      {R"([{"role":"assistant","content":null},{"role":"user","content":"a"}])",
       R"([{"role":"assistant","content":""},{"role":"user","content":"a"}])"},
      {R"([{"role":"user","content":"a"},{"role":"assistant"}])", "error messages[1].content"},
      {R"([{"role":"user"}])", "error messages[0].content"},
      {R"([{"role":"user","content":null}])", "error messages[0].content"},
      {R"([{"role":"system"}])", "error messages[0].content"},
      {R"([{"role":"developer","content":null}])", "error messages[0].content"},
      {R"([{"role":"user","content":"a"},{"role":"tool","tool_call_id":"c"}])",
       "error messages[1].content"},
      {R"([{"role":"function","name":"f"}])", "error messages[0].content"},
      {R"([{"role":"assistant","tool_calls":null}])", "error messages[0].content"},
      // Parts that are the assistant's thinking.
      {R"([{"role":"assistant","content":[{"type":"thinking","thinking":"p","signature":"s"},)"
       R"({"type":"redacted_thinking","data":"d"},{"type":"text","text":"a"},)"
       R"({"type":"reasoning","text":"q"},{"type":"reasoning","summary":[{"type":"summary_text",)"
       R"("text":"r"}]},{"type":"text","text":"b"}]}])",
       R"([{"role":"assistant","content":"a\nb","reasoning_content":"p\nq\nr"}])"},
      {R"([{"role":"assistant","reasoning_content":"r","content":[{"type":"thinking",)"
       R"("thinking":"p"}]}])",
       R"([{"role":"assistant","content":"","reasoning_content":"r"}])"},
      {R"([{"role":"user","content":[{"type":"thinking","thinking":"p"}]}])",
       "error messages[0].content[0]"},
      {R"([{"role":"assistant","refusal":"no"}])", R"([{"role":"assistant","content":"no"}])"},
      // Arguments become objects, whatever they were.
      {R"([{"role":"assistant","tool_calls":[{"id":"c1","type":"function","function":)"
       R"({"name":"f","arguments":"{\"a\": 1}"}},{"function":{"name":"g","arguments":""}},)"
       R"({"name":"h","arguments":{"b":2}}]}])",
       R"([{"role":"assistant","content":"","tool_calls":[{"id":"c1","type":"function",)"
       R"("function":{"name":"f","arguments":{"a":1}}},{"type":"function","function":)"
       R"({"name":"g","arguments":{}}},{"type":"function","function":{"name":"h","arguments":)"
       R"({"b":2}}}]}])"},
      // The older spelling of calls and their results.
      {R"([{"role":"assistant","function_call":{"name":"f","arguments":"{}"}},)"
       R"({"role":"function","name":"f","content":"r"}])",
       R"([{"role":"assistant","content":"","tool_calls":[{"type":"function","function":)"
       R"({"name":"f","arguments":{}}}]},{"role":"tool","content":"r","name":"f"}])"},
      // Reasoning, in each of its spellings.
      {R"([{"role":"assistant","content":"a","reasoning":"r"},{"role":"user","content":"u",)"
       R"("reasoning":"x"}])",
       R"([{"role":"assistant","content":"a","reasoning_content":"r"},)"
       R"({"role":"user","content":"u"}])"},
      {R"([{"role":"assistant","reasoning_details":[{"text":"p"},{"text":"q"},{"n":1}]}])",
       R"([{"role":"assistant","content":"","reasoning_content":"pq"}])"},
      {R"([{"role":"assistant","tool_calls":[{"function":{"arguments":"{}"}}]}])",
       "error messages[0].tool_calls[0].function.name"},
      {R"([{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":[]}}]}])",
       "error messages[0].tool_calls[0].function.arguments"},
      {R"([{"role":"user","content":[{"text":"a"}]}])", "error messages[0].content[0].type"},
      {R"([{"role":"user","content":[{"type":"text"}]}])", "error messages[0].content[0].text"},
  };
  for (const auto& [given, expected] : cases) EXPECT_EQ(Normalized(given), expected) << given;
}

TEST(NormalizeMessages, HasALimit) {
  json::Array messages;
  for (int i = 0; i < 4; ++i) {
    messages.push_back(json::Object{{"role", "user"}, {"content", "x"}});
  }
  MessageLimits limits;
  limits.messages = 3;
  EXPECT_FALSE(NormalizeMessages(messages, limits).ok());
  limits.messages = 4;
  EXPECT_TRUE(NormalizeMessages(messages, limits).ok());
}

TEST(RepairArguments, CompletesWhatWasCutOff) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"a": "b)", R"({"a":"b"})"},
      {R"({"a": ["x", {"y": 1)", R"({"a":["x",{"y":1}]})"},
      {R"({"a": "q\"r)", R"({"a":"q\"r"})"},
      {"  ", "{}"},
      {R"({"a": tr)", R"({"raw_arguments":"{\"a\": tr"})"},
      {"[1]", R"({"raw_arguments":"[1]"})"},
      {"]]}}", R"({"raw_arguments":"]]}}"})"},
  };
  for (const auto& [given, expected] : cases) {
    EXPECT_EQ(json::Write(RepairArguments(given)), expected) << given;
  }
}

TEST(NormalizeTools, NestsFlatOnesAndKeepsTheirOrder) {
  const auto result = NormalizeTools(
      *json::Parse(R"([{"type":"function","name":"f","strict":true,"parameters":{"z":1,"a":2}},)"
                   R"({"type":"function","function":{"parameters":null,"name":"g"}}])"),
      {});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(json::Write(*result),
            R"([{"type":"function","function":{"name":"f","strict":true,"parameters":{"z":1,)"
            R"("a":2}}},{"type":"function","function":{"parameters":null,"name":"g"}}])");
}

}  // namespace
}  // namespace mach::dialog
