// From the tokens of one answer to what a client is told: bytes, whole characters, reasoning and
// tool calls, stop strings, in this order. Stop strings end the content; they do not count inside
// reasoning and tool calls.
#pragma once

#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "chat/output_parser.h"
#include "chat/stop_matcher.h"
#include "dialog/codec.h"
#include "engine/engine.h"
#include "json/value.h"
#include "server/protocol/generation_request.h"

namespace mach::server {

struct OutputDelta {
  chat::EventKind kind = chat::EventKind::kContent;
  std::string text;      // never empty, but for kCallEnd
  json::Array logprobs;  // of the tokens that this part of the content shows for the first time
};

// The same text in whichever way the tokens cut it, so that streamed and whole answers agree.
class OutputPipeline {
 public:
  OutputPipeline(std::shared_ptr<const dialog::Codec> codec, const GenerationRequest& request,
                 const dialog::Prompt& prompt, std::shared_ptr<const chat::Patterns> stops);
  ~OutputPipeline();

  // Text in front of what the model chooses. Its tokens are not counted.
  void Force(const std::vector<TokenId>& tokens, std::vector<OutputDelta>& out);
  // Nothing more comes out once stopped().
  void Push(const engine::TokenEvent& token, std::vector<OutputDelta>& out);
  // truncated: the length limit ended the answer.
  void Finish(bool truncated, std::vector<OutputDelta>& out);

  // A stop string was found, or the one call that was allowed is complete.
  bool stopped() const { return stopped_; }
  // Index of the stop string that was found, or -1.
  int stop_string() const { return matcher_.match(); }
  size_t calls() const { return parser_.calls(); }
  bool call_open() const { return parser_.call_open(); }
  size_t tokens() const { return tokens_; }
  size_t reasoning_tokens() const { return reasoning_tokens_; }
  // Log probabilities of tokens that no content has shown.
  json::Array TakeLogprobs();

 private:
  struct PendingLogprob {
    size_t begin = 0;  // in the content before stop strings are cut out, bytes
    json::Value entry;
  };
  void Feed(std::span<const dialog::OutputPiece> pieces, std::vector<OutputDelta>& out);
  void Translate(chat::OutputEvents events, std::vector<OutputDelta>& out);
  void Add(chat::EventKind kind, std::string text, std::vector<OutputDelta>& out);
  json::Value Describe(const engine::TokenEvent& token) const;

  const std::shared_ptr<const dialog::Codec> codec_;
  const bool logprobs_;
  const bool include_reasoning_;
  const bool single_call_;
  std::string prefix_;  // goes in front of the content: the mark of inline reasoning
  const chat::ToolSchemas schemas_;
  std::unique_ptr<dialog::TokenDecoder> decoder_;
  chat::OutputParser parser_;
  chat::StopMatcher matcher_;
  std::string partial_;  // bytes of an unfinished character
  std::deque<PendingLogprob> pending_;
  bool stopped_ = false;
  size_t tokens_ = 0;
  size_t reasoning_tokens_ = 0;
};

}  // namespace mach::server
