// Requests without a server.
#include <gtest/gtest.h>

#include "dialog/chat_input.h"
#include "json/parse.h"
#include "json/write.h"
#include "server/protocol/openai_chat/chat_request.h"

namespace mach::server {
namespace {

TEST(ChatRequest, EveryFieldIsNamedOnceAndExplained) {
  std::string names = " ";
  for (const Field& field : ChatFields()) {
    EXPECT_EQ(names.find(" " + std::string(field.name) + " "), std::string::npos) << field.name;
    names += std::string(field.name) + " ";
    EXPECT_FALSE(field.help.empty()) << field.name;
    EXPECT_EQ(field.handling == Handling::kHonoured, field.read != nullptr) << field.name;
  }
}

TEST(ChatRequest, OfAliasesTheNewerNameWins) {
  const auto parsed = ParseChatRequest(
      R"({"repeat_penalty":2,"repetition_penalty":3,"max_tokens":1,"max_completion_tokens":2,)"
      R"("messages":[{"role":"user","content":"x"}]})",
      {});
  const auto& request = std::get<GenerationRequest>(parsed);
  EXPECT_EQ(*request.sampling.repetition_penalty, 3.0);
  EXPECT_EQ(*request.max_tokens, 2u);
}

GenerationRequest ParsedChat(const std::string& extra,
                             std::string_view messages = R"([{"role":"user","content":"x"}])") {
  auto parsed = ParseChatRequest(
      "{" + extra + (extra.empty() ? "" : ",") + R"("messages":)" + std::string(messages) + "}",
      {});
  if (const auto* error = std::get_if<ApiError>(&parsed)) {
    ADD_FAILURE() << extra << ": " << error->message;
    return {};
  }
  return std::get<GenerationRequest>(std::move(parsed));
}

TEST(ChatRequest, MinusOneTokensAreNoLimit) {
  EXPECT_FALSE(ParsedChat(R"("max_tokens":-1)").max_tokens.has_value());
  EXPECT_FALSE(ParsedChat(R"("max_completion_tokens":-1)").max_tokens.has_value());
  EXPECT_EQ(ParsedChat(R"("max_completion_tokens":-1,"max_tokens":3)").max_tokens, 3u);
  EXPECT_EQ(ParsedChat(R"("max_completion_tokens":0)").max_tokens, 0u);
  for (const char* name : {"max_tokens", "max_completion_tokens"}) {
    const auto parsed = ParseChatRequest(
        R"({"messages":[{"role":"user","content":"x"}],")" + std::string(name) + "\":-2}", {});
    ASSERT_TRUE(std::holds_alternative<ApiError>(parsed));
    EXPECT_EQ(std::get<ApiError>(parsed).param, name);
  }
}

TEST(ChatRequest, AToolChoiceIsAWordInEitherForm) {
  const std::string tools = R"("tools":[{"type":"function","function":{"name":"f"}}],)";
  for (const bool object : {false, true}) {
    const auto choose = [&](const std::string& word) {
      return ParsedChat(tools + "\"tool_choice\":" +
                        (object ? "{\"type\":\"" + word + "\"}" : "\"" + word + "\""));
    };
    const GenerationRequest automatic = choose("auto");
    EXPECT_TRUE(automatic.parse_tools);
    EXPECT_FALSE(automatic.force_call);
    const GenerationRequest none = choose("none");
    EXPECT_FALSE(none.parse_tools);
    EXPECT_TRUE(none.chat.tools.empty());
    EXPECT_TRUE(choose("required").force_call);
    EXPECT_TRUE(choose("any").force_call);
  }
  // Anthropic's spelling of a named tool.
  EXPECT_EQ(ParsedChat(tools + R"("tool_choice":{"type":"tool","name":"f"})").forced_function, "f");
}

TEST(ChatRequest, GoesOnWithALastMessageOfTheAssistant) {
  constexpr std::string_view kOpen =
      R"([{"role":"user","content":"x"},{"role":"assistant","content":"y"}])";
  const dialog::ChatInput opened = ParsedChat("", kOpen).chat;
  EXPECT_TRUE(opened.continue_final);
  EXPECT_FALSE(opened.add_generation_prompt);
  EXPECT_TRUE(ParsedChat(R"("continue_final_message":true,"add_generation_prompt":false)", kOpen)
                  .chat.continue_final);
  // Whoever asks for another turn, or for the turn as it is, gets that.
  for (const bool another : {false, true}) {
    const dialog::ChatInput chat =
        ParsedChat(another ? R"("add_generation_prompt":true)" : R"("add_generation_prompt":false)",
                   kOpen)
            .chat;
    EXPECT_FALSE(chat.continue_final);
    EXPECT_EQ(chat.add_generation_prompt, another);
  }
  EXPECT_FALSE(ParsedChat(R"("continue_final_message":false)", kOpen).chat.continue_final);
  // Nothing to go on with.
  EXPECT_TRUE(ParsedChat("").chat.add_generation_prompt);
  EXPECT_TRUE(ParsedChat("", R"([{"role":"user","content":"x"},{"role":"assistant","tool_calls":)"
                             R"([{"function":{"name":"f"}}]}])")
                  .chat.add_generation_prompt);
  const dialog::ChatInput empty =
      ParsedChat("", R"([{"role":"user","content":"x"},{"role":"assistant","content":" "}])").chat;
  EXPECT_TRUE(empty.add_generation_prompt);
  EXPECT_EQ(empty.messages.size(), 1u);
  for (const char* body :
       {R"({"continue_final_message":true,"messages":[{"role":"user","content":"x"}]})",
        R"({"continue_final_message":true,"add_generation_prompt":true,"messages":[)"
        R"({"role":"assistant","content":"x"}]})"}) {
    const auto parsed = ParseChatRequest(body, {});
    ASSERT_TRUE(std::holds_alternative<ApiError>(parsed)) << body;
    EXPECT_EQ(std::get<ApiError>(parsed).param, "continue_final_message");
  }
}

TEST(ChatRequest, NeutralValuesOfUnsupportedParametersAreAccepted) {
  const auto parsed = ParseChatRequest(
      R"({"functions":[],"echo":false,"guided_json":{},"grammar":"","prompt_logprobs":0,)"
      R"("min_tokens":0,"response_format":{"type":"text"},"tool_choice":"auto","tools":[],)"
      R"("messages":[{"role":"user","content":"x"}]})",
      {});
  ASSERT_TRUE(std::holds_alternative<GenerationRequest>(parsed));
  EXPECT_TRUE(std::get<GenerationRequest>(parsed).ignored.empty());
}

TEST(ChatRequest, AllowedToolsAreASubset) {
  const auto parsed = ParseChatRequest(
      R"({"tools":[{"type":"function","function":{"name":"a"}},{"type":"function","function":)"
      R"({"name":"b"}}],"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto",)"
      R"("tools":[{"type":"function","function":{"name":"b"}}]}},)"
      R"("messages":[{"role":"user","content":"x"}]})",
      {});
  const auto& request = std::get<GenerationRequest>(parsed);
  EXPECT_EQ(json::Write(request.chat.tools), R"([{"type":"function","function":{"name":"b"}}])");
  EXPECT_TRUE(request.parse_tools);
}

}  // namespace
}  // namespace mach::server
