// An output directory in memory that fails on command, for tests.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "io/output_directory.h"
#include "io/testing/memory_file_system.h"

namespace mach::io {

// Writes into a MemoryFileSystem. Creates, writes, commits, removals and publishing count as one
// series of operations; the Nth of them fails with kIo "injected".
class MemoryOutputDirectory final : public OutputDirectory {
 public:
  struct Faults {
    uint64_t fail_at = 0;     // from 1; 0 is none
    bool persistent = false;  // that one and all later ones
  };

  // fs must outlive this.
  MemoryOutputDirectory(MemoryFileSystem& fs, std::string path, const Faults& faults)
      : fs_(fs), path_(std::move(path)), staging_(path_ + ".partial"), faults_(faults) {}

  uint64_t operations() const { return operations_; }

  const std::string& path() const override { return path_; }
  const std::string& staging() const override { return staging_; }

  Result<std::unique_ptr<OutputFile>> Create(const std::string& name) override {
    MACH_RETURN_IF_ERROR(Count("create", name));
    return std::unique_ptr<OutputFile>(
        std::make_unique<CountedFile>(*this, fs_.Create(staging_ + "/" + name)));
  }
  Status Remove(const std::string& name) override {
    MACH_RETURN_IF_ERROR(Count("remove", name));
    fs_.Erase(staging_ + "/" + name);
    return Ok();
  }
  Result<uint64_t> FreeBytes() override { return uint64_t{1} << 40; }
  Status Publish() override {
    MACH_RETURN_IF_ERROR(Count("publish", path_));
    if (const auto old = fs_.List(path_)) {
      for (const std::string& name : *old) fs_.Erase(path_ + "/" + name);
    }
    const auto names = fs_.List(staging_);
    for (const std::string& name : *names) {
      fs_.Put(path_ + "/" + name, fs_.Get(staging_ + "/" + name));
      fs_.Erase(staging_ + "/" + name);
    }
    return Ok();
  }

 private:
  class CountedFile final : public OutputFile {
   public:
    CountedFile(MemoryOutputDirectory& directory, std::unique_ptr<OutputFile> file)
        : directory_(directory), file_(std::move(file)) {}
    const std::string& path() const override { return file_->path(); }
    Status Write(std::span<const std::byte> data) override {
      MACH_RETURN_IF_ERROR(directory_.Count("write", path()));
      return file_->Write(data);
    }
    Status Commit() override {
      MACH_RETURN_IF_ERROR(directory_.Count("commit", path()));
      return file_->Commit();
    }

   private:
    MemoryOutputDirectory& directory_;
    const std::unique_ptr<OutputFile> file_;
  };

  Status Count(const std::string& what, const std::string& name) {
    ++operations_;
    const bool fails =
        faults_.fail_at != 0 &&
        (operations_ == faults_.fail_at || (faults_.persistent && operations_ > faults_.fail_at));
    if (!fails) return Ok();
    return Error{Code::kIo, "cannot " + what + " '" + name + "': injected"};
  }

  MemoryFileSystem& fs_;
  const std::string path_;
  const std::string staging_;
  const Faults faults_;
  uint64_t operations_ = 0;
};

}  // namespace mach::io
