// Prefixes on disk: one file each, an index, a budget, and a thread that writes.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/log_limit.h"
#include "base/memory_ledger.h"
#include "base/mutex.h"
#include "cache/disk_index.h"
#include "cache/entry_reader.h"
#include "cache/prefix_counters.h"
#include "cache/prefix_image.h"
#include "cache/prefix_key.h"
#include "io/descriptor.h"
#include "io/file.h"
#include "io/output_file.h"

namespace mach::cache {

struct DiskTierOptions {
  std::string directory;  // made when it is missing; several processes may share it
  uint64_t budget_bytes = 0;
  DiskEviction eviction = DiskEviction::kValue;
  EntryOwner owner;
  AppendTokenText append_text;
  size_t most_waiting = 8;  // saves; further ones push out the oldest
  // The machine, injected.
  io::FileSystem* fs = nullptr;  // null: the machine's
  ReaderFactory readers = MakeEntryReader;
  std::function<Result<std::unique_ptr<io::OutputFile>>(const std::string&)> create =
      io::CreateOutputFile;
  const Clock* clock = nullptr;  // null: the machine's
};

// Thread-safe. Destruction writes what waits.
class DiskTier {
 public:
  // Mends what killed processes left. Errors name the directory.
  static Result<std::unique_ptr<DiskTier>> Open(DiskTierOptions options);
  ~DiskTier();

  struct Candidate {
    std::string name;
    size_t tokens = 0;
  };
  // The longest entry whose key is that of a prefix of the prompt, of more than `more_than` and at
  // most `most` tokens. Reads no file, and does not wait for the writer.
  std::optional<Candidate> Find(std::span<const TokenId> prompt, size_t more_than, size_t most);
  // Null: it is gone, damaged (and quarantined by now), or not of these tokens. Counts. Does not
  // wait for the writer, and leaves the index alone.
  std::shared_ptr<PrefixImage> Load(const Candidate& candidate, std::span<const TokenId> prompt,
                                    MemoryLedger& ledger);

  // Lets the thread write into the index what Load found: which entries were hit, which are gone.
  // Until then nothing is written, so that it delays no first token.
  void NoteLoads();

  // Queues it; `on_disk` of the image tells when it is there. Never waits.
  void Save(std::shared_ptr<PrefixImage> image, SaveTrigger trigger);
  void Flush();  // waits until nothing waits any more
  // Removes this model's entries. How many.
  size_t Clear();

  struct Row {
    size_t tokens = 0;
    uint64_t bytes = 0;
    PrefixKind kind = PrefixKind::kMessage;
    double hits = 0;
  };
  std::vector<Row> List() const;
  DiskStats stats() const;
  const std::string& directory() const { return options_.directory; }

 private:
  struct Job {
    std::shared_ptr<PrefixImage> image;
    SaveTrigger trigger = SaveTrigger::kCold;
  };
  // By number of tokens, then by the key's bytes.
  using EntryMap = std::map<size_t, std::unordered_map<std::string, DiskRow>>;
  struct LoadNote {
    Candidate entry;
    bool gone = false;  // else it was hit
  };
  explicit DiskTier(DiskTierOptions options);
  std::string PathOf(const std::string& name) const { return options_.directory + "/" + name; }
  std::string NameOf(const Digest& key) const;
  int64_t Now() const;

  // ---- disk_recovery.cc ----
  Status OpenIndex();  // and Recover: before there are other threads
  Status Recover(bool alone);
  Status RecoverRow(DiskRow row, bool alone);
  void RecoverFile(const std::string& name);
  Result<EntryHeader> HeaderOf(const std::string& name);
  void Quarantine(const std::string& name, const Error& why);  // its row is the caller's
  uint64_t DamagedBytes() const;
  void PruneDamaged() const;

  void Loop();
  void WriteLoads(const std::vector<LoadNote>& loads);
  void Write(const Job& job);
  Status WriteFile(const PrefixImage& image, const DiskRow& row);
  Status Mirror() EXCLUSIVE_LOCKS_REQUIRED(index_mu_);
  void Forget(const std::string& name);
  void LoadFailed(const Candidate& candidate, const Error& error);
  void Warn(const std::string& message);

  const DiskTierOptions options_;
  io::FileSystem& fs_;
  const Clock& clock_;
  io::Descriptor in_use_;                         // locked, shared, as long as this lives
  LogLimit lines_{10, std::chrono::seconds(10)};  // every prompt may fail to be written, or read

  Mutex index_mu_ ACQUIRED_BEFORE(mu_);
  std::unique_ptr<DiskIndex> index_;
  int64_t seen_version_ GUARDED_BY(index_mu_) = 0;

  mutable Mutex mu_;  // held for moments only
  EntryMap by_tokens_ GUARDED_BY(mu_);
  uint64_t total_bytes_ GUARDED_BY(mu_) = 0;
  DiskStats stats_ GUARDED_BY(mu_);
  std::deque<Job> jobs_ GUARDED_BY(mu_);
  std::vector<LoadNote> loads_ GUARDED_BY(mu_);
  bool loads_due_ GUARDED_BY(mu_) = false;
  bool writing_ GUARDED_BY(mu_) = false;
  bool stop_ GUARDED_BY(mu_) = false;
  CondVar wake_, idle_;
  std::thread thread_;
};

}  // namespace mach::cache
