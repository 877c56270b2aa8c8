// From a model's output text to content, reasoning and tool calls, as it comes.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "chat/marker_scanner.h"
#include "chat/output_event.h"
#include "chat/tool_calls.h"

namespace mach::chat {

// How a family of models marks what it writes. Empty strings: the family has no such thing.
struct OutputFormat {
  std::string reasoning_open, reasoning_close;  // "<think>", "</think>"
  std::string call_open, call_close;            // "<tool_call>", "</tool_call>"
  bool token_markers = false;  // each marker is one token of the vocabulary (see MarkerScanner)
  bool function_tags = false;  // calls are <function=NAME> and so on, not JSON
  bool operator==(const OutputFormat&) const = default;
};

// How an answer begins that calls a function: all that comes before the arguments, or, with an
// empty name, before the name. A prompt that ends with it makes the model go on with the call.
// Empty where the format has no calls, or cannot spell the name.
std::string CallOpening(const OutputFormat& format, std::string_view name);

struct OutputParserOptions {
  bool starts_in_reasoning = false;  // the prompt ends inside an open reasoning block
  bool tools = false;                // false: calls are content
};

// Events do not depend on how the text was cut, but for the number of pieces of equal kind. White
// space is dropped around reasoning and around calls, and kept within content.
//
// A call that opens inside reasoning is provisional: it is kept until the reasoning ends (then it
// was a draft, and is reasoning) or the output does (then it is the call).
class OutputParser {
 public:
  // schemas must outlive the parser.
  OutputParser(const OutputFormat& format, const OutputParserOptions& options,
               const ToolSchemas& schemas);

  // REQUIRES whole UTF-8 characters. is_token: the text is one structural token.
  void Push(std::string_view text, bool is_token, OutputEvents& events);
  // The output has ended; truncated: by its length limit, not by the model.
  void Finish(bool truncated, OutputEvents& events);

  bool in_reasoning() const {
    return state_ == State::kReasoning || state_ == State::kProvisionalCall;
  }
  bool in_content() const { return state_ == State::kContent; }
  size_t calls() const { return calls_; }  // complete ones
  bool call_open() const { return call_ != nullptr && call_->started(); }

 private:
  enum class State : unsigned char { kContent, kReasoning, kProvisionalCall, kCall };
  enum Marker : int { kReasoningOpen = 0, kReasoningClose = 1, kCallOpen = 2, kCallClose = 3 };

  void Drain(OutputEvents& events);
  void Handle(const ScannedPart& part, OutputEvents& events);
  void HandleInContent(const ScannedPart& part, OutputEvents& events);
  void HandleInReasoning(const ScannedPart& part, OutputEvents& events);
  void HandleInCall(const ScannedPart& part, OutputEvents& events);
  void AddContent(std::string_view text, OutputEvents& events);
  std::string TakeBare();
  void EmitContent(std::string_view text, OutputEvents& events);
  void AddReasoning(std::string_view text, OutputEvents& events);
  void EnterContent();
  void EnterReasoning();
  void OpenCall(std::string opener, OutputEvents& events);
  void FeedCall(std::string_view text, OutputEvents& events);
  void CloseCall(std::string_view closer, OutputEvents& events);
  void TakeCallEvents(OutputEvents parsed, OutputEvents& events);
  void LeaveCall();
  void AddProvisional(const ScannedPart& part);
  void ReturnProvisional(OutputEvents& events);
  void PromoteProvisional(OutputEvents& events);

  const OutputFormat format_;
  const OutputParserOptions options_;
  const ToolSchemas& schemas_;
  MarkerScanner scanner_;
  std::deque<ScannedPart> queue_;  // to be handled
  State state_ = State::kContent;
  std::unique_ptr<ToolCallParser> call_;
  size_t calls_ = 0;
  bool fresh_ = true;        // no text since the state was entered, or since the last call
  bool drop_space_ = false;  // white space that comes next is not given out
  std::string space_;        // after text: given out only if more follows
  std::string bare_;         // fresh content that may become a call without its opener
  size_t bare_space_ = 0;    // white space at its beginning
  std::vector<ScannedPart> provisional_;  // of a provisional call
};

}  // namespace mach::chat
