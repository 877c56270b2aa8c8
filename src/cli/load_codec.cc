#include "cli/load_codec.h"

#include "json/parse.h"
#include "server/text_codec.h"

namespace mach::cli {
namespace {

constexpr size_t kMaxTokenizerBytes = size_t{256} << 20;
constexpr size_t kMaxTemplateBytes = size_t{4} << 20;

// chat_template.jinja, else "chat_template" of tokenizer_config.json: a string, or a list of named
// ones with a default.
Result<std::string> ChatTemplate(const io::Checkpoint& checkpoint, const json::Value& config) {
  if (checkpoint.HasFile("chat_template.jinja")) {
    return checkpoint.ReadText("chat_template.jinja", kMaxTemplateBytes);
  }
  const json::Value* found = config.Find("chat_template");
  if (found != nullptr && found->is_string()) return found->AsString();
  if (found != nullptr && found->is_array()) {
    for (const json::Value& named : found->AsArray()) {
      const json::Value* name = named.Find("name");
      const json::Value* source = named.Find("template");
      if (name != nullptr && name->is_string() && name->AsString() == "default" &&
          source != nullptr && source->is_string()) {
        return source->AsString();
      }
    }
  }
  return Error{Code::kNotFound, checkpoint.directory() +
                                    ": there is neither chat_template.jinja nor a chat_template in "
                                    "tokenizer_config.json; a chat server needs one"};
}

// The least conversation that every template renders.
server::ChatInput OneQuestion() {
  server::ChatInput chat;
  chat.messages = {json::Object{{"role", "user"}, {"content", "Hello"}}};
  return chat;
}

}  // namespace

Result<std::shared_ptr<const server::Codec>> LoadCodec(const io::Checkpoint& checkpoint,
                                                       const Clock& clock) {
  server::TextCodecFiles files;
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
  MACH_TRY(files.chat_template, ChatTemplate(checkpoint, files.tokenizer_config));
  auto codec = server::MakeTextCodec(files, clock);
  if (!codec) return std::move(codec).error().In(checkpoint.directory());
  if (const auto prompt = (*codec)->RenderChat(OneQuestion()); !prompt) {
    return Error(prompt.error())
        .In(checkpoint.directory() +
            ": the chat template does not render a conversation of one user message");
  }
  return codec;
}

}  // namespace mach::cli
