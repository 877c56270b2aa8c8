#include "chat/output_parser.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "chat/space.h"
#include "json/write.h"

namespace mach::chat {
namespace {

constexpr std::string_view kBareCall = "<function=";

void EmitText(EventKind kind, std::string text, OutputEvents& events) {
  if (!text.empty() || kind == EventKind::kCallEnd) events.push_back({kind, std::move(text)});
}

// Text with its trailing white space moved to `space`; what `space` held before comes in front.
std::string HoldSpace(std::string_view text, std::string& space) {
  const size_t last = text.find_last_not_of(kSpace);
  if (last == std::string_view::npos) {
    space += text;
    return {};
  }
  std::string out = std::exchange(space, std::string(text.substr(last + 1)));
  out += text.substr(0, last + 1);
  return out;
}

}  // namespace

std::string CallOpening(const OutputFormat& format, std::string_view name) {
  if (format.call_open.empty()) return "";
  // The openings end where the tokens of what follows do not reach back over.
  if (format.function_tags) {
    if (name.find_first_of("<>\r\n") != std::string_view::npos) return "";
    const std::string opening = format.call_open + "\n" + std::string(kBareCall);
    return name.empty() ? opening : opening + std::string(name) + ">\n";
  }
  std::string opening = format.call_open + "\n{\"name\":";
  if (name.empty()) return opening;
  opening += ' ';
  json::AppendString(opening, name);
  return opening + ", \"arguments\":";
}

// The parser's states, and what moves it from one to another:
//
//              kReasoningOpen               kCallOpen, with tools
//   kContent <----------------> kReasoning ----------------------> kProvisionalCall
//     |  ^     kReasoningClose                                            |
//     |  +-----------------------------------------------------------------+
//     |  |     kReasoningClose
//     v  | LeaveCall
//    kCall: after kCallOpen, or a bare "<function=" at the beginning of content
//
// The parts of a provisional call stay in provisional_ until something decides about them: content
// or another call says that they were reasoning (ReturnProvisional), the end of an output that was
// not cut off says that they are the call (PromoteProvisional).
//
// Invariants, which hold between calls:
//
// * queue_ is empty: each scanned part was handled, or is in provisional_.
// * call_ is set exactly in kCall.
// * Text is given out once and in order. Held back are only space_ (white space that may be the
//   last), bare_ (the beginning of content that may become a call) and provisional_.
// * calls_ counts the calls whose end was given out.

OutputParser::OutputParser(const OutputFormat& format, const OutputParserOptions& options,
                           const ToolSchemas& schemas)
    : format_(format),
      options_(options),
      schemas_(schemas),
      scanner_({format.reasoning_open, format.reasoning_close, format.call_open, format.call_close},
               format.token_markers) {
  if (options_.starts_in_reasoning) EnterReasoning();
}

void OutputParser::Push(std::string_view text, bool is_token, OutputEvents& events) {
  std::vector<ScannedPart> parts;
  scanner_.Push(text, is_token, parts);
  queue_.insert(queue_.end(), std::make_move_iterator(parts.begin()),
                std::make_move_iterator(parts.end()));
  Drain(events);
}

void OutputParser::Drain(OutputEvents& events) {
  while (!queue_.empty()) {
    const ScannedPart part = std::move(queue_.front());
    queue_.pop_front();
    Handle(part, events);
  }
}

void OutputParser::Handle(const ScannedPart& part, OutputEvents& events) {
  switch (state_) {
    case State::kContent:
      HandleInContent(part, events);
      break;
    case State::kReasoning:
      HandleInReasoning(part, events);
      break;
    case State::kProvisionalCall:
      if (part.marker == kReasoningClose) {
        EnterContent();
      } else {
        AddProvisional(part);
      }
      break;
    case State::kCall:
      HandleInCall(part, events);
      break;
  }
}

void OutputParser::EnterContent() {
  state_ = State::kContent;
  fresh_ = true;
  drop_space_ = true;
  space_.clear();
}

void OutputParser::EnterReasoning() {
  state_ = State::kReasoning;
  fresh_ = true;
  drop_space_ = true;
  space_.clear();
}

void OutputParser::HandleInContent(const ScannedPart& part, OutputEvents& events) {
  // In plain text only the very beginning can open a block; a token of its own can anywhere.
  const bool is_fresh = fresh_ && bare_space_ == bare_.size();
  if (part.marker == kReasoningOpen && (is_fresh || format_.token_markers)) {
    if (!is_fresh) EmitContent(TakeBare(), events);
    TakeBare();
    ReturnProvisional(events);
    EnterReasoning();
  } else if (part.marker == kReasoningClose && is_fresh) {
    TakeBare();
    drop_space_ = true;
  } else if (part.marker == kCallOpen && options_.tools) {
    if (!is_fresh) EmitContent(TakeBare(), events);
    TakeBare();
    OpenCall(part.text, events);
  } else if (part.marker == kCallClose && is_fresh && calls_ > 0) {
    TakeBare();
  } else {
    AddContent(part.text, events);
  }
}

void OutputParser::AddContent(std::string_view text, OutputEvents& events) {
  if (!fresh_ || !options_.tools || format_.call_open.empty()) {
    EmitContent(text, events);
    return;
  }
  bare_ += text;
  bare_space_ = std::min(bare_.find_first_not_of(kSpace, bare_space_), bare_.size());
  const std::string_view begun = std::string_view(bare_).substr(bare_space_);
  if (begun.starts_with(kBareCall)) {
    const std::string body(begun);
    TakeBare();
    OpenCall("", events);
    FeedCall(body, events);
  } else if (!kBareCall.starts_with(begun)) {
    EmitContent(TakeBare(), events);
  }
}

std::string OutputParser::TakeBare() {
  bare_space_ = 0;
  return std::exchange(bare_, {});
}

void OutputParser::EmitContent(std::string_view text, OutputEvents& events) {
  if (drop_space_) text = TrimLeft(text);
  if (text.empty()) return;
  if (!TrimLeft(text).empty()) ReturnProvisional(events);
  drop_space_ = false;
  fresh_ = false;
  EmitText(EventKind::kContent, options_.tools ? HoldSpace(text, space_) : std::string(text),
           events);
}

void OutputParser::HandleInReasoning(const ScannedPart& part, OutputEvents& events) {
  if (part.marker == kReasoningClose) {
    EnterContent();
  } else if (part.marker == kCallOpen && options_.tools) {
    state_ = State::kProvisionalCall;
    AddProvisional(part);
  } else if (part.marker != kReasoningOpen || !fresh_) {
    AddReasoning(part.text, events);
  }
}

void OutputParser::AddReasoning(std::string_view text, OutputEvents& events) {
  if (drop_space_) text = TrimLeft(text);
  if (text.empty()) return;
  drop_space_ = false;
  fresh_ = false;
  EmitText(EventKind::kReasoning, HoldSpace(text, space_), events);
}

void OutputParser::AddProvisional(const ScannedPart& part) {
  constexpr size_t kMaxPartBytes = 4096;  // the rest behind each call in it is handled anew
  if (part.marker == Patterns::kNone && !provisional_.empty() &&
      provisional_.back().marker == Patterns::kNone &&
      provisional_.back().text.size() + part.text.size() <= kMaxPartBytes) {
    provisional_.back().text += part.text;
  } else {
    provisional_.push_back(part);
  }
}

// The provisional call was a draft: it goes back to the reasoning it stood in.
void OutputParser::ReturnProvisional(OutputEvents& events) {
  std::string text;
  for (const ScannedPart& part : std::exchange(provisional_, {})) text += part.text;
  const size_t last = text.find_last_not_of(kSpace);
  text.resize(last == std::string::npos ? 0 : last + 1);
  EmitText(EventKind::kReasoning, std::move(text), events);
}

void OutputParser::PromoteProvisional(OutputEvents& events) {
  EnterContent();
  queue_.insert(queue_.begin(), std::make_move_iterator(provisional_.begin()),
                std::make_move_iterator(provisional_.end()));
  provisional_.clear();
  Drain(events);
}

void OutputParser::OpenCall(std::string opener, OutputEvents& events) {
  ReturnProvisional(events);
  space_.clear();
  call_ = std::make_unique<ToolCallParser>(schemas_, std::move(opener));
  state_ = State::kCall;
}

void OutputParser::TakeCallEvents(OutputEvents parsed, OutputEvents& events) {
  for (OutputEvent& event : parsed) {
    if (event.kind == EventKind::kCallEnd) ++calls_;
    EmitText(event.kind, std::move(event.text), events);
  }
}

void OutputParser::FeedCall(std::string_view text, OutputEvents& events) {
  OutputEvents parsed;
  call_->Feed(text, parsed);
  TakeCallEvents(std::move(parsed), events);
  if (call_->ended()) LeaveCall();
}

void OutputParser::CloseCall(std::string_view closer, OutputEvents& events) {
  OutputEvents parsed;
  call_->Close(closer, parsed);
  TakeCallEvents(std::move(parsed), events);
  LeaveCall();
}

// What was fed beyond the end of the call comes next.
void OutputParser::LeaveCall() {
  std::vector<ScannedPart> rest = call_->TakeRest();
  const bool malformed = call_->malformed();
  call_.reset();
  EnterContent();
  if (malformed) {
    fresh_ = false;
    drop_space_ = false;
  }
  queue_.insert(queue_.begin(), std::make_move_iterator(rest.begin()),
                std::make_move_iterator(rest.end()));
}

void OutputParser::HandleInCall(const ScannedPart& part, OutputEvents& events) {
  const bool opens = part.marker == kCallOpen;
  const bool closes = part.marker == kCallClose;
  if ((opens || closes) && call_->takes_markers()) {
    OutputEvents parsed;
    call_->FeedMarker(part, opens, closes, parsed);
    TakeCallEvents(std::move(parsed), events);
    if (call_->ended()) LeaveCall();
  } else if (closes) {
    CloseCall(part.text, events);
  } else if (opens) {
    CloseCall("", events);
    HandleInContent(part, events);
  } else {
    FeedCall(part.text, events);
  }
}

void OutputParser::Finish(bool truncated, OutputEvents& events) {
  std::vector<ScannedPart> parts;
  scanner_.Finish(parts);
  for (ScannedPart& part : parts) queue_.push_back(std::move(part));
  Drain(events);
  if (!provisional_.empty()) {
    if (truncated) {
      ReturnProvisional(events);
    } else {
      TakeBare();
      PromoteProvisional(events);
    }
  }
  while (state_ == State::kCall) {
    OutputEvents parsed;
    call_->Finish(truncated, parsed);
    TakeCallEvents(std::move(parsed), events);
    LeaveCall();
    Drain(events);
  }
  if (state_ != State::kContent) return;
  EmitContent(TakeBare(), events);
  EmitText(EventKind::kContent, std::exchange(space_, {}), events);
}

}  // namespace mach::chat
