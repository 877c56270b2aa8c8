// Prefixes that were computed once: in memory, and on disk.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/memory_ledger.h"
#include "base/mutex.h"
#include "cache/disk_tier.h"
#include "cache/memory_tier.h"
#include "cache/prefix_counters.h"
#include "cache/prefix_image.h"
#include "cache/sequence_state.h"

namespace mach::cache {

struct PrefixCacheOptions {
  size_t max_entries = 256;  // in memory
  size_t max_bytes = 0;      // likewise; reserved as a whole
  size_t block_tokens = 64;  // of a link of the index's chains
  AppendTokenText append_text;
  std::optional<DiskTierOptions> disk;  // its owner's sizes and append_text are filled in
};

// One sequence at a time is restored and saved, by one thread; the rest is for any thread, and
// waits for no more than a look at the index.
class PrefixCache {
 public:
  // Reserves max_bytes as `prefix`. fingerprint: of all that decides the bits of a state.
  static Result<std::unique_ptr<PrefixCache>> Create(const StateShape& shape,
                                                     const Digest& fingerprint,
                                                     const PrefixCacheOptions& options,
                                                     MemoryLedger& ledger);
  // Writes what is not on disk yet, where there is one.
  ~PrefixCache();

  struct Hit {
    size_t tokens = 0;  // that the state holds now
    bool from_disk = false;
    std::string conversation;  // for Capture and Commit
  };
  // Restores the longest cached prefix of the prompt, short of its last token, into an empty state.
  // session: the client's name for the conversation; empty: unknown.
  Hit Resume(std::span<const TokenId> prompt, std::string_view session, SequenceState& state);

  // What the state is now: `tokens` are all of its tokens. Null: it is cached already, or there is
  // no room. REQUIRES: settled, no mark; notes written.
  std::shared_ptr<PrefixImage> Capture(std::span<const TokenId> tokens, PrefixKind kind,
                                       const std::string& conversation, SequenceState& state);
  // Makes it findable. to_disk: worth a file of its own at once.
  void Commit(std::shared_ptr<PrefixImage> image, const std::string& conversation,
              SaveTrigger trigger, bool to_disk);

  // What one state takes, beside the blocks that it shares with others.
  size_t copy_bytes() const;
  size_t max_bytes() const { return options_.max_bytes; }
  // Whether a state serves every prefix of its tokens.
  bool anywhere() const { return shape_.recurrent.empty(); }

  PrefixCounters counters() const;
  std::vector<MemoryTier::Row> ListMemory() const;
  std::vector<DiskTier::Row> ListDisk() const;
  // A first token is out: what a Resume from disk left to be written down is written.
  void FirstToken();
  size_t Clear();  // of both; how many entries
  void Flush();    // waits for the disk

  // Called by Resume where it copies a state. Set before the first Resume.
  void TEST_OnRestore(std::function<void()> restoring) { restoring_ = std::move(restoring); }

 private:
  PrefixCache(const StateShape& shape, const PrefixCacheOptions& options);
  std::shared_ptr<PrefixImage> FromDisk(std::span<const TokenId> prompt, size_t more_than,
                                        const std::string& conversation);
  void NoteMiss(std::span<const TokenId> prompt, const MemoryTier::Found& found)
      EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const StateShape shape_;
  const PrefixCacheOptions options_;
  std::function<void()> restoring_;
  EntryOwner owner_;
  MemoryReservation reservation_;
  mutable Mutex mu_;
  MemoryTier memory_ GUARDED_BY(mu_);
  MemoryLedger& ledger_;  // of memory_, which is for any thread
  PrefixCounters counters_ GUARDED_BY(mu_);
  std::deque<PrefixMiss> misses_ GUARDED_BY(mu_);
  uint64_t next_conversation_ GUARDED_BY(mu_) = 0;
  std::unique_ptr<DiskTier> disk_;  // null: none; destroyed first
};

}  // namespace mach::cache
