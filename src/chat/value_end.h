// Which markup inside an open value of a call in XML form ends the value, and which is its text.
//
// A value may hold any text, also text about calls, and models drop end tags. The rules, in this
// order, with white space of up to 64 bytes between tags:
//   1. "</parameter>" ends the value where "<parameter=" or "</function>" follows, or the end of
//      the output. "</parameter/>", "</parameter >", "</parameter=KEY>" and one without its '>'
//      count as well.
//   2. "<parameter=KEY>" ends it (its own end tag is missing) where KEY may come next: the schema
//      lists it, or lists nothing, and the call has not given it. Any other is text.
//   3. "</function>" ends it where the marker that closes the call follows, or a new call, or the
//      end of the output; so does "</parameter>" there.
//   4. The marker that closes the call ends it only where the output ends, or where the marker that
//      opens a call and "<function=NAME>" with the name of a tool follow.
// All else is text, the other markers included. Where the value began on a line of its own, the
// tags of 2 and of 3 (in front of a closing marker that 4 does not confirm) must begin their line
// or end it: within a sentence they are text.
#pragma once

#include <cstddef>
#include <functional>
#include <string_view>
#include <vector>

#include "chat/tool_values.h"

namespace mach::chat {

inline constexpr std::string_view kFunctionTag = "<function=";
inline constexpr std::string_view kFunctionEnd = "</function";  // without its '>'
inline constexpr std::string_view kParameterTag = "<parameter=";
inline constexpr std::string_view kParameterEnd = "</parameter";  // without its '>'
inline constexpr size_t kMaxNameBytes = 256;
inline constexpr size_t kMaxGapBytes = 64;  // of white space between two tags

// Names and keys as some models write them: "get_weather", 'city'.
std::string_view Unquoted(std::string_view text);
// Whether more text could make `text` begin with `whole`.
bool MayBecome(std::string_view text, std::string_view whole);

// A marker of the output's format that stands in the text of a call.
struct CallMark {
  size_t at = 0;
  size_t size = 0;
  bool opens = false;  // a call; false: closes one
};

enum class Ending : unsigned char { kOpen, kStopped, kCutOff };  // of the output: more may come
enum class Verdict : unsigned char { kText, kEnds, kUndecided };

// The text in which a value is open, and what is known about it. Views must outlive it.
struct OpenValue {
  std::string_view text;
  const std::vector<CallMark>& marks;  // in `text`, sorted
  const ToolSchemas& schemas;
  const std::function<bool(std::string_view key)>& may_come_next;
  bool by_lines = false;  // the value began on a line of its own
  Ending ending = Ending::kOpen;
};

// Of the '<' at `at`; blank_before: nothing but blanks stands between it and the beginning of its
// line. Reads a bounded number of bytes. kUndecided only while more text may come; a verdict does
// not change with more text.
Verdict Judge(const OpenValue& value, size_t at, bool blank_before);

}  // namespace mach::chat
