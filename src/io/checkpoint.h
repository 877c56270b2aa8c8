// A model directory: config, headers of its tensor files, and where everything lies. Loads no
// tensor.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "io/file.h"
#include "io/safetensors.h"
#include "json/value.h"
#include "tensor/dtype.h"

namespace mach::io {

// A range of one of the checkpoint's files.
struct Slice {
  uint32_t file = 0;
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

struct CheckpointTensor {
  tensor::DType dtype = tensor::DType::kF32;
  std::vector<uint64_t> shape = {};
  Slice data;
};

// Hashes names without making strings of them.
struct NameHash {
  using is_transparent = void;
  size_t operator()(std::string_view name) const { return std::hash<std::string_view>{}(name); }
};
template <class T>
using NameMap = std::unordered_map<std::string, T, NameHash, std::equal_to<>>;

// Const after Open and thread-safe. The file system must outlive it.
class Checkpoint {
 public:
  // Whether config.json is one that the caller wants; asked before any other file is opened.
  using ConfigCheck = std::function<Status(const json::Value& config)>;

  // Reads config.json, then either model.safetensors.index.json and the shards it names, or the one
  // *.safetensors file. The error names the file and the field; of what is no checkpoint, what it
  // is (io/recognise.h).
  static Result<std::unique_ptr<Checkpoint>> Open(FileSystem& fs, const std::string& directory,
                                                  const ConfigCheck& check = nullptr);

  FileSystem& file_system() const { return fs_; }
  const std::string& directory() const { return directory_; }
  const json::Value& config() const { return config_; }
  // generation_config.json, or an empty object.
  const json::Value& generation_config() const { return generation_config_; }
  const NameMap<CheckpointTensor>& tensors() const { return tensors_; }
  const CheckpointTensor* Find(std::string_view name) const;
  size_t files() const { return files_.size(); }
  File& file(size_t i) const { return *files_[i]; }
  uint64_t tensor_bytes() const { return tensor_bytes_; }

  // REQUIRES: a slice of this checkpoint, and out.size() == slice.bytes.
  Status Read(const Slice& slice, std::span<std::byte> out) const;
  // Another file of the directory ("tokenizer.json"), at most max_bytes; a git lfs pointer in its
  // place is an error. REQUIRES: a bare name.
  Result<std::string> ReadText(std::string_view name, size_t max_bytes) const;
  bool HasFile(std::string_view name) const;

 private:
  Checkpoint(FileSystem& fs, std::string directory) : fs_(fs), directory_(std::move(directory)) {}
  struct Index;
  Status ReadAll(const ConfigCheck& check);
  Result<Index> ReadIndex() const;
  Status AddFile(const std::string& name);

  FileSystem& fs_;
  const std::string directory_;
  json::Value config_;
  json::Value generation_config_;
  std::vector<std::unique_ptr<File>> files_;
  NameMap<CheckpointTensor> tensors_;
  uint64_t tensor_bytes_ = 0;
};

}  // namespace mach::io
