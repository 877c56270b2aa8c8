// The body of one tool call, between "<tool_call>" and "</tool_call>", in the two forms that Qwen
// models write:
//   {"name": NAME, "arguments": {...}}                                     Qwen3
//   <function=NAME> <parameter=KEY> VALUE </parameter>... </function>      Qwen3-Coder, Qwen3.5
// The first character that is no white space tells which. Any input, cut anywhere, ends in events;
// what cannot be read as a call is given back as content. Where a value of the XML form ends:
// value_end.h; in the JSON form, an open string literal holds any text.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "chat/marker_scanner.h"
#include "chat/output_event.h"
#include "chat/tool_values.h"
#include "chat/value_end.h"

namespace mach::chat {

class ToolCallParser {
 public:
  // opener: given back in front of a body that is no call. schemas must outlive the parser.
  ToolCallParser(const ToolSchemas& schemas, std::string opener);
  ToolCallParser(const ToolCallParser&) = delete;
  ToolCallParser& operator=(const ToolCallParser&) = delete;

  void Feed(std::string_view text, OutputEvents& events);
  // The call is over; TakeRest gives what was fed beyond its end.
  bool ended() const { return state_ == State::kEnded; }
  bool started() const { return started_; }  // kCallStart was given out
  bool malformed() const { return malformed_; }
  std::vector<ScannedPart> TakeRest();

  // Whether a marker may be text here: FeedMarker takes it then, and decides. Elsewhere markers are
  // the caller's, who calls Close.
  bool takes_markers() const { return state_ == State::kValue || in_string_; }
  // part.marker: any but Patterns::kNone. opens, closes: whether it opens or closes a call.
  void FeedMarker(const ScannedPart& part, bool opens, bool closes, OutputEvents& events);

  // The marker that closes the call, where takes_markers() is false. No rest is left.
  void Close(std::string_view closer, OutputEvents& events);
  // The end of the output. cut_off: by a limit, so that an open call stays open: no kCallEnd.
  void Finish(bool cut_off, OutputEvents& events);

 private:
  enum class State : unsigned char {
    kOpening,    // white space, or a code fence
    kJson,       // all of the body is kept
    kName,       // after "<function="
    kBetween,    // before "<parameter=" or "</function>"
    kKey,        // after "<parameter="
    kValue,      // after "<parameter=KEY>"
    kMalformed,  // all of it is content
    kEnded,
  };

  // Each returns true when it consumed something and the state machine can go on.
  bool StepOpening(OutputEvents& events);
  bool StepName(OutputEvents& events);
  bool StepBetween(OutputEvents& events);
  bool StepKey(OutputEvents& events);
  bool StepValue(OutputEvents& events);
  bool OpenValueText();
  void Run(OutputEvents& events);

  std::string_view pending() const { return std::string_view(buffer_).substr(begin_); }
  void Take(size_t bytes) { begin_ += bytes; }  // from the front of pending()
  void Compact();
  void FollowJson();

  void Fail(OutputEvents& events);
  void Start(std::string_view name, OutputEvents& events);
  void AddValueText(std::string_view text, OutputEvents& events);
  void EndValue(OutputEvents& events);
  void EndCall(OutputEvents& events);
  void CloseJson(bool cut_off, std::string_view closer, OutputEvents& events);
  void Leave(bool cut_off, std::string_view closer, OutputEvents& events);

  const ToolSchemas& schemas_;
  const std::function<bool(std::string_view)> may_come_next_;
  State state_ = State::kOpening;
  Ending ending_ = Ending::kOpen;
  std::string raw_;     // all that was fed, until the call has started
  std::string buffer_;  // fed; from begin_ on not understood yet
  size_t begin_ = 0;
  std::vector<CallMark> marks_;  // of calls, in buffer_
  std::vector<int> markers_;     // their numbers
  bool started_ = false;
  bool malformed_ = false;

  // Of kJson: how far the body was followed, and whether that is inside a string literal.
  size_t followed_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;

  std::string name_;
  std::set<std::string, std::less<>> keys_;
  std::string key_;
  std::vector<ValueType> types_;
  bool streams_ = false;       // the value is a string for certain
  bool may_be_null_ = false;   // unless it turns out to be null: value_ is held
  bool ignored_ = false;       // the key came before
  bool value_opened_ = false;  // its first line break was looked for
  bool by_lines_ = false;      // and found
  bool blank_line_ = false;    // what is between scanned_ and the beginning of its line is blank
  size_t scanned_ = 0;         // in buffer_: what begins before holds no end of the value
  std::string value_;          // of a value that does not stream, or may be null
};

// {"name","arguments"} as the models write it: "parameters" for "arguments", arguments as a string,
// a code fence around. False when it is no call.
bool ParseJsonCall(std::string_view body, std::string& name, std::string& arguments);

}  // namespace mach::chat
