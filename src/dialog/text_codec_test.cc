#include "dialog/text_codec.h"

#include <atomic>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "json/parse.h"

namespace mach::dialog {
namespace {

constexpr std::string_view kPlain =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}";
constexpr std::string_view kTools =
    "T:{% for t in tools %}{{ t | tojson }}{% endfor %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{# <tool_call> #}{{ '<tool_call>' if false }}";

Result<std::shared_ptr<const Codec>> Make(std::string_view plain, std::string_view with_tools,
                                          bool wants_tools, json::Value config) {
  static const SystemClock clock;
  std::ifstream file(std::string(MACH_SOURCE_DIR) + "/models/mach-tiny/tokenizer.json");
  std::ostringstream text;
  text << file.rdbuf();
  return MakeTextCodec(
      {text.str(), std::string(plain), std::string(with_tools), wants_tools, std::move(config)},
      clock);
}

std::shared_ptr<const Codec> CodecWith(std::string_view plain, std::string_view with_tools,
                                       bool wants_tools = false,
                                       json::Value config = json::Object()) {
  auto made = Make(plain, with_tools, wants_tools, std::move(config));
  EXPECT_TRUE(made.ok()) << made.error().message;
  return *made;
}

ChatInput Question(bool with_tool, std::string text = "What is find_it?") {
  ChatInput chat;
  chat.messages = {json::Object{{"role", "user"}, {"content", std::move(text)}}};
  if (with_tool) {
    chat.tools = json::Parse(R"([{"type":"function","function":{"name":"find_it"}}])")->AsArray();
  }
  return chat;
}

TEST(TextCodec, TheTokenizersFilesNameTheEnd) {
  const auto ends = [](const char* config) {
    return CodecWith(kPlain, "", false, *json::Parse(config))->end_tokens();
  };
  const std::vector<TokenId> im_end{2};
  EXPECT_EQ(ends(R"({"eos_token":"<|im_end|>"})"), im_end);
  EXPECT_EQ(ends(R"({"eos_token":{"content":"<|im_end|>","special":true}})"), im_end);
  EXPECT_TRUE(ends("{}").empty());
  EXPECT_TRUE(ends(R"({"eos_token":null})").empty());
  EXPECT_TRUE(ends(R"({"eos_token":"<|no such token|>"})").empty());
}

TEST(TextCodec, NamedTokensOfAnotherTypeAreRefused) {
  const auto error = [](const char* config) {
    const auto made = Make(kPlain, "", false, *json::Parse(config));
    return made.ok() ? "" : made.error().message;
  };
  EXPECT_EQ(error("[]"), "tokenizer_config.json: holds array, expected a JSON object");
  for (const char* odd : {"1", "true", "[\"a\"]", "{}", "{\"content\":1}", "{\"content\":null}"}) {
    for (const std::string key : {"bos_token", "eos_token", "pad_token", "unk_token"}) {
      const std::string message = error(("{\"" + key + "\":" + odd + "}").c_str());
      EXPECT_TRUE(message.starts_with("tokenizer_config.json: '" + key + "' is of type "))
          << odd << ": " << message;
    }
  }
}

TEST(TextCodec, CancelledCallsGiveNothing) {
  const auto codec = CodecWith(kPlain, "");
  const std::atomic<bool> cancel = true;
  const auto prompt = codec->RenderChat(Question(false), &cancel);
  ASSERT_FALSE(prompt.ok());
  EXPECT_EQ(prompt.error().code, Code::kCancelled);
  EXPECT_EQ(codec->EncodeText("Hello", {}, &cancel).error().code, Code::kCancelled);
  EXPECT_EQ(codec->DecodeTokens(*codec->EncodeText("Hello"), &cancel), "");
}

TEST(TextCodec, AnErrorNamesTheFileOnce) {
  const SystemClock clock;
  const auto made = MakeTextCodec({"[]", std::string(kPlain), "", false, json::Object()}, clock);
  ASSERT_FALSE(made.ok());
  EXPECT_TRUE(made.error().message.starts_with("tokenizer.json: is array")) << made.error().message;
}

TEST(TextCodec, ToolsHaveATemplateOfTheirOwn) {
  const auto codec = CodecWith(kPlain, kTools);
  EXPECT_TRUE(codec->RenderChat(Question(false))->text.starts_with("<|im_start|>user"));
  const auto with = codec->RenderChat(Question(true));
  ASSERT_TRUE(with.ok());
  EXPECT_TRUE(with->text.starts_with("T:{\"type\"")) << with->text;
  EXPECT_FALSE(with->lacks_tools);
  EXPECT_EQ(codec->format().call_open, "<tool_call>");
  EXPECT_EQ(codec->template_source(), kPlain);
  EXPECT_EQ(codec->tool_template_source(), kTools);
}

TEST(TextCodec, ATemplateForToolsAloneGetsAnEmptyList) {
  const auto codec = CodecWith(kTools, "", true);
  EXPECT_TRUE(codec->RenderChat(Question(false))->text.starts_with("T:<|im_start|>user"));
  EXPECT_TRUE(codec->RenderChat(Question(true))->text.starts_with("T:{\"type\""));
}

TEST(TextCodec, ToolsThatDoNotReachThePromptAreReported) {
  // The conversation spells the name; the template does not write it.
  const auto deaf = CodecWith(kPlain, "");
  EXPECT_TRUE(deaf->RenderChat(Question(true))->lacks_tools);
  EXPECT_FALSE(deaf->RenderChat(Question(false))->lacks_tools);

  const auto sometimes = CodecWith(
      "{% if messages[0].content == 'Hello' or tools and tools | length > 1 %}"
      "{{ tools | tojson }}{% endif %}{{ messages[0].content }}",
      "");
  EXPECT_FALSE(sometimes->RenderChat(Question(true, "Hello"))->lacks_tools);
  EXPECT_TRUE(sometimes->RenderChat(Question(true, "Bye"))->lacks_tools);

  // A name that is spelled in another way is found by rendering without the tools.
  const auto shouting =
      CodecWith("{{ tools | tojson | upper if tools }}{{ messages[0].content }}", "");
  EXPECT_FALSE(shouting->RenderChat(Question(true, "Bye"))->lacks_tools);
}

}  // namespace
}  // namespace mach::dialog
