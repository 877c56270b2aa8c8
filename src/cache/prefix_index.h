// Finds the longest cached prefix of a prompt. Blocks of tokens are chained by hash; the token ids
// are compared always.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "cache/prefix_image.h"

namespace mach::cache {

// Images belong to the caller, and stay until they are removed. Used under the caller's lock.
class PrefixIndex {
 public:
  // block_tokens: of one link of the chain; at least 1. anywhere: an image serves every prefix of
  // its tokens (no recurrent layers), else just all of them.
  PrefixIndex(size_t block_tokens, bool anywhere)
      : block_tokens_(block_tokens), anywhere_(anywhere) {}

  // Sets the image's hashes.
  void Add(PrefixImage& image);
  void Remove(const PrefixImage& image);

  struct Match {
    const PrefixImage* image = nullptr;  // null: nothing to begin with
    size_t tokens = 0;                   // of the prompt that it spares
    // What has most in common with the prompt, useful or not: where they part.
    const PrefixImage* nearest = nullptr;
    size_t common = 0;
  };
  // At most `most` tokens are wanted.
  Match Find(std::span<const TokenId> prompt, size_t most) const;
  // The image of exactly these tokens, or null.
  const PrefixImage* FindExact(std::span<const TokenId> tokens) const;

  size_t size() const { return size_; }

 private:
  // All images that begin with the same blocks.
  struct Node {
    std::vector<const PrefixImage*> images;
  };
  // Chained hashes of the whole blocks of `tokens`.
  std::vector<uint64_t> Hashes(std::span<const TokenId> tokens) const;
  const Node* FindNode(std::span<const uint64_t> hashes, size_t depth) const;

  const size_t block_tokens_;
  const bool anywhere_;
  size_t size_ = 0;
  Node root_;  // of all images
  std::unordered_map<uint64_t, Node> nodes_;
};

// How many of the first tokens are equal.
size_t CommonTokens(std::span<const TokenId> a, std::span<const TokenId> b);

}  // namespace mach::cache
