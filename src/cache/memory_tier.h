// The prefixes in memory, within bounds.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/memory_ledger.h"
#include "cache/prefix_image.h"
#include "cache/prefix_index.h"

namespace mach::cache {

struct MemoryTierOptions {
  size_t max_entries = 0;
  size_t max_bytes = 0;
  size_t block_tokens = 64;  // of the index
  bool anywhere = false;     // as PrefixIndex
};

// What leaves first, when room is needed:
//   1. superseded prefixes: all but the longest few of a conversation;
//   2. the others, least recently used first;
//   3. protected ones: the longest few of another conversation that was hit not long ago, and
//      system parts likewise. Only a conversation that was hit itself may displace them, so that a
//      side request never costs the main conversation its prefix.
// Used under the caller's lock.
class MemoryTier {
 public:
  explicit MemoryTier(const MemoryTierOptions& options);

  // The tier's budget, as a ledger of its own: what its images are made of is reserved here.
  // Thread-safe.
  MemoryLedger& ledger() { return ledger_; }
  const MemoryTierOptions& options() const { return options_; }

  struct Found {
    std::shared_ptr<PrefixImage> image;  // null: nothing to begin with
    size_t tokens = 0;
    std::shared_ptr<PrefixImage> nearest;  // null: the tier is empty
    size_t common = 0;
    std::string conversation;  // of `image`
  };
  Found Find(std::span<const TokenId> prompt, size_t most) const;
  // Whether there is an image of exactly these tokens.
  bool Has(std::span<const TokenId> tokens) const { return index_.FindExact(tokens) != nullptr; }
  // Counts a hit of the image, and a step of the tier's time.
  void Hit(const PrefixImage& image);
  void Miss() { ++now_; }

  // Lets prefixes leave until `bytes` are free in the ledger. False: they do not become so.
  bool MakeRoom(size_t bytes, std::string_view conversation);

  // Takes an image over, its blocks into the tier's budget. Blocks that another image has already
  // are shared with it. False: there is no room for it. An image of the same tokens is kept instead
  // of the new one; true then.
  bool Insert(std::shared_ptr<PrefixImage> image, const std::string& conversation);
  void Clear();

  // The next ones to leave that are not on disk, when the tier is three quarters full.
  std::vector<std::shared_ptr<PrefixImage>> AboutToLeave(size_t most) const;
  // Those that are not on disk, most valuable first.
  std::vector<std::shared_ptr<PrefixImage>> NotOnDisk() const;

  struct Row {
    size_t tokens = 0;
    size_t bytes = 0;
    PrefixKind kind = PrefixKind::kMessage;
    std::string conversation;
    uint64_t hits = 0;
    bool on_disk = false;
  };
  std::vector<Row> List() const;  // most recently used first
  size_t entries() const { return entries_.size(); }
  size_t bytes() const { return ledger_.reserved(); }
  uint64_t evictions() const { return evictions_; }
  // Whether the conversation has been hit.
  bool Earned(std::string_view conversation) const;

 private:
  struct Entry {
    std::shared_ptr<PrefixImage> image;
    std::string conversation;
    uint64_t last_used = 0;
    uint64_t hits = 0;
  };
  using Entries = std::list<Entry>;
  enum class Rank : uint8_t { kSuperseded, kPlain, kProtected };

  Rank RankOf(const Entry& entry, std::string_view conversation) const;
  // The next one to leave for the sake of `conversation`; end(): none may.
  Entries::iterator Victim(std::string_view conversation);
  void Evict(Entries::iterator entry);
  void ShareBlocks(PrefixImage& image) const;

  const MemoryTierOptions options_;
  MemoryLedger ledger_;
  PrefixIndex index_;
  Entries entries_;
  std::unordered_map<const PrefixImage*, Entries::iterator> by_image_;
  uint64_t now_ = 0;  // lookups
  uint64_t evictions_ = 0;
};

}  // namespace mach::cache
