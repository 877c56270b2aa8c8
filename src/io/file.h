// Files as an interface, so that short reads and errors are tested without a bad disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace mach::io {

// An open file for reading at offsets. Thread-safe.
class File {
 public:
  virtual ~File() = default;
  virtual const std::string& path() const = 0;
  virtual uint64_t size() const = 0;  // when it was opened
  // Up to out.size() bytes; fewer is a short read, 0 the end of the file.
  virtual Result<size_t> ReadSome(uint64_t offset, std::span<std::byte> out) = 0;
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual Result<std::unique_ptr<File>> Open(const std::string& path) = 0;
  virtual bool Exists(const std::string& path) = 0;
  // Names within a directory, sorted, without "." and "..".
  virtual Result<std::vector<std::string>> List(const std::string& path) = 0;
};

// The machine's. Thread-safe.
FileSystem& PosixFileSystem();

// Fills out, going on after short reads; the end of the file before that is kCorrupt.
Status ReadExactly(File& file, uint64_t offset, std::span<std::byte> out);

// A whole file, refused when it is larger than max_bytes.
Result<std::string> ReadSmallFile(FileSystem& fs, const std::string& path, size_t max_bytes);

}  // namespace mach::io
