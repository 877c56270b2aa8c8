// What a disk tier does about the past: processes that were killed, files that are damaged.
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <set>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/log.h"
#include "cache/disk_tier.h"
#include "io/posix_error.h"

namespace mach::cache {
namespace {

constexpr std::string_view kIndexName = "index.sqlite";
constexpr std::string_view kDamaged = "damaged";
constexpr std::string_view kTemporary = ".tmp-";
constexpr size_t kMostDamaged = 4;     // files that are kept to be looked at
constexpr uint64_t kDamagedShare = 8;  // and of the budget, one in so many bytes

Result<io::Descriptor> OpenLock(const std::string& path) {
  io::Descriptor fd(openat(AT_FDCWD, path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC,
                           S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP));
  if (!fd.valid()) return io::PosixError("open", path, errno);
  return fd;
}

// Waits unless `operation` has LOCK_NB. False: somebody else has it.
Result<bool> Lock(const io::Descriptor& fd, int operation, const std::string& path) {
  int result;
  do {
    result = flock(fd.get(), operation);
  } while (result != 0 && errno == EINTR);
  if (result == 0) return true;
  if (errno == EWOULDBLOCK) return false;
  return io::PosixError("lock", path, errno);
}

// The process in "NAME.tmp-PID-N"; 0: none.
int64_t WriterOf(std::string_view name) {
  const size_t at = name.rfind(kTemporary);
  if (at == std::string_view::npos) return 0;
  int64_t pid = 0;
  const char* first = name.data() + at + kTemporary.size();
  std::from_chars(first, name.data() + name.size(), pid);
  return pid;
}

}  // namespace

Status DiskTier::OpenIndex() {
  std::error_code code;
  std::filesystem::create_directories(options_.directory, code);
  if (code) return io::PosixError("create", options_.directory, code.value());
  const std::string lock_path = PathOf("lock");
  const std::string use_path = PathOf("in-use");
  MACH_TRY(const io::Descriptor recovery, OpenLock(lock_path));
  MACH_TRY(in_use_, OpenLock(use_path));
  MACH_RETURN_IF_ERROR(Lock(recovery, LOCK_EX, lock_path));
  // Without company, whatever is unfinished has no writer.
  MACH_TRY(const bool alone, Lock(in_use_, LOCK_EX | LOCK_NB, use_path));
  const std::string path = PathOf(std::string(kIndexName));
  auto index = DiskIndex::Open(path);
  if (!index && index.error().code == Code::kCorrupt && alone) {
    LogWarning("prefix cache: " + index.error().message + "; it is made anew from the files");
    for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(path + suffix, code);
    index = DiskIndex::Open(path);
  }
  if (!index) return std::move(index).error();
  index_ = *std::move(index);
  Status recovered = Recover(alone);
  if (!recovered.ok()) return std::move(recovered).error().In(options_.directory);
  MACH_RETURN_IF_ERROR(Lock(in_use_, LOCK_SH, use_path));
  return Ok();
}

Result<EntryHeader> DiskTier::HeaderOf(const std::string& name) {
  MACH_TRY(const auto file, fs_.Open(PathOf(name)));
  return ReadEntryHeader(*file);
}

Status DiskTier::RecoverRow(DiskRow row, bool alone) {
  const bool being_written = row.writer != 0;
  if (being_written && !alone && row.writer != getpid() && ProcessRuns(row.writer)) return Ok();
  const auto header = HeaderOf(row.name);
  if (header.ok()) {
    if (!being_written && row.bytes == header->file_bytes()) return Ok();
    row.bytes = header->file_bytes();
    row.writer = 0;
    return index_->Put(row);
  }
  if (header.error().code == Code::kNotFound) return index_->Remove(row.name);
  if (header.error().code != Code::kCorrupt) return Ok();
  Quarantine(row.name, header.error());
  return index_->Remove(row.name);
}

void DiskTier::RecoverFile(const std::string& name) {
  const auto header = HeaderOf(name);
  if (!header.ok()) {
    if (header.error().code == Code::kCorrupt) Quarantine(name, header.error());
    return;
  }
  (void)index_->Put({.name = name,
                     .fingerprint = header->fingerprint,
                     .key = header->key,
                     .tokens = header->tokens,
                     .kind = header->kind,
                     .bytes = header->file_bytes(),
                     .touched = Now()});
}

Status DiskTier::Recover(bool alone) {
  MACH_TRY(const std::vector<std::string> names, fs_.List(options_.directory));
  auto rows = index_->All();
  if (!rows) return std::move(rows).error();
  std::set<std::string> listed;
  for (DiskRow& row : *rows) {
    listed.insert(row.name);
    MACH_RETURN_IF_ERROR(RecoverRow(std::move(row), alone));
  }
  std::error_code ignored;
  for (const std::string& name : names) {
    if (const int64_t writer = WriterOf(name); writer != 0) {
      if (alone || !ProcessRuns(writer)) std::filesystem::remove(PathOf(name), ignored);
    } else if (name.ends_with(kEntrySuffix) && !listed.contains(name)) {
      RecoverFile(name);
    }
  }
  const uint64_t damaged = std::min(options_.budget_bytes, DamagedBytes());
  auto gone = index_->Shrink(options_.budget_bytes - damaged, options_.eviction, Now());
  if (gone) {
    for (const std::string& name : *gone) std::filesystem::remove(PathOf(name), ignored);
    const MutexLock lock(mu_);
    stats_.evictions += gone->size();
  }
  return Ok();
}

uint64_t DiskTier::DamagedBytes() const {
  const std::string directory = PathOf(std::string(kDamaged));
  uint64_t bytes = 0;
  const auto names = fs_.List(directory);
  if (!names) return bytes;
  for (const std::string& name : *names) {
    std::error_code code;
    const auto size = std::filesystem::file_size(directory + "/" + name, code);
    if (!code) bytes += size;
  }
  return bytes;
}

// Keeps few damaged files, the newest.
void DiskTier::PruneDamaged() const {
  const std::string directory = PathOf(std::string(kDamaged));
  const auto names = fs_.List(directory);
  if (!names) return;
  std::error_code ignored;
  std::vector<std::pair<std::filesystem::file_time_type, std::string>> files;
  for (const std::string& name : *names) {
    const std::string path = directory + "/" + name;
    files.emplace_back(std::filesystem::last_write_time(path, ignored), path);
  }
  std::ranges::sort(files);
  for (size_t i = 0; i < files.size(); ++i) {
    const bool few = files.size() - i <= kMostDamaged;
    if (few && DamagedBytes() <= options_.budget_bytes / kDamagedShare) return;
    std::filesystem::remove(files[i].second, ignored);
  }
}

void DiskTier::Quarantine(const std::string& name, const Error& why) {
  Warn(why.message + "; moved to '" + std::string(kDamaged) + "'");
  std::error_code failed;
  const std::string directory = PathOf(std::string(kDamaged));
  std::filesystem::create_directories(directory, failed);
  std::filesystem::rename(PathOf(name), directory + "/" + name, failed);
  if (failed) std::filesystem::remove(PathOf(name), failed);
  PruneDamaged();
  const MutexLock lock(mu_);
  ++stats_.quarantined;
}

}  // namespace mach::cache
