#include "cache/prefix_cache.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/log.h"

namespace mach::cache {
namespace {

constexpr size_t kMisses = 8;       // that are remembered
constexpr size_t kShownTokens = 8;  // of where prompts part
// Fewer tokens are computed sooner than read.
constexpr size_t kLeastDiskGain = 32;
constexpr int kDiskTries = 4;          // shorter and shorter entries, where longer ones are damaged
constexpr size_t kAheadOfLeaving = 2;  // images that are written before they leave

std::vector<TokenId> Part(std::span<const TokenId> tokens, size_t from) {
  tokens = tokens.subspan(std::min(from, tokens.size()));
  tokens = tokens.first(std::min(kShownTokens, tokens.size()));
  return {tokens.begin(), tokens.end()};
}

}  // namespace

PrefixCache::PrefixCache(const StateShape& shape, const PrefixCacheOptions& options)
    : shape_(shape),
      options_(options),
      memory_({.max_entries = options.max_entries,
               .max_bytes = options.max_bytes,
               .block_tokens = options.block_tokens,
               .anywhere = anywhere()}),
      ledger_(memory_.ledger()) {}

Result<std::unique_ptr<PrefixCache>> PrefixCache::Create(const StateShape& shape,
                                                         const Digest& fingerprint,
                                                         const PrefixCacheOptions& options,
                                                         MemoryLedger& ledger) {
  MACH_CHECK(options.max_entries > 0 && options.block_tokens > 0);
  std::unique_ptr<PrefixCache> made(new PrefixCache(shape, options));
  made->owner_ = OwnerOf(fingerprint, shape);
  MACH_TRY(made->reservation_, ledger.Reserve(MemoryTag::kPrefix, options.max_bytes));
  if (options.disk) {
    DiskTierOptions disk = *options.disk;
    disk.owner = made->owner_;
    disk.append_text = options.append_text;
    auto tier = DiskTier::Open(std::move(disk));
    if (tier) {
      made->disk_ = *std::move(tier);
    } else {
      LogWarning("prefix cache: " + tier.error().message +
                 "; nothing is kept on disk until the next start");
    }
  }
  return made;
}

PrefixCache::~PrefixCache() {
  if (disk_ == nullptr) return;
  // The most valuable last, so that no other displaces them.
  const auto left = memory_.NotOnDisk();
  for (auto image = left.rbegin(); image != left.rend(); ++image) {
    disk_->Save(*image, SaveTrigger::kShutdown);
    disk_->Flush();
  }
}

size_t PrefixCache::copy_bytes() const { return owner_.recurrent_bytes + owner_.block_bytes; }

void PrefixCache::NoteMiss(std::span<const TokenId> prompt, const MemoryTier::Found& found) {
  ++counters_.misses;
  memory_.Miss();
  PrefixMiss miss;
  miss.prompt_tokens = prompt.size();
  miss.common_tokens = found.common;
  if (found.nearest == nullptr) {
    miss.reason = MissReason::kEmpty;
  } else {
    miss.reason = found.common == 0                             ? MissReason::kNothingAlike
                  : found.common + 1 >= prompt.size()           ? MissReason::kNoState
                  : found.common < found.nearest->tokens.size() ? MissReason::kDiverged
                                                                : MissReason::kNoState;
    miss.wanted = Part(prompt, found.common);
    miss.cached = Part(found.nearest->tokens, found.common);
  }
  LogInfo("prefix cache: miss of " + std::to_string(prompt.size()) + " tokens, reason " +
          std::string(MissReasonName(miss.reason)) + " at token " + std::to_string(found.common));
  misses_.push_front(std::move(miss));
  if (misses_.size() > kMisses) misses_.pop_back();
}

std::shared_ptr<PrefixImage> PrefixCache::FromDisk(std::span<const TokenId> prompt,
                                                   size_t more_than,
                                                   const std::string& conversation) {
  if (disk_ == nullptr || prompt.size() <= more_than + kLeastDiskGain) return nullptr;
  size_t most = prompt.size() - 1;
  for (int i = 0; i < kDiskTries; ++i) {
    const auto candidate = disk_->Find(prompt, more_than + kLeastDiskGain - 1, most);
    if (!candidate) return nullptr;
    {
      const MutexLock lock(mu_);
      if (!memory_.MakeRoom(EntryFileBytes(owner_, candidate->tokens), conversation)) {
        ++counters_.refused;
        return nullptr;
      }
    }
    auto image = disk_->Load(*candidate, prompt, ledger_);
    if (image != nullptr) return image;
    most = candidate->tokens - 1;
  }
  return nullptr;
}

PrefixCache::Hit PrefixCache::Resume(std::span<const TokenId> prompt, std::string_view session,
                                     SequenceState& state) {
  Hit hit;
  MemoryTier::Found found;
  {
    const MutexLock lock(mu_);
    found = memory_.Find(prompt, prompt.size() - 1);
    if (!session.empty()) {
      hit.conversation = "=" + std::string(session);
    } else if (found.image != nullptr && found.image->kind != PrefixKind::kSystem) {
      hit.conversation = found.conversation;
    } else {
      hit.conversation = "#" + std::to_string(next_conversation_++);
    }
  }
  std::shared_ptr<PrefixImage> image = FromDisk(prompt, found.tokens, hit.conversation);
  {
    const MutexLock lock(mu_);
    if (image != nullptr) {
      hit.from_disk = true;
      hit.tokens = image->tokens.size();
      memory_.Insert(image, hit.conversation);  // used below even where there is no room for it
      ++counters_.disk_hits;
    } else {
      image = found.image;
      hit.tokens = found.tokens;
    }
    if (image == nullptr) {
      NoteMiss(prompt, found);
      return hit;
    }
    ++counters_.hits;
    counters_.tokens_saved += hit.tokens;
    memory_.Hit(*image);
  }
  // Without the lock, which statistics take: the recurrent state may be tens of megabytes. The
  // image does not change any more, and is held here even where Clear or an eviction lets it go.
  if (restoring_) restoring_();
  const size_t blocks =
      std::min(image->blocks.size(), (hit.tokens + kBlockTokens - 1) / kBlockTokens);
  state.Restore(std::span(image->blocks).first(blocks), image->recurrent.get(), hit.tokens);
  return hit;
}

std::shared_ptr<PrefixImage> PrefixCache::Capture(std::span<const TokenId> tokens, PrefixKind kind,
                                                  const std::string& conversation,
                                                  SequenceState& state) {
  MACH_CHECK(!tokens.empty() && state.length() == tokens.size());
  const bool has_tail = tokens.size() % kBlockTokens != 0 && owner_.block_bytes != 0;
  {
    const MutexLock lock(mu_);
    if (memory_.Has(tokens)) return nullptr;
    const size_t bytes = owner_.recurrent_bytes + (has_tail ? owner_.block_bytes : 0);
    if (!memory_.MakeRoom(bytes, conversation)) {
      ++counters_.refused;
      return nullptr;
    }
  }
  auto image = std::make_shared<PrefixImage>();
  image->kind = kind;
  image->tokens.assign(tokens.begin(), tokens.end());
  if (owner_.recurrent_bytes != 0) {
    auto copy = state.CopyRecurrent(ledger_, MemoryTag::kPrefix);
    if (!copy) return nullptr;
    image->recurrent = *std::move(copy);
  }
  if (owner_.block_bytes == 0) return image;
  for (size_t b = 0; b < tokens.size() / kBlockTokens; ++b) {
    image->blocks.push_back(state.ShareBlock(b));
  }
  if (has_tail) {
    auto tail = state.CopyTail(ledger_, MemoryTag::kPrefix);
    if (!tail) return nullptr;
    (*tail)->cached = true;
    image->blocks.push_back(*std::move(tail));
  }
  return image;
}

void PrefixCache::Commit(std::shared_ptr<PrefixImage> image, const std::string& conversation,
                         SaveTrigger trigger, bool to_disk) {
  std::vector<std::shared_ptr<PrefixImage>> leaving;
  {
    const MutexLock lock(mu_);
    if (!memory_.Insert(image, conversation)) {
      ++counters_.refused;
      return;
    }
    ++counters_.saves[static_cast<size_t>(trigger)];
    if (disk_ != nullptr) leaving = memory_.AboutToLeave(kAheadOfLeaving);
  }
  if (disk_ == nullptr) return;
  if (to_disk) disk_->Save(std::move(image), trigger);
  for (auto& other : leaving) disk_->Save(std::move(other), SaveTrigger::kDisplaced);
}

PrefixCounters PrefixCache::counters() const {
  PrefixCounters counters;
  {
    const MutexLock lock(mu_);
    counters = counters_;
    counters.entries = memory_.entries();
    counters.bytes = memory_.bytes();
    counters.evictions = memory_.evictions();
    counters.last_misses.assign(misses_.begin(), misses_.end());
  }
  counters.max_entries = options_.max_entries;
  counters.max_bytes = options_.max_bytes;
  if (disk_ == nullptr) return counters;
  counters.has_disk = true;
  counters.disk = disk_->stats();
  // What went to the disk for another reason than being new.
  for (const SaveTrigger trigger : {SaveTrigger::kDisplaced, SaveTrigger::kShutdown}) {
    counters.saves[static_cast<size_t>(trigger)] =
        counters.disk.saves[static_cast<size_t>(trigger)];
  }
  return counters;
}

std::vector<MemoryTier::Row> PrefixCache::ListMemory() const {
  const MutexLock lock(mu_);
  return memory_.List();
}

std::vector<DiskTier::Row> PrefixCache::ListDisk() const {
  return disk_ == nullptr ? std::vector<DiskTier::Row>() : disk_->List();
}

size_t PrefixCache::Clear() {
  size_t removed;
  {
    const MutexLock lock(mu_);
    removed = memory_.entries();
    memory_.Clear();
  }
  if (disk_ != nullptr) removed += disk_->Clear();
  return removed;
}

void PrefixCache::FirstToken() {
  if (disk_ != nullptr) disk_->NoteLoads();
}

void PrefixCache::Flush() {
  if (disk_ != nullptr) disk_->Flush();
}

}  // namespace mach::cache
