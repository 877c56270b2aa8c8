// Conversations through published kinds of templates, and through the codec of a model.
#include <fstream>
#include <memory>
#include <sstream>

#include <gtest/gtest.h>

#include "dialog/text_codec.h"
#include "growth.h"
#include "text/small_tokenizers.h"

namespace mach::growth {
namespace {

std::string ReadText(const std::string& path) {
  std::ifstream file(std::string(MACH_SOURCE_DIR) + "/" + path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

json::Object Said(std::string_view role, json::Value content) {
  return {{"role", role}, {"content", std::move(content)}};
}

json::Value Call(size_t i, json::Value arguments) {
  return json::Object{
      {"id", "call_" + std::to_string(i)},
      {"type", "function"},
      {"function", json::Object{{"name", "f"}, {"arguments", std::move(arguments)}}}};
}

json::Value Tool(const std::string& name, json::Object properties) {
  return json::Object{
      {"type", "function"},
      {"function", json::Object{{"name", name},
                                {"description", "What it does."},
                                {"parameters", json::Object{{"type", "object"},
                                                            {"properties", std::move(properties)},
                                                            {"required", json::Array{"p0"}}}}}}};
}

json::Object Properties(size_t n) {
  json::Object properties;
  for (size_t i = 0; i < n; ++i) {
    properties.Set("p" + std::to_string(i),
                   json::Object{{"type", "string"}, {"description", "One."}});
  }
  return properties;
}

struct ChatOf {
  std::string_view name;
  void (*grow)(dialog::ChatInput& chat, size_t n);
  size_t most = kManyKeys;
};

constexpr ChatOf kConversations[] = {
    {"turns",
     [](dialog::ChatInput& chat, size_t n) {
       for (size_t i = 0; i < n; ++i) {
         chat.messages.push_back(Said("assistant", "I said this."));
         chat.messages.push_back(Said("user", "And then?"));
       }
     }},
    {"a long message",
     [](dialog::ChatInput& chat, size_t n) {
       chat.messages.push_back(Said("assistant", Times(n, "a word\n")));
       chat.messages.push_back(Said("user", Times(n, "a word <b> ")));
     },
     kManyParts},
    {"rounds of calls",
     [](dialog::ChatInput& chat, size_t n) {
       for (size_t i = 0; i < n; ++i) {
         json::Object asks = Said("assistant", "");
         asks.Set("reasoning_content", "Let me see.");
         asks.Set("tool_calls", json::Array{Call(i, json::Object{{"p0", "v"}})});
         chat.messages.push_back(std::move(asks));
         json::Object result = Said("tool", "The result.");
         result.Set("tool_call_id", "call_" + std::to_string(i));
         chat.messages.push_back(std::move(result));
       }
       chat.messages.push_back(Said("user", "Go on."));
     },
     1024},
    {"calls of one message",
     [](dialog::ChatInput& chat, size_t n) {
       json::Object asks = Said("assistant", "");
       json::Array calls;
       for (size_t i = 0; i < n; ++i) calls.push_back(Call(i, json::Object{{"p0", "v"}}));
       asks.Set("tool_calls", std::move(calls));
       chat.messages.push_back(std::move(asks));
       chat.messages.push_back(Said("user", "Go on."));
     }},
    {"arguments",
     [](dialog::ChatInput& chat, size_t n) {
       json::Object asks = Said("assistant", "");
       json::Object arguments;
       for (size_t i = 0; i < n; ++i) arguments.Set("p" + std::to_string(i), Times(10, "v "));
       asks.Set("tool_calls", json::Array{Call(0, std::move(arguments))});
       chat.messages.push_back(std::move(asks));
       chat.messages.push_back(Said("user", "Go on."));
     }},
    {"tools",
     [](dialog::ChatInput& chat, size_t n) {
       for (size_t i = 0; i < n; ++i) {
         chat.tools.push_back(Tool("tool_" + std::to_string(i), Properties(2)));
       }
     },
     512},
    {"properties",
     [](dialog::ChatInput& chat, size_t n) { chat.tools.push_back(Tool("f", Properties(n))); }},
    {"chat_template_kwargs",
     [](dialog::ChatInput& chat, size_t n) {
       for (size_t i = 0; i < n; ++i) chat.kwargs.Set("k" + std::to_string(i), 1);
     }},
};

void ExpectLinearConversations(const std::string& name, const std::string& tokenizer_json,
                               const std::string& chat_template) {
  const SystemClock clock;
  const auto codec = dialog::MakeTextCodec({.tokenizer_json = tokenizer_json,
                                            .chat_template = chat_template,
                                            .tokenizer_config = json::Object()},
                                           clock);
  ASSERT_TRUE(codec.ok()) << codec.error().message;
  for (const ChatOf& one : kConversations) {
    ExpectLinear(name + ": " + std::string(one.name), one.most, [&](size_t n) -> Work {
      auto chat = std::make_shared<dialog::ChatInput>();
      chat->messages.push_back(Said("system", "Be brief."));
      chat->messages.push_back(Said("user", "Hello."));
      one.grow(*chat, n);
      return [&codec, chat] {
        const auto prompt = (*codec)->RenderChat(*chat);
        EXPECT_TRUE(prompt.ok()) << prompt.error().message;
        return prompt.ok();
      };
    });
  }
}

TEST(ConversationGrowth, MachTiny) {
  ExpectLinearConversations("mach-tiny", ReadText("models/mach-tiny/tokenizer.json"),
                            ReadText("models/mach-tiny/chat_template.jinja"));
}

TEST(ConversationGrowth, Families) {
  for (const std::string family : {"channels", "json_tools", "sections", "turns", "xml_tools"}) {
    ExpectLinearConversations(family, text::small::ByteLevel().Text(),
                              ReadText("tests/templates/families/" + family + ".jinja"));
  }
}

}  // namespace
}  // namespace mach::growth
