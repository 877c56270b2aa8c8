#include "cache/disk_tier.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include <unistd.h>

#include "base/log.h"

namespace mach::cache {
namespace {

const Clock& MachineClock() {
  static const SystemClock clock;
  return clock;
}

std::string KeyBytes(const Digest& key) { return {key.begin(), key.end()}; }

}  // namespace

// Three truths, in the order in which they are believed: the files, which carry their own checksums
// and key; the index (a database that processes share), whose rows say what lies in the directory
// and what it is worth; and by_tokens_, this process's copy of the rows of its own model, which
// Find looks at without waiting for either.
//
// Invariants:
//
// * A row with writer == 0 names a whole file. A row with a writer names one that is being written
//   by that process; Recover removes it when the process is gone.
// * A file is listed after it is complete (Commit, then Put), and unlisted before it is removed. So
//   a listed file that is missing or damaged was changed by somebody else: Load says so, and the
//   writer removes the row.
// * The bytes of all rows are at most the budget less what is quarantined: Begin evicts before a
//   file is written.
// * Only the thread (Loop), Open and Clear write the index, under index_mu_. Find reads its version
//   only where nobody else holds index_mu_. mu_ is never held over a file or the index.
// * by_tokens_ may lag behind the index (until the next Mirror) and miss entries; it never has one
//   that Forget removed in this process, until it is written anew.

DiskTier::DiskTier(DiskTierOptions options)
    : options_(std::move(options)),
      fs_(options_.fs != nullptr ? *options_.fs : io::PosixFileSystem()),
      clock_(options_.clock != nullptr ? *options_.clock : MachineClock()) {
  stats_.budget_bytes = options_.budget_bytes;
}

Result<std::unique_ptr<DiskTier>> DiskTier::Open(DiskTierOptions options) {
  std::unique_ptr<DiskTier> made(new DiskTier(std::move(options)));
  MACH_RETURN_IF_ERROR(made->OpenIndex());
  {
    const MutexLock lock(made->index_mu_);
    MACH_RETURN_IF_ERROR(made->Mirror());
  }
  made->thread_ = std::thread([tier = made.get()] { tier->Loop(); });
  return made;
}

DiskTier::~DiskTier() {
  if (!thread_.joinable()) return;
  {
    const MutexLock lock(mu_);
    stop_ = true;
  }
  wake_.NotifyAll();
  thread_.join();
}

int64_t DiskTier::Now() const { return clock_.UnixSeconds(); }

// "FINGERPRINT-KEY.mpfx1"; of the fingerprint enough to keep models apart in a listing.
std::string DiskTier::NameOf(const Digest& key) const {
  constexpr size_t kFingerprintDigits = 16;
  return DigestHex(options_.owner.fingerprint).substr(0, kFingerprintDigits) + "-" +
         DigestHex(key) + std::string(kEntrySuffix);
}

Status DiskTier::Mirror() {
  MACH_TRY(const int64_t version, index_->Version());
  MACH_TRY(std::vector<DiskRow> rows, index_->All());
  seen_version_ = version;
  EntryMap fresh;
  uint64_t bytes = 0;
  uint64_t count = 0;
  for (DiskRow& row : rows) {
    bytes += row.bytes;
    if (row.fingerprint != options_.owner.fingerprint || row.writer != 0) continue;
    ++count;
    auto& entries = fresh[static_cast<size_t>(row.tokens)];
    entries.insert_or_assign(KeyBytes(row.key), std::move(row));
  }
  const MutexLock lock(mu_);
  by_tokens_.swap(fresh);
  total_bytes_ = bytes;
  stats_.entries = count;
  return Ok();
}

std::optional<DiskTier::Candidate> DiskTier::Find(std::span<const TokenId> prompt, size_t more_than,
                                                  size_t most) {
  if (index_mu_.TryLock()) {
    const MutexLock lock(index_mu_, std::adopt_lock);
    // Another process may have added some.
    const auto version = index_->Version();
    if (version.ok() && *version != seen_version_) (void)Mirror();
  }
  const MutexLock lock(mu_);
  std::optional<Candidate> best;
  PrefixKeys keys(options_.append_text);
  size_t at = 0;
  for (auto it = by_tokens_.upper_bound(more_than); it != by_tokens_.end() && it->first <= most;
       ++it) {
    keys.Append(prompt.subspan(at, it->first - at));
    at = it->first;
    const auto found = it->second.find(KeyBytes(keys.digest()));
    if (found != it->second.end()) best = {found->second.name, it->first};
  }
  return best;
}

void DiskTier::Forget(const std::string& name) {
  const MutexLock lock(mu_);
  for (auto& [tokens, entries] : by_tokens_) {
    stats_.entries -= std::erase_if(entries, [&](const auto& e) { return e.second.name == name; });
  }
  std::erase_if(by_tokens_, [](const auto& e) { return e.second.empty(); });
}

std::shared_ptr<PrefixImage> DiskTier::Load(const Candidate& candidate,
                                            std::span<const TokenId> prompt, MemoryLedger& ledger) {
  auto image = ReadEntry(fs_, options_.readers, PathOf(candidate.name), options_.owner,
                         candidate.tokens, ledger);
  if (!image) {
    LoadFailed(candidate, image.error());
    return nullptr;
  }
  if (!std::ranges::equal((*image)->tokens, prompt.first(candidate.tokens))) {
    Forget(candidate.name);  // another spelling of the same text
    return nullptr;
  }
  const MutexLock lock(mu_);
  loads_.push_back({candidate, false});
  return *std::move(image);
}

void DiskTier::Warn(const std::string& message) {
  const auto left_out = lines_.Admit(clock_.NowNs());
  if (!left_out) return;
  const std::string more =
      *left_out > 0 ? " (" + std::to_string(*left_out) + " lines like this were left out)" : "";
  LogWarning("prefix cache: " + message + more);
}

void DiskTier::LoadFailed(const Candidate& candidate, const Error& error) {
  if (error.code == Code::kNoMemory) return;
  Forget(candidate.name);
  if (error.code == Code::kInvalidArgument) return;  // another spelling of the same text
  const bool damaged = error.code == Code::kCorrupt || error.code == Code::kUnsupported;
  if (damaged) Quarantine(candidate.name, error);
  const MutexLock lock(mu_);
  if (damaged || error.code == Code::kNotFound) {
    loads_.push_back({candidate, true});
    return;
  }
  Warn(error.message);
  ++stats_.errors;
}

void DiskTier::NoteLoads() {
  const MutexLock lock(mu_);
  if (loads_.empty()) return;
  loads_due_ = true;
  wake_.NotifyAll();
}

void DiskTier::Save(std::shared_ptr<PrefixImage> image, SaveTrigger trigger) {
  if (image->on_disk.load()) return;
  const MutexLock lock(mu_);
  const auto waits = [&](const Job& job) { return job.image == image; };
  if (std::ranges::any_of(jobs_, waits)) return;
  const auto is_save = [](const Job& job) { return job.image != nullptr; };
  if (static_cast<size_t>(std::ranges::count_if(jobs_, is_save)) >= options_.most_waiting) {
    jobs_.erase(std::ranges::find_if(jobs_, is_save));
    ++stats_.dropped;
  }
  jobs_.push_back({.image = std::move(image), .trigger = trigger});
  wake_.NotifyAll();
}

void DiskTier::Flush() {
  NoteLoads();
  const MutexLock lock(mu_);
  while (!jobs_.empty() || !loads_.empty() || writing_) idle_.Wait(mu_);
}

void DiskTier::Loop() {
  MutexLock lock(mu_);
  for (;;) {
    while (!stop_ && !loads_due_ && jobs_.empty()) wake_.Wait(mu_);
    const std::vector<LoadNote> loads = std::exchange(loads_, {});
    loads_due_ = false;
    Job job;
    if (!jobs_.empty()) {
      job = std::move(jobs_.front());
      jobs_.pop_front();
    } else if (loads.empty() && stop_) {
      return;
    }
    writing_ = true;
    lock.Unlock();
    WriteLoads(loads);
    if (job.image != nullptr) Write(job);
    job = {};  // before it counts as done: the memory is given back
    lock.Lock();
    writing_ = false;
    if (jobs_.empty() && loads_.empty()) idle_.NotifyAll();
  }
}

void DiskTier::WriteLoads(const std::vector<LoadNote>& loads) {
  const MutexLock index_lock(index_mu_);
  const int64_t now = Now();
  for (const LoadNote& load : loads) {
    if (load.gone) {
      // Unless another process has written it anew.
      if (!fs_.Exists(PathOf(load.entry.name))) (void)index_->Remove(load.entry.name);
      continue;
    }
    if (!index_->Touch(load.entry.name, now).ok()) continue;
    const MutexLock lock(mu_);
    const auto same = by_tokens_.find(load.entry.tokens);
    if (same == by_tokens_.end()) continue;
    for (auto& [key, row] : same->second) {
      if (row.name != load.entry.name) continue;
      row.hits = EffectiveHits(row.hits, row.touched, now) + 1;
      row.touched = now;
    }
  }
}

Status DiskTier::WriteFile(const PrefixImage& image, const DiskRow& row) {
  MACH_TRY(const auto file, options_.create(PathOf(row.name)));
  MACH_RETURN_IF_ERROR(WriteEntry(image, options_.owner, row.key, *file));
  return file->Commit();
}

void DiskTier::Write(const Job& job) {
  PrefixImage& image = *job.image;
  DiskRow row;
  row.key = PrefixKey(image.tokens, options_.append_text);
  row.name = NameOf(row.key);
  row.fingerprint = options_.owner.fingerprint;
  row.tokens = image.tokens.size();
  row.kind = image.kind;
  row.bytes = EntryFileBytes(options_.owner, image.tokens.size());
  row.touched = Now();
  row.writer = getpid();
  {
    const MutexLock lock(mu_);
    const auto same = by_tokens_.find(image.tokens.size());
    if (same != by_tokens_.end() && same->second.contains(KeyBytes(row.key))) {
      image.on_disk = true;
      return;
    }
  }
  std::vector<std::string> gone;
  {
    const MutexLock lock(index_mu_);
    const uint64_t damaged = DamagedBytes();
    auto begun =
        index_->Begin(row, options_.budget_bytes - std::min(options_.budget_bytes, damaged),
                      options_.eviction, row.touched);
    if (!begun) {
      Warn(begun.error().message);
      const MutexLock stats_lock(mu_);
      ++(begun.error().code == Code::kNoMemory ? stats_.dropped : stats_.errors);
      return;
    }
    gone = *std::move(begun);
    (void)Mirror();
  }
  std::error_code ignored;
  for (const std::string& name : gone) std::filesystem::remove(PathOf(name), ignored);
  const Status written = WriteFile(image, row);

  const MutexLock lock(index_mu_);
  Status listed = Ok();
  if (written.ok()) {
    row.writer = 0;
    listed = index_->Put(row);
  } else {
    std::filesystem::remove(PathOf(row.name), ignored);  // an older one of that name, unlisted now
    listed = index_->Remove(row.name);
  }
  (void)Mirror();
  const MutexLock stats_lock(mu_);
  stats_.evictions += gone.size();
  for (const Status* status : {&written, &std::as_const(listed)}) {
    if (status->ok()) continue;
    Warn(status->error().message);
    ++stats_.errors;
  }
  if (!written.ok()) return;
  image.on_disk = true;
  ++stats_.saves[static_cast<size_t>(job.trigger)];
}

size_t DiskTier::Clear() {
  const MutexLock lock(index_mu_);
  {
    const MutexLock jobs_lock(mu_);
    std::erase_if(jobs_, [](const Job& job) { return job.image != nullptr; });
  }
  size_t removed = 0;
  const auto rows = index_->All();
  if (!rows) return removed;
  std::error_code ignored;
  for (const DiskRow& row : *rows) {
    if (row.fingerprint != options_.owner.fingerprint || row.writer != 0) continue;
    if (!index_->Remove(row.name).ok()) continue;
    std::filesystem::remove(PathOf(row.name), ignored);
    ++removed;
  }
  (void)Mirror();
  return removed;
}

std::vector<DiskTier::Row> DiskTier::List() const {
  const MutexLock lock(mu_);
  std::vector<Row> rows;
  const int64_t now = Now();
  for (const auto& [tokens, entries] : by_tokens_) {
    for (const auto& [key, row] : entries) {
      rows.push_back({tokens, row.bytes, row.kind, EffectiveHits(row.hits, row.touched, now)});
    }
  }
  return rows;
}

DiskStats DiskTier::stats() const {
  const MutexLock lock(mu_);
  DiskStats stats = stats_;
  stats.bytes = total_bytes_;
  stats.waiting = jobs_.size() + (writing_ ? 1 : 0);
  return stats;
}

}  // namespace mach::cache
