// A file system that fails on command, for tests.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "io/file.h"

namespace mach::io {

// Counts the calls of another file system and makes some of them fail with kIo "injected". Listing
// a directory counts as an open.
class FaultFileSystem final : public FileSystem {
 public:
  struct Faults {
    uint64_t fail_open = 0;        // the Nth open, from 1; 0 is none
    uint64_t fail_read = 0;        // the Nth read, from 1; 0 is none
    bool persistent = false;       // that one and all later ones
    size_t max_read = SIZE_MAX;    // bytes that one read gives at most
    uint64_t end_at = UINT64_MAX;  // reads find the end of the file here, as if it had shrunk
  };

  // base must outlive this, and this must outlive its files.
  FaultFileSystem(FileSystem& base, const Faults& faults) : base_(base), faults_(faults) {}

  uint64_t opens() const { return opens_; }
  uint64_t reads() const { return reads_; }
  int64_t open_files() const { return open_files_; }

  Result<std::unique_ptr<File>> Open(const std::string& path) override {
    if (Fails(++opens_, faults_.fail_open)) return Injected("open", path);
    MACH_TRY(std::unique_ptr<File> file, base_.Open(path));
    return std::unique_ptr<File>(std::make_unique<FaultFile>(*this, std::move(file)));
  }
  bool Exists(const std::string& path) override { return base_.Exists(path); }
  Result<std::vector<std::string>> List(const std::string& path) override {
    if (Fails(++opens_, faults_.fail_open)) return Injected("list", path);
    return base_.List(path);
  }

 private:
  class FaultFile final : public File {
   public:
    FaultFile(FaultFileSystem& fs, std::unique_ptr<File> file) : fs_(fs), file_(std::move(file)) {
      ++fs_.open_files_;
    }
    ~FaultFile() override { --fs_.open_files_; }
    const std::string& path() const override { return file_->path(); }
    uint64_t size() const override { return file_->size(); }
    Result<size_t> ReadSome(uint64_t offset, std::span<std::byte> out) override {
      const Faults& faults = fs_.faults_;
      if (fs_.Fails(++fs_.reads_, faults.fail_read)) return fs_.Injected("read", path());
      if (offset >= faults.end_at) return size_t{0};
      const uint64_t left = faults.end_at - offset;
      return file_->ReadSome(offset,
                             out.first(std::min<uint64_t>({out.size(), faults.max_read, left})));
    }

   private:
    FaultFileSystem& fs_;
    const std::unique_ptr<File> file_;
  };

  bool Fails(uint64_t call, uint64_t at) const {
    return at != 0 && (call == at || (faults_.persistent && call > at));
  }
  static Error Injected(const std::string& what, const std::string& path) {
    return {Code::kIo, "cannot " + what + " '" + path + "': injected"};
  }

  FileSystem& base_;
  const Faults faults_;
  std::atomic<uint64_t> opens_ = 0;
  std::atomic<uint64_t> reads_ = 0;
  std::atomic<int64_t> open_files_ = 0;
};

}  // namespace mach::io
