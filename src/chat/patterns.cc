#include "chat/patterns.h"

namespace mach::chat {

Patterns::Patterns(std::span<const std::string> patterns) : nodes_(1) {
  for (const std::string& pattern : patterns) {
    uint32_t node = 0;
    for (const char c : pattern) {
      uint32_t next = Child(node, c);
      if (next == 0) {
        next = static_cast<uint32_t>(nodes_.size());
        nodes_[node].children.emplace_back(c, next);
        nodes_.emplace_back();
        nodes_.back().depth = nodes_[node].depth + 1;
      }
      node = next;
    }
    if (node != 0 && nodes_[node].match == kNone) {
      nodes_[node].match = static_cast<int>(lengths_.size());
    }
    lengths_.push_back(pattern.size());
  }
  // Breadth first: the failure link of a node leads to a shorter tail, which is finished by then.
  std::vector<uint32_t> order{0};
  for (size_t i = 0; i < order.size(); ++i) {
    const uint32_t parent = order[i];
    for (const auto& [c, child] : nodes_[parent].children) {
      Node& node = nodes_[child];
      node.fail = parent == 0 ? 0 : Next(nodes_[parent].fail, c);
      if (node.match == kNone) node.match = nodes_[node.fail].match;
      order.push_back(child);
    }
  }
}

uint32_t Patterns::Child(uint32_t node, char byte) const {
  for (const auto& [c, child] : nodes_[node].children) {
    if (c == byte) return child;
  }
  return 0;
}

uint32_t Patterns::Next(uint32_t node, char byte) const {
  for (;;) {
    const uint32_t child = Child(node, byte);
    if (child != 0) return child;
    if (node == 0) return 0;
    node = nodes_[node].fail;
  }
}

}  // namespace mach::chat
