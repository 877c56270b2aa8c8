// Several strings searched for at once, byte by byte (Aho and Corasick, 1975).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace mach::chat {

// Immutable after construction. A node stands for the longest tail of what was read that begins a
// pattern; 0 is the start.
class Patterns {
 public:
  static constexpr int kNone = -1;

  // Empty patterns are never found. Of equal ones the first counts.
  explicit Patterns(std::span<const std::string> patterns);

  bool empty() const { return nodes_.size() == 1; }
  uint32_t Next(uint32_t node, char byte) const;
  size_t TailLength(uint32_t node) const { return nodes_[node].depth; }
  // Index of the longest pattern that ends here, or kNone.
  int Match(uint32_t node) const { return nodes_[node].match; }
  size_t Length(int pattern) const { return lengths_[static_cast<size_t>(pattern)]; }

 private:
  struct Node {
    std::vector<std::pair<char, uint32_t>> children;
    uint32_t fail = 0;
    uint32_t depth = 0;
    int match = kNone;
  };
  uint32_t Child(uint32_t node, char byte) const;  // 0: none
  std::vector<Node> nodes_;
  std::vector<size_t> lengths_;
};

}  // namespace mach::chat
