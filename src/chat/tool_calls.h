// The body of one tool call, between "<tool_call>" and "</tool_call>", in the two forms that Qwen
// models write:
//   {"name": NAME, "arguments": {...}}                                     Qwen3
//   <function=NAME> <parameter=KEY> VALUE </parameter>... </function>      Qwen3-Coder, Qwen3.5
// The first character that is no white space tells which. Any input, cut anywhere, ends in events;
// what cannot be read as a call is given back as content.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "chat/output_event.h"
#include "chat/tool_values.h"

namespace mach::chat {

class ToolCallParser {
 public:
  // opener: given back in front of a body that is no call. schemas must outlive the parser.
  ToolCallParser(const ToolSchemas& schemas, std::string opener)
      : schemas_(schemas), raw_(std::move(opener)) {}

  void Feed(std::string_view text, OutputEvents& events);
  // The call is over; TakeRest gives what was fed beyond its end.
  bool ended() const { return state_ == State::kEnded; }
  bool started() const { return started_; }  // kCallStart was given out
  bool malformed() const { return malformed_; }
  std::string TakeRest();

  // "</tool_call>" or the end of the output. truncated: the output was cut off, so that an open
  // call stays open: no kCallEnd.
  void Close(bool truncated, std::string_view closer, OutputEvents& events);

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
  void Run(OutputEvents& events);

  void Fail(OutputEvents& events);
  void Start(std::string_view name, OutputEvents& events);
  void AddValueText(std::string_view text, OutputEvents& events);
  void EndValue(OutputEvents& events);
  void EndCall(OutputEvents& events);
  void CloseJson(bool truncated, std::string_view closer, OutputEvents& events);

  const ToolSchemas& schemas_;
  State state_ = State::kOpening;
  std::string raw_;      // all that was fed, until the call has started
  std::string pending_;  // fed and not understood yet
  size_t scanned_ = 0;   // of pending_, in kValue: holds no end of the value that begins before
  bool started_ = false;
  bool malformed_ = false;

  std::string name_;
  std::set<std::string> keys_;
  std::string key_;
  std::vector<ValueType> types_;
  bool streams_ = false;       // the value is a string for certain
  bool ignored_ = false;       // the key came before
  bool value_opened_ = false;  // its first line break was looked for
  std::string value_;          // of a value that does not stream
};

// {"name","arguments"} as the models write it: "parameters" for "arguments", arguments as a string,
// a code fence around. False when it is no call.
bool ParseJsonCall(std::string_view body, std::string& name, std::string& arguments);

}  // namespace mach::chat
