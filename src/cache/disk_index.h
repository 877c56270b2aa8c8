// What is in the directory of a disk tier: an SQLite database that several processes share.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "cache/prefix_image.h"

struct sqlite3;
struct sqlite3_stmt;

namespace mach::cache {

enum class DiskEviction : uint8_t { kValue, kLru };

struct DiskRow {
  std::string name;  // of the file
  Digest fingerprint{};
  Digest key{};
  uint64_t tokens = 0;
  PrefixKind kind = PrefixKind::kMessage;
  uint64_t bytes = 0;
  double hits = 0;      // as they were worth at `touched`
  int64_t touched = 0;  // Unix seconds
  int64_t writer = 0;   // process that is writing it; 0: it is whole
};

// Hits lose half of their worth in this time, and in the end all of it.
inline constexpr int64_t kHitHalfLifeSeconds = 86400;
double EffectiveHits(double hits, int64_t touched, int64_t now);
// (effective hits + 1) * tokens / bytes, times 4 for system parts, which every conversation needs.
double EntryValue(const DiskRow& row, int64_t now);

// One thread at a time. Every change is one transaction, so a process may die anywhere.
class DiskIndex {
 public:
  // Creates it where it is missing. kCorrupt: it is no database, or damaged.
  static Result<std::unique_ptr<DiskIndex>> Open(const std::string& path);
  ~DiskIndex();
  DiskIndex(const DiskIndex&) = delete;
  DiskIndex& operator=(const DiskIndex&) = delete;

  Result<std::vector<DiskRow>> All();
  // Room for `row`, which is then listed as being written: the worst rows are taken out until all
  // take at most `budget` bytes. Gives their names; the caller removes the files. kNoMemory: it is
  // larger than the budget, or what is there is being written.
  Result<std::vector<std::string>> Begin(const DiskRow& row, uint64_t budget, DiskEviction eviction,
                                         int64_t now);
  // Takes the worst rows out until `budget` holds.
  Result<std::vector<std::string>> Shrink(uint64_t budget, DiskEviction eviction, int64_t now);
  Status Put(const DiskRow& row);  // replaces one of the same name
  Status Remove(const std::string& name);
  Status Touch(const std::string& name, int64_t now);  // one more hit
  // Changes when another process has changed the index.
  Result<int64_t> Version();

 private:
  explicit DiskIndex(sqlite3* db) : db_(db) {}
  Status Execute(const char* sql);
  Error Failure(const std::string& what) const;
  Result<std::vector<std::string>> MakeRoom(uint64_t bytes, const std::string& except,
                                            uint64_t budget, DiskEviction eviction, int64_t now);
  // Runs `change` as one transaction.
  template <class F>
  auto Transaction(F&& change) -> decltype(change());

  sqlite3* db_;
};

// Whether a process of this machine runs.
bool ProcessRuns(int64_t pid);

}  // namespace mach::cache
