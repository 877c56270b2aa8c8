#include "dialog/text_codec.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <optional>
#include <utility>

#include "base/utf8.h"
#include "chat/output_parser.h"
#include "dialog/last_turn.h"
#include "jinja/template.h"
#include "text/stream_decoder.h"
#include "text/tokenizer.h"
#include "text/work_budget.h"

namespace mach::dialog {
namespace {

// The markers of Qwen's families, in the order of chat::OutputFormat.
constexpr std::array<std::string_view, 4> kMarkers = {"<think>", "</think>", "<tool_call>",
                                                      "</tool_call>"};

struct Marker {
  TokenId token = 0;
  std::string text;
};

class TextDecoder final : public TokenDecoder {
 public:
  TextDecoder(const text::Tokenizer& tokenizer, const std::vector<Marker>& markers)
      : markers_(markers), decoder_(tokenizer, /*skip_special_tokens=*/true) {}

  void Push(TokenId token, std::vector<OutputPiece>& out) override {
    std::string text = decoder_.Push(token);
    const auto marker = std::find_if(markers_.begin(), markers_.end(),
                                     [&](const Marker& m) { return m.token == token; });
    if (marker == markers_.end()) {
      if (!text.empty()) out.push_back({std::move(text), false});
      return;
    }
    // What was held back before it comes out with it; a special one is not in the text at all.
    if (text.ends_with(marker->text)) text.resize(text.size() - marker->text.size());
    if (!text.empty()) out.push_back({std::move(text), false});
    out.push_back({marker->text, true});
  }

  void Finish(std::vector<OutputPiece>& out) override {
    std::string text = decoder_.Finish();
    if (!text.empty()) out.push_back({std::move(text), false});
  }

 private:
  const std::vector<Marker>& markers_;
  text::StreamDecoder decoder_;
};

// The tokens that tokenizer_config.json names and templates read: each is a string, or an object
// with its "content". Null is none.
Result<json::Object> NamedTokens(const json::Value& config) {
  if (!config.is_object()) {
    return Error{Code::kInvalidArgument,
                 "holds " + std::string(config.KindName()) + ", expected a JSON object"};
  }
  json::Object named;
  for (const std::string_view key : {"bos_token", "eos_token", "pad_token", "unk_token"}) {
    const json::Value* value = config.Find(key);
    if (value == nullptr || value->is_null()) continue;
    const json::Value* text = value->is_object() ? value->Find("content") : value;
    if (text == nullptr || !text->is_string()) {
      return Error{Code::kInvalidArgument,
                   "'" + std::string(key) + "' is of type " + std::string(value->KindName()) +
                       (value->is_object() ? " without a text as its 'content'" : "") +
                       ", expected a string, an object with 'content', or null"};
    }
    if (!text->AsString().empty()) named.Set(key, *text);
  }
  return named;
}

class TextCodec final : public Codec {
 public:
  TextCodec(std::unique_ptr<text::Tokenizer> tokenizer, jinja::Template chat_template,
            std::optional<jinja::Template> tool_template, json::Object named_tokens,
            bool template_wants_tools, const Clock& clock)
      : tokenizer_(std::move(tokenizer)),
        template_(std::move(chat_template)),
        tool_template_(std::move(tool_template)),
        no_tools_(template_wants_tools ? json::Value(json::Array()) : json::Value()),
        clock_(clock),
        variables_(std::move(named_tokens)) {
    FindMarkers(template_.source() + (tool_template_ ? tool_template_->source() : ""));
    knows_tools_ = TemplateKnowsTools();
  }

  Result<Prompt> RenderChat(const ChatInput& input,
                            const std::atomic<bool>* cancel) const override {
    json::Object variables = variables_;
    variables.Set("messages", input.continue_final ? MarkLastTurn(input.messages) : input.messages);
    variables.Set("tools", input.tools.empty() ? no_tools_ : json::Value(input.tools));
    variables.Set("add_generation_prompt", input.add_generation_prompt);
    for (const json::Member& member : input.kwargs) variables.Set(member.key, member.value);
    jinja::RenderOptions options;
    options.now_unix_seconds = clock_.UnixSeconds();
    options.cancel = cancel;
    const bool has_tools = !input.tools.empty();
    const jinja::Template& jinja = has_tools && tool_template_ ? *tool_template_ : template_;
    MACH_TRY(jinja::Rendered rendered, jinja.Render(variables, options));
    Prompt prompt;
    if (has_tools && !(knows_tools_ && NamesAll(input.tools, rendered.text))) {
      variables.Set("tools", no_tools_);
      const auto without = jinja.Render(variables, options);
      prompt.lacks_tools = without && without->text == rendered.text;
    }
    if (input.continue_final) {
      const size_t end = EndOfMarkedTurn(rendered.text);
      if (end == std::string::npos) {
        return Error{Code::kInvalidArgument,
                     "the chat template leaves the last message out, so that it cannot be "
                     "continued; end the conversation with a user message"};
      }
      rendered.text.resize(end);
    }

    std::vector<Span> plain;
    plain.reserve(rendered.plain.size());
    for (const Span& span : rendered.plain) {
      if (span.begin >= rendered.text.size()) break;
      plain.push_back({span.begin, std::min(span.end, rendered.text.size())});
    }
    MACH_TRY(prompt.tokens, Encoded(rendered.text, {.plain = plain}, cancel));
    const size_t last = rendered.text.find_last_not_of(" \t\r\n");
    prompt.ends_in_reasoning =
        !format_.reasoning_open.empty() && last != std::string::npos &&
        std::string_view(rendered.text).substr(0, last + 1).ends_with(format_.reasoning_open);
    if (input.continue_final) {
      prompt.ends_in_reasoning |= ThinksAtItsEnd(rendered.text, input.messages.back());
    }
    prompt.text = rendered.text;
    return prompt;
  }

  Result<std::vector<TokenId>> EncodeText(std::string_view text, const EncodeTextOptions& options,
                                          const std::atomic<bool>* cancel) const override {
    const std::vector<Span> all{{0, text.size()}};
    text::EncodeOptions encode;
    encode.add_special_tokens = options.add_special;
    if (!options.parse_special) encode.plain = all;
    return Encoded(text, encode, cancel);
  }
  std::string DecodeTokens(std::span<const TokenId> tokens,
                           const std::atomic<bool>* cancel) const override {
    return utf8::Repair(tokenizer_->Decode(tokens, /*skip_special_tokens=*/false, cancel));
  }

  std::unique_ptr<TokenDecoder> NewDecoder() const override {
    return std::make_unique<TextDecoder>(*tokenizer_, markers_);
  }
  std::string TokenBytes(TokenId token) const override { return tokenizer_->TokenBytes(token); }
  const chat::OutputFormat& format() const override { return format_; }
  const std::string& template_source() const override { return template_.source(); }
  std::vector<TokenId> end_tokens() const override {
    const json::Value* end = variables_.Find("eos_token");
    const auto token = end == nullptr ? std::nullopt : tokenizer_->Find(end->AsString());
    return token ? std::vector<TokenId>{*token} : std::vector<TokenId>();
  }
  std::string_view tool_template_source() const override {
    return tool_template_ ? std::string_view(tool_template_->source()) : std::string_view();
  }

 private:
  Result<std::vector<TokenId>> Encoded(std::string_view text, const text::EncodeOptions& options,
                                       const std::atomic<bool>* cancel) const {
    text::WorkBudget budget(text.size(), cancel);
    budget.LimitTime();
    std::vector<TokenId> tokens = tokenizer_->Encode(text, options, budget);
    if (budget.late()) {
      return Error{Code::kInvalidArgument,
                   "a pattern of the model's tokenizer takes far too long for these " +
                       std::to_string(text.size()) + " bytes of text; send a shorter one"};
    }
    if (budget.cancelled()) return Error{Code::kCancelled, "the prompt was cancelled"};
    return tokens;
  }
  // Whether a tool of one question is named in the prompt. What other conversations do is looked at
  // where they lack a name.
  bool TemplateKnowsTools() const {
    static constexpr std::string_view kProbe = "mach_probe_of_tools";
    ChatInput input;
    input.messages = {json::Object{{"role", "user"}, {"content", "Hello"}}};
    input.tools = {json::Object{
        {"type", "function"},
        {"function", json::Object{{"name", kProbe},
                                  {"description", ""},
                                  {"parameters", json::Object{{"type", "object"},
                                                              {"properties", json::Object()}}}}}}};
    const auto prompt = RenderChat(input, nullptr);
    return prompt && prompt->text.find(kProbe) != std::string::npos;
  }

  // Templates keep the order of tools, so that a name mostly comes after the one before.
  static bool NamesAll(const json::Array& tools, std::string_view text) {
    size_t from = 0;
    return std::all_of(tools.begin(), tools.end(), [&](const json::Value& tool) {
      const json::Value* function = tool.Find("function");
      const json::Value* name = function == nullptr ? nullptr : function->Find("name");
      if (name == nullptr || !name->is_string()) return false;
      size_t at = text.find(name->AsString(), from);
      if (at == text.npos) at = text.find(name->AsString());
      from = at;
      return at != text.npos;
    });
  }

  // Whether a continued message's own text opens a reasoning block and does not close it.
  bool ThinksAtItsEnd(std::string_view prompt, const json::Value& message) const {
    if (format_.reasoning_open.empty()) return false;
    const size_t bytes = std::min(message.Find("content")->AsString().size(), prompt.size());
    const std::string_view own = prompt.substr(prompt.size() - bytes);
    const size_t open = own.rfind(format_.reasoning_open);
    return open != std::string_view::npos &&
           own.find(format_.reasoning_close, open) == std::string_view::npos;
  }

  // A pair of markers counts when the template knows it; markers are tokens when all of them are.
  void FindMarkers(const std::string& source) {
    const auto known = [&](size_t i) { return source.find(kMarkers[i]) != std::string::npos; };
    if (known(0) || known(1)) {
      format_.reasoning_open = kMarkers[0];
      format_.reasoning_close = kMarkers[1];
    }
    if (known(2)) {
      format_.call_open = kMarkers[2];
      format_.call_close = kMarkers[3];
      format_.function_tags = source.find("<function=") != std::string::npos;
    }
    format_.token_markers = true;
    for (const std::string* marker : {&format_.reasoning_open, &format_.reasoning_close,
                                      &format_.call_open, &format_.call_close}) {
      if (marker->empty()) continue;
      const auto token = tokenizer_->Find(*marker);
      if (token && tokenizer_->IsAdded(*token)) {
        markers_.push_back({*token, *marker});
      } else {
        format_.token_markers = false;
      }
    }
    if (!format_.token_markers) markers_.clear();
  }

  const std::unique_ptr<text::Tokenizer> tokenizer_;
  const jinja::Template template_;
  const std::optional<jinja::Template> tool_template_;
  const json::Value no_tools_;
  const Clock& clock_;
  const json::Object variables_;  // of every render
  chat::OutputFormat format_;
  std::vector<Marker> markers_;
  bool knows_tools_ = false;
};

}  // namespace

Result<std::shared_ptr<const Codec>> MakeTextCodec(const TextCodecFiles& files,
                                                   const Clock& clock) {
  auto tokenizer = text::Tokenizer::FromJson(files.tokenizer_json);
  if (!tokenizer) return std::move(tokenizer).error();
  auto named = NamedTokens(files.tokenizer_config);
  if (!named) return std::move(named).error().In("tokenizer_config.json");
  auto chat_template = jinja::Template::Parse(files.chat_template);
  if (!chat_template) return std::move(chat_template).error().In("chat template");
  std::optional<jinja::Template> tool_template;
  if (!files.tool_template.empty()) {
    auto parsed = jinja::Template::Parse(files.tool_template);
    if (!parsed) return std::move(parsed).error().In("chat template 'tool_use'");
    tool_template = *std::move(parsed);
  }
  (*tokenizer)->MarkStructural(files.chat_template);
  if (tool_template) (*tokenizer)->MarkStructural(files.tool_template);
  return std::shared_ptr<const Codec>(std::make_shared<TextCodec>(
      *std::move(tokenizer), *std::move(chat_template), std::move(tool_template), *std::move(named),
      files.template_wants_tools, clock));
}

}  // namespace mach::dialog
