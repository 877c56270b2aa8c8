#include "chat/marker_scanner.h"

#include <utility>

namespace mach::chat {
namespace {

void AddText(std::string text, std::vector<ScannedPart>& out) {
  if (!text.empty()) out.push_back({Patterns::kNone, std::move(text)});
}

}  // namespace

MarkerScanner::MarkerScanner(std::vector<std::string> markers, bool tokens)
    : markers_(std::move(markers)), tokens_(tokens), patterns_(markers_) {}

void MarkerScanner::Push(std::string_view text, bool is_token, std::vector<ScannedPart>& out) {
  if (tokens_) {
    if (is_token) {
      for (size_t i = 0; i < markers_.size(); ++i) {
        if (text != markers_[i]) continue;
        out.push_back({static_cast<int>(i), std::string(text)});
        return;
      }
    }
    AddText(std::string(text), out);
    return;
  }
  std::string run = std::exchange(held_, {});
  for (const char c : text) {
    run += c;
    node_ = patterns_.Next(node_, c);
    const int match = patterns_.Match(node_);
    if (match == Patterns::kNone) continue;
    run.resize(run.size() - patterns_.Length(match));
    AddText(std::exchange(run, {}), out);
    out.push_back({match, markers_[static_cast<size_t>(match)]});
    node_ = 0;
  }
  const size_t tail = patterns_.TailLength(node_);
  held_ = run.substr(run.size() - tail);
  run.resize(run.size() - tail);
  AddText(std::move(run), out);
}

void MarkerScanner::Finish(std::vector<ScannedPart>& out) {
  AddText(std::exchange(held_, {}), out);
  node_ = 0;
}

}  // namespace mach::chat
