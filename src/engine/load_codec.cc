#include "engine/load_codec.h"

#include "dialog/text_codec.h"
#include "engine/chat_templates.h"
#include "json/parse.h"

namespace mach::engine {
namespace {

constexpr size_t kMaxTokenizerBytes = size_t{256} << 20;

// The least conversation that every template renders.
dialog::ChatInput OneQuestion() {
  dialog::ChatInput chat;
  chat.messages = {json::Object{{"role", "user"}, {"content", "Hello"}}};
  return chat;
}

// One that a template for tools renders.
dialog::ChatInput OneQuestionWithTool() {
  dialog::ChatInput chat = OneQuestion();
  chat.tools = {json::Object{
      {"type", "function"},
      {"function", json::Object{{"name", "now"},
                                {"description", "The time"},
                                {"parameters", json::Object{{"type", "object"},
                                                            {"properties", json::Object()}}}}}}};
  return chat;
}

}  // namespace

Result<std::shared_ptr<const dialog::Codec>> LoadCodec(const io::Checkpoint& checkpoint,
                                                       const Clock& clock) {
  dialog::TextCodecFiles files;
  MACH_TRY(files.tokenizer_json, checkpoint.ReadText("tokenizer.json", kMaxTokenizerBytes));
  files.tokenizer_config = json::Object();
  if (checkpoint.HasFile("tokenizer_config.json")) {
    MACH_TRY(const std::string text,
             checkpoint.ReadText("tokenizer_config.json", kMaxTokenizerBytes));
    auto parsed = json::ParseLarge(text, {.python_numbers = true});
    if (!parsed) {
      return std::move(parsed).error().In(checkpoint.directory() + "/tokenizer_config.json");
    }
    files.tokenizer_config = *std::move(parsed);
  }
  MACH_TRY(
      ChatTemplates templates,
      ReadChatTemplates(checkpoint.file_system(), checkpoint.directory(), files.tokenizer_config));
  const bool has_tool_use = !templates.with_tools.empty();
  files.template_wants_tools = templates.wants_tools;
  files.chat_template = std::move(templates.plain);
  files.tool_template = std::move(templates.with_tools);
  auto codec = dialog::MakeTextCodec(files, clock);
  if (!codec) return std::move(codec).error().In(checkpoint.directory());
  if (const auto prompt = (*codec)->RenderChat(OneQuestion()); !prompt) {
    return Error(prompt.error())
        .In(checkpoint.directory() +
            ": the chat template does not render a conversation of one user message");
  }
  if (has_tool_use) {
    if (const auto prompt = (*codec)->RenderChat(OneQuestionWithTool()); !prompt) {
      return Error(prompt.error())
          .In(checkpoint.directory() +
              ": the chat template 'tool_use' does not render a conversation of one user message "
              "with one tool");
    }
  }
  return codec;
}

}  // namespace mach::engine
