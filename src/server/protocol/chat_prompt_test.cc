#include "server/protocol/chat_prompt.h"

#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "base/clock.h"
#include "dialog/text_codec.h"
#include "json/value.h"

namespace mach::server {
namespace {

TEST(RenderPrompt, ToolsThatDoNotReachThePromptAreAnError) {
  static const SystemClock clock;
  std::ifstream file(std::string(MACH_SOURCE_DIR) + "/models/mach-tiny/tokenizer.json");
  std::ostringstream tokenizer;
  tokenizer << file.rdbuf();
  const auto codec = dialog::MakeTextCodec({.tokenizer_json = tokenizer.str(),
                                            .chat_template = "{{ messages[0].content }}",
                                            .tokenizer_config = json::Object()},
                                           clock);
  ASSERT_TRUE(codec.ok());
  dialog::ChatInput chat;
  chat.messages = {json::Object{{"role", "user"}, {"content", "now"}}};
  EXPECT_TRUE(std::holds_alternative<dialog::Prompt>(RenderPrompt(**codec, chat, "req_1")));

  chat.tools = {json::Object{{"type", "function"}, {"function", json::Object{{"name", "now"}}}}};
  const auto refused = RenderPrompt(**codec, chat, "req_1");
  ASSERT_TRUE(std::holds_alternative<ApiError>(refused));
  const ApiError& error = std::get<ApiError>(refused);
  EXPECT_EQ(error.status, 400);
  EXPECT_EQ(error.param, "tools");
  EXPECT_NE(error.message.find("'tools' has 1 entry"), std::string::npos) << error.message;
}

}  // namespace
}  // namespace mach::server
