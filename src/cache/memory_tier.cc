#include "cache/memory_tier.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "cache/state_shape.h"

namespace mach::cache {
namespace {

constexpr size_t kLongest = 3;              // of a conversation, that are not superseded
constexpr uint64_t kProtectedLookups = 64;  // since the last hit

size_t IdBytes(const PrefixImage& image, size_t block_tokens) {
  return image.tokens.size() * sizeof(TokenId) +
         image.tokens.size() / block_tokens * (sizeof(uint64_t) + sizeof(void*));
}

}  // namespace

// Entries, the index and by_image_ hold the same images. Invariants, which hold between calls:
//
// * Each image has exactly one entry, is found by by_image_ and by the index, and no two entries
//   have the same tokens.
// * entries_.size() <= max_entries, and the ledger's reservations are those of the entries' ids,
//   blocks and recurrent copies, at most max_bytes. A block that several images share is reserved
//   once (KvBlock::cached), and released with the last image or sequence that holds it.
// * An image is immutable once it is here; but ShareBlocks replaces its blocks by equal ones of the
//   nearest image, before it gets here.
// * now_ counts lookups: last_used <= now_.
//
// Evicted is what has the lowest (Rank, last_used): first what longer states of its conversation
// supersede, then the rest, and what was hit within kProtectedLookups only for the sake of a
// conversation that was hit itself.

MemoryTier::MemoryTier(const MemoryTierOptions& options)
    : options_(options),
      ledger_(options.max_bytes),
      index_(options.block_tokens, options.anywhere) {}

MemoryTier::Found MemoryTier::Find(std::span<const TokenId> prompt, size_t most) const {
  const PrefixIndex::Match match = index_.Find(prompt, most);
  Found found;
  found.common = match.common;
  if (match.nearest != nullptr) found.nearest = by_image_.at(match.nearest)->image;
  if (match.image == nullptr) return found;
  const Entry& entry = *by_image_.at(match.image);
  found.image = entry.image;
  found.tokens = match.tokens;
  found.conversation = entry.conversation;
  return found;
}

void MemoryTier::Hit(const PrefixImage& image) {
  ++now_;
  const auto found = by_image_.find(&image);
  if (found == by_image_.end()) return;
  found->second->last_used = now_;
  ++found->second->hits;
}

bool MemoryTier::Earned(std::string_view conversation) const {
  return std::ranges::any_of(entries_, [&](const Entry& e) {
    return e.hits != 0 && e.conversation == conversation && e.image->kind != PrefixKind::kSystem;
  });
}

MemoryTier::Rank MemoryTier::RankOf(const Entry& entry, std::string_view conversation) const {
  const auto recent = [&](const Entry& e) {
    return e.hits != 0 && now_ - e.last_used < kProtectedLookups;
  };
  if (entry.image->kind == PrefixKind::kSystem) {
    return recent(entry) ? Rank::kProtected : Rank::kPlain;
  }
  size_t longer = 0;
  bool hit = false;
  for (const Entry& e : entries_) {
    if (e.conversation != entry.conversation || e.image->kind == PrefixKind::kSystem) continue;
    if (e.image->tokens.size() > entry.image->tokens.size()) ++longer;
    hit = hit || recent(e);
  }
  if (longer >= kLongest) return Rank::kSuperseded;
  return hit && entry.conversation != conversation ? Rank::kProtected : Rank::kPlain;
}

MemoryTier::Entries::iterator MemoryTier::Victim(std::string_view conversation) {
  auto victim = entries_.end();
  std::pair<Rank, uint64_t> best;
  for (auto e = entries_.begin(); e != entries_.end(); ++e) {
    const std::pair<Rank, uint64_t> mine(RankOf(*e, conversation), e->last_used);
    if (victim != entries_.end() && mine >= best) continue;
    victim = e;
    best = mine;
  }
  if (victim != entries_.end() && best.first == Rank::kProtected && !Earned(conversation)) {
    return entries_.end();
  }
  return victim;
}

void MemoryTier::Evict(Entries::iterator entry) {
  index_.Remove(*entry->image);
  by_image_.erase(entry->image.get());
  entries_.erase(entry);
  ++evictions_;
}

bool MemoryTier::MakeRoom(size_t bytes, std::string_view conversation) {
  if (bytes > options_.max_bytes) return false;
  while (ledger_.free() < bytes) {
    const auto victim = Victim(conversation);
    if (victim == entries_.end()) return false;
    Evict(victim);
  }
  return true;
}

void MemoryTier::ShareBlocks(PrefixImage& image) const {
  const PrefixIndex::Match match = index_.Find(image.tokens, image.tokens.size());
  if (match.nearest == nullptr) return;
  for (size_t b = 0; b < match.common / kBlockTokens && b < image.blocks.size(); ++b) {
    const auto& known = match.nearest->blocks[b];
    if (known->noted || !image.blocks[b]->noted) image.blocks[b] = known;
  }
}

bool MemoryTier::Insert(std::shared_ptr<PrefixImage> image, const std::string& conversation) {
  if (const PrefixImage* known = index_.FindExact(image->tokens)) {
    Entry& entry = *by_image_.at(known);
    entry.last_used = now_;
    return true;
  }
  ShareBlocks(*image);
  const size_t ids = IdBytes(*image, options_.block_tokens);
  size_t bytes = ids;
  for (const auto& block : image->blocks) {
    if (!block->cached) bytes += block->memory.size();
  }
  if (!MakeRoom(bytes, conversation)) return false;
  while (entries_.size() >= options_.max_entries) {
    const auto victim = Victim(conversation);
    if (victim == entries_.end()) return false;
    Evict(victim);
  }
  auto reserved = ledger_.Reserve(MemoryTag::kPrefix, ids);
  if (!reserved) return false;
  image->reservation = *std::move(reserved);
  for (const auto& block : image->blocks) {
    if (block->cached) continue;
    auto claim = ledger_.Reserve(MemoryTag::kPrefix, block->memory.size());
    if (!claim) return false;
    block->reservation = *std::move(claim);
    block->cached = true;
  }
  index_.Add(*image);
  entries_.push_back({image, conversation, now_, 0});
  by_image_.emplace(image.get(), std::prev(entries_.end()));
  return true;
}

void MemoryTier::Clear() {
  for (const Entry& entry : entries_) index_.Remove(*entry.image);
  by_image_.clear();
  entries_.clear();
}

std::vector<std::shared_ptr<PrefixImage>> MemoryTier::AboutToLeave(size_t most) const {
  std::vector<std::shared_ptr<PrefixImage>> leaving;
  if (ledger_.reserved() < options_.max_bytes / 4 * 3 &&
      entries_.size() < options_.max_entries - options_.max_entries / 4) {
    return leaving;
  }
  std::vector<std::tuple<Rank, uint64_t, const Entry*>> order;
  for (const Entry& e : entries_) {
    const Rank rank = RankOf(e, "");
    if (rank != Rank::kProtected) order.emplace_back(rank, e.last_used, &e);
  }
  std::ranges::sort(order);
  for (const auto& [rank, used, entry] : order) {
    if (leaving.size() == most) break;
    // A superseded one is worth no file of its own.
    if (rank == Rank::kPlain && !entry->image->on_disk.load()) leaving.push_back(entry->image);
  }
  return leaving;
}

std::vector<std::shared_ptr<PrefixImage>> MemoryTier::NotOnDisk() const {
  std::vector<const Entry*> order;
  for (const Entry& e : entries_) {
    if (!e.image->on_disk.load() && RankOf(e, "") != Rank::kSuperseded) order.push_back(&e);
  }
  std::ranges::sort(order, [](const Entry* a, const Entry* b) {
    return std::pair(a->hits, a->last_used) > std::pair(b->hits, b->last_used);
  });
  std::vector<std::shared_ptr<PrefixImage>> images;
  for (const Entry* e : order) images.push_back(e->image);
  return images;
}

std::vector<MemoryTier::Row> MemoryTier::List() const {
  std::vector<const Entry*> order;
  for (const Entry& e : entries_) order.push_back(&e);
  std::ranges::stable_sort(order, std::greater(), &Entry::last_used);
  std::vector<Row> rows;
  for (const Entry* e : order) {
    rows.push_back({.tokens = e->image->tokens.size(),
                    .bytes = e->image->bytes(),
                    .kind = e->image->kind,
                    .conversation = e->conversation,
                    .hits = e->hits,
                    .on_disk = e->image->on_disk.load()});
  }
  return rows;
}

}  // namespace mach::cache
