#include "chat/stop_matcher.h"

#include <utility>

namespace mach::chat {

std::string StopMatcher::Push(std::string_view text) {
  if (matched()) return {};
  bytes_in_ += text.size();
  std::string all = std::exchange(held_, {});
  const size_t before = all.size();
  all += text;
  size_t keep = all.size();
  for (size_t i = before; i < all.size(); ++i) {
    node_ = stops_->Next(node_, all[i]);
    match_ = stops_->Match(node_);
    if (!matched()) continue;
    keep = include_ ? i + 1 : i + 1 - stops_->Length(match_);
    break;
  }
  if (!matched()) {
    keep -= stops_->TailLength(node_);
    held_ = all.substr(keep);
  }
  all.resize(keep);
  bytes_out_ += all.size();
  return all;
}

std::string StopMatcher::Finish() {
  bytes_out_ += held_.size();
  return std::exchange(held_, {});
}

}  // namespace mach::chat
