// A file system in memory, for tests and fuzz targets.
#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "io/file.h"
#include "io/output_file.h"

namespace mach::io {

// Files by whole path; a directory is there as long as something lies in it, or since it was made.
// The current directory is ".". Files opened before a change keep what they had.
class MemoryFileSystem final : public FileSystem {
 public:
  void Put(const std::string& path, std::string content) {
    files_[path] = std::make_shared<const std::string>(std::move(content));
  }
  void MakeDirectory(const std::string& path) { made_.insert(path); }
  void Erase(const std::string& path) { files_.erase(path); }
  // REQUIRES: the file exists.
  const std::string& Get(const std::string& path) const { return *files_.at(path); }

  Result<std::unique_ptr<File>> Open(const std::string& path) override {
    const auto it = files_.find(path);
    if (it != files_.end()) {
      return std::unique_ptr<File>(std::make_unique<MemoryFile>(path, it->second));
    }
    if (Exists(path)) {
      return Error{Code::kInvalidArgument, "'" + path + "' is a directory, expected a file"};
    }
    return Error{Code::kNotFound, "cannot open '" + path + "': no such file"};
  }
  bool Exists(const std::string& path) override {
    return files_.contains(path) || IsDirectory(path);
  }
  Result<std::vector<std::string>> List(const std::string& path) override {
    if (!IsDirectory(path)) {
      return Error{Code::kNotFound, "cannot list '" + path + "': no such directory"};
    }
    const std::string prefix = Prefix(path);
    std::set<std::string> names;
    const auto add = [&](const std::string& name) {
      if (!name.starts_with(prefix) || name.size() == prefix.size()) return;
      names.insert(name.substr(prefix.size(), name.find('/', prefix.size()) - prefix.size()));
    };
    for (const auto& [name, content] : files_) add(name);
    for (const std::string& name : made_) add(name);
    return std::vector<std::string>(names.begin(), names.end());
  }

  // An output that Put()s its content on Commit. The file system must outlive it.
  std::unique_ptr<OutputFile> Create(const std::string& path) {
    return std::make_unique<MemoryOutputFile>(*this, path);
  }

 private:
  class MemoryFile final : public File {
   public:
    MemoryFile(std::string path, std::shared_ptr<const std::string> content)
        : path_(std::move(path)), content_(std::move(content)) {}
    const std::string& path() const override { return path_; }
    uint64_t size() const override { return content_->size(); }
    Result<size_t> ReadSome(uint64_t offset, std::span<std::byte> out) override {
      if (offset >= content_->size()) return size_t{0};
      const size_t n = std::min<size_t>(out.size(), content_->size() - offset);
      if (n != 0) std::memcpy(out.data(), content_->data() + offset, n);
      return n;
    }

   private:
    const std::string path_;
    const std::shared_ptr<const std::string> content_;
  };

  // What the paths of everything in a directory begin with.
  static std::string Prefix(std::string path) {
    while (path.size() > 1 && path.ends_with('/')) path.pop_back();
    if (path == ".") return "";
    return path + "/";
  }
  bool IsDirectory(const std::string& path) const {
    const std::string prefix = Prefix(path);
    if (prefix.empty() || made_.contains(prefix.substr(0, prefix.size() - 1))) return true;
    const auto within = [&](const auto& entries, auto name_of) {
      const auto it = entries.lower_bound(prefix);
      return it != entries.end() && name_of(*it).starts_with(prefix);
    };
    return within(files_, [](const auto& entry) { return entry.first; }) ||
           within(made_, [](const std::string& name) { return name; });
  }

  class MemoryOutputFile final : public OutputFile {
   public:
    MemoryOutputFile(MemoryFileSystem& fs, std::string path) : fs_(fs), path_(std::move(path)) {}
    const std::string& path() const override { return path_; }
    Status Write(std::span<const std::byte> data) override {
      content_.append(reinterpret_cast<const char*>(data.data()), data.size());
      return Ok();
    }
    Status Commit() override {
      fs_.Put(path_, std::move(content_));
      return Ok();
    }

   private:
    MemoryFileSystem& fs_;
    const std::string path_;
    std::string content_;
  };

  std::map<std::string, std::shared_ptr<const std::string>> files_;
  std::set<std::string> made_;  // directories
};

}  // namespace mach::io
