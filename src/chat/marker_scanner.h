// Finds the structural markers ("<think>", "<tool_call>") in a model's output.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "chat/patterns.h"

namespace mach::chat {

// A stretch of text, or a marker.
struct ScannedPart {
  int marker = Patterns::kNone;  // index into the markers
  std::string text;              // of a marker: its spelling
};

// With tokens, a marker is a piece that was one structural token, and the same spelling in ordinary
// text stays text. Without, markers are searched for in the text, and a tail that may become one is
// held back.
class MarkerScanner {
 public:
  MarkerScanner(std::vector<std::string> markers, bool tokens);

  void Push(std::string_view text, bool is_token, std::vector<ScannedPart>& out);
  void Finish(std::vector<ScannedPart>& out);

 private:
  std::vector<std::string> markers_;
  bool tokens_;
  Patterns patterns_;
  uint32_t node_ = 0;
  std::string held_;
};

}  // namespace mach::chat
