#include "server/protocol/output_pipeline.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/utf8.h"

namespace mach::server {
namespace {

// JSON has no minus infinity; OpenAI sends this for improbable tokens.
constexpr double kLeastLogprob = -9999.0;

chat::OutputFormat FormatFor(const dialog::Codec& codec, const GenerationRequest& request) {
  chat::OutputFormat format = codec.format();
  if (request.inline_reasoning) {
    format.reasoning_open.clear();
    format.reasoning_close.clear();
  }
  return format;
}

json::Value TokenJson(const dialog::Codec& codec, TokenId token, float logprob) {
  const std::string bytes = codec.TokenBytes(token);
  json::Array numbers;
  for (const char c : bytes) numbers.emplace_back(static_cast<int>(static_cast<unsigned char>(c)));
  const double p = std::isfinite(logprob) ? static_cast<double>(logprob) : kLeastLogprob;
  return json::Object{
      {"token", utf8::Repair(bytes)}, {"logprob", p}, {"bytes", std::move(numbers)}};
}

}  // namespace

OutputPipeline::OutputPipeline(std::shared_ptr<const dialog::Codec> codec,
                               const GenerationRequest& request, const dialog::Prompt& prompt,
                               std::shared_ptr<const chat::Patterns> stops)
    : codec_(std::move(codec)),
      logprobs_(request.logprobs),
      include_reasoning_(request.include_reasoning),
      single_call_(!request.parallel_tool_calls),
      prefix_(request.inline_reasoning && prompt.ends_in_reasoning
                  ? codec_->format().reasoning_open + "\n"
                  : ""),
      schemas_(request.chat.tools),
      decoder_(codec_->NewDecoder()),
      parser_(FormatFor(*codec_, request),
              {.starts_in_reasoning = prompt.ends_in_reasoning && !request.inline_reasoning,
               .tools = request.parse_tools},
              schemas_),
      matcher_(std::move(stops), request.include_stop) {}

OutputPipeline::~OutputPipeline() = default;

json::Value OutputPipeline::Describe(const engine::TokenEvent& token) const {
  json::Value entry = TokenJson(*codec_, token.token, token.logprob);
  json::Array top;
  for (const engine::TokenLogprob& other : token.top) {
    top.push_back(TokenJson(*codec_, other.token, other.logprob));
  }
  entry.AsObject().Set("top_logprobs", std::move(top));
  return entry;
}

void OutputPipeline::Force(const std::vector<TokenId>& tokens, std::vector<OutputDelta>& out) {
  for (const TokenId token : tokens) {
    std::vector<dialog::OutputPiece> pieces;
    decoder_->Push(token, pieces);
    Feed(pieces, out);
  }
}

void OutputPipeline::Push(const engine::TokenEvent& token, std::vector<OutputDelta>& out) {
  if (stopped_) return;
  ++tokens_;
  const bool was_content = parser_.in_content();
  if (parser_.in_reasoning()) ++reasoning_tokens_;
  std::vector<dialog::OutputPiece> pieces;
  decoder_->Push(token.token, pieces);
  const bool marker =
      std::any_of(pieces.begin(), pieces.end(), [](const auto& p) { return p.is_marker; });
  if (logprobs_ && was_content && !marker) {
    pending_.push_back({matcher_.bytes_in(), Describe(token)});
  }
  Feed(pieces, out);
}

void OutputPipeline::Feed(std::span<const dialog::OutputPiece> pieces,
                          std::vector<OutputDelta>& out) {
  for (const dialog::OutputPiece& piece : pieces) {
    chat::OutputEvents events;
    if (piece.is_marker) {
      if (!partial_.empty()) parser_.Push(utf8::Repair(std::exchange(partial_, {})), false, events);
      parser_.Push(piece.text, true, events);
    } else {
      std::string text = std::exchange(partial_, {}) + piece.text;
      const size_t whole = text.size() - utf8::IncompleteSuffix(text);
      partial_ = text.substr(whole);
      text.resize(whole);
      if (!text.empty()) parser_.Push(utf8::Repair(text), false, events);
    }
    Translate(std::move(events), out);
    if (stopped_) return;
  }
}

void OutputPipeline::Translate(chat::OutputEvents events, std::vector<OutputDelta>& out) {
  for (chat::OutputEvent& event : events) {
    if (stopped_) return;
    switch (event.kind) {
      case chat::EventKind::kContent:
        Add(event.kind, matcher_.Push(std::exchange(prefix_, {}) + event.text), out);
        stopped_ = matcher_.matched();
        break;
      case chat::EventKind::kReasoning:
        if (include_reasoning_) Add(event.kind, std::move(event.text), out);
        break;
      case chat::EventKind::kCallStart:
        // Content before a call is complete.
        Add(chat::EventKind::kContent, matcher_.Finish(), out);
        Add(event.kind, std::move(event.text), out);
        break;
      case chat::EventKind::kArguments:
        Add(event.kind, std::move(event.text), out);
        break;
      case chat::EventKind::kCallEnd:
        Add(event.kind, "", out);
        stopped_ = single_call_;
        break;
    }
  }
}

void OutputPipeline::Add(chat::EventKind kind, std::string text, std::vector<OutputDelta>& out) {
  if (text.empty() && kind != chat::EventKind::kCallEnd) return;
  const bool joins = !out.empty() && out.back().kind == kind &&
                     kind != chat::EventKind::kCallStart && kind != chat::EventKind::kCallEnd;
  if (joins) {
    out.back().text += text;
  } else {
    out.push_back({kind, std::move(text), {}});
  }
  if (kind != chat::EventKind::kContent) return;
  while (!pending_.empty() && pending_.front().begin < matcher_.bytes_out()) {
    out.back().logprobs.push_back(std::move(pending_.front().entry));
    pending_.pop_front();
  }
}

void OutputPipeline::Finish(bool truncated, std::vector<OutputDelta>& out) {
  if (stopped_) {
    pending_.clear();  // of the stop string
    return;
  }
  std::vector<dialog::OutputPiece> pieces;
  decoder_->Finish(pieces);
  Feed(pieces, out);
  chat::OutputEvents events;
  if (!partial_.empty()) parser_.Push(utf8::Repair(std::exchange(partial_, {})), false, events);
  parser_.Finish(truncated, events);
  Translate(std::move(events), out);
  if (!matcher_.matched()) Add(chat::EventKind::kContent, matcher_.Finish(), out);
}

json::Array OutputPipeline::TakeLogprobs() {
  json::Array left;
  for (PendingLogprob& one : std::exchange(pending_, {})) left.push_back(std::move(one.entry));
  return left;
}

}  // namespace mach::server
