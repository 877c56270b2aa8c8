// What a model's output consists of.
#pragma once

#include <string>
#include <vector>

namespace mach::chat {

enum class EventKind : unsigned char {
  kContent,
  kReasoning,
  kCallStart,  // text: the function's name
  kArguments,  // text: the next part of the arguments, one JSON object in all
  kCallEnd,    // the arguments are complete
};

struct OutputEvent {
  EventKind kind = EventKind::kContent;
  std::string text;
  bool operator==(const OutputEvent&) const = default;
};
using OutputEvents = std::vector<OutputEvent>;

}  // namespace mach::chat
