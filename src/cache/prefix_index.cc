#include "cache/prefix_index.h"

#include <algorithm>

#include <xxhash.h>

namespace mach::cache {

size_t CommonTokens(std::span<const TokenId> a, std::span<const TokenId> b) {
  const size_t n = std::min(a.size(), b.size());
  return static_cast<size_t>(
      std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(n), b.begin()).first -
      a.begin());
}

std::vector<uint64_t> PrefixIndex::Hashes(std::span<const TokenId> tokens) const {
  std::vector<uint64_t> hashes(tokens.size() / block_tokens_);
  uint64_t chain = 0;
  for (size_t i = 0; i < hashes.size(); ++i) {
    chain = XXH3_64bits_withSeed(tokens.data() + i * block_tokens_, block_tokens_ * sizeof(TokenId),
                                 chain);
    hashes[i] = chain;
  }
  return hashes;
}

const PrefixIndex::Node* PrefixIndex::FindNode(std::span<const uint64_t> hashes,
                                               size_t depth) const {
  if (depth == 0) return &root_;
  const auto found = nodes_.find(hashes[depth - 1]);
  return found == nodes_.end() ? nullptr : &found->second;
}

void PrefixIndex::Add(PrefixImage& image) {
  image.hashes = Hashes(image.tokens);
  root_.images.push_back(&image);
  for (const uint64_t hash : image.hashes) nodes_[hash].images.push_back(&image);
  ++size_;
}

void PrefixIndex::Remove(const PrefixImage& image) {
  std::erase(root_.images, &image);
  for (const uint64_t hash : image.hashes) {
    const auto found = nodes_.find(hash);
    if (found == nodes_.end()) continue;  // two links of one chain may have the same hash
    std::erase(found->second.images, &image);
    if (found->second.images.empty()) nodes_.erase(found);
  }
  --size_;
}

PrefixIndex::Match PrefixIndex::Find(std::span<const TokenId> prompt, size_t most) const {
  Match match;
  const std::vector<uint64_t> hashes = Hashes(prompt);
  size_t depth = 0;
  while (depth < hashes.size() && nodes_.contains(hashes[depth])) ++depth;
  // Where images part from the prompt lies behind the deepest shared block; so from there upwards
  // the first match is the longest.
  const Node* deepest = FindNode(hashes, depth);
  for (const PrefixImage* image : deepest->images) {
    const size_t common = CommonTokens(image->tokens, prompt);
    if (match.nearest != nullptr && common <= match.common) continue;
    match.nearest = image;
    match.common = common;
  }
  if (anywhere_) {
    match.tokens = std::min(match.common, most);
    if (match.tokens != 0) match.image = match.nearest;
    return match;
  }
  for (;; --depth) {
    for (const PrefixImage* image : FindNode(hashes, depth)->images) {
      const size_t n = image->tokens.size();
      if (n / block_tokens_ != depth || n <= match.tokens || n > most) continue;
      if (CommonTokens(image->tokens, prompt) != n) continue;
      match.image = image;
      match.tokens = n;
    }
    if (match.image != nullptr || depth == 0) return match;
  }
}

const PrefixImage* PrefixIndex::FindExact(std::span<const TokenId> tokens) const {
  const std::vector<uint64_t> hashes = Hashes(tokens);
  const Node* node = FindNode(hashes, hashes.size());
  if (node == nullptr) return nullptr;
  for (const PrefixImage* image : node->images) {
    if (std::ranges::equal(image->tokens, tokens)) return image;
  }
  return nullptr;
}

}  // namespace mach::cache
