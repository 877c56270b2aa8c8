// Stop strings in a stream of text.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "chat/patterns.h"

namespace mach::chat {

// The match that is complete first ends the text; of those that end with the same byte, the
// longest. Exactly the longest tail that is a proper prefix of some stop string is held back, so
// what comes out does not depend on how the text was cut.
class StopMatcher {
 public:
  // include: the text ends with the stop string instead of before it.
  StopMatcher(std::shared_ptr<const Patterns> stops, bool include)
      : stops_(std::move(stops)), include_(include) {}

  // What can be given out. Text after a match is dropped.
  std::string Push(std::string_view text);
  // What was held back, when no match came.
  std::string Finish();

  bool matched() const { return match_ != Patterns::kNone; }
  int match() const { return match_; }  // index of the stop string
  size_t bytes_in() const { return bytes_in_; }
  size_t bytes_out() const { return bytes_out_; }

 private:
  const std::shared_ptr<const Patterns> stops_;
  const bool include_;
  uint32_t node_ = 0;
  int match_ = Patterns::kNone;
  std::string held_;  // TailLength(node_) bytes
  size_t bytes_in_ = 0;
  size_t bytes_out_ = 0;
};

}  // namespace mach::chat
