#include "io/checkpoint.h"

#include <algorithm>

#include "io/lfs_pointer.h"
#include "io/path.h"
#include "io/recognise.h"
#include "json/parse.h"

namespace mach::io {
namespace {

constexpr size_t kMaxConfigBytes = size_t{16} << 20;
constexpr size_t kMaxIndexBytes = size_t{100} << 20;
constexpr std::string_view kSuffix = ".safetensors";
constexpr std::string_view kIndexName = "model.safetensors.index.json";

// A name of a file in the same directory, and nothing else.
bool IsPlainName(std::string_view name) {
  return !name.empty() && name.size() <= 255 && name.find('/') == std::string_view::npos &&
         name.find('\\') == std::string_view::npos && name.find('\0') == std::string_view::npos &&
         name != "." && name.find("..") == std::string_view::npos;
}

Result<json::Value> ReadObject(FileSystem& fs, const std::string& path, size_t max_bytes) {
  MACH_TRY(const std::string text, ReadFetchedFile(fs, path, max_bytes));
  auto value = json::ParseLarge(text, {.unique_keys = true, .python_numbers = true});
  if (!value) return Error{Code::kCorrupt, "'" + path + "': " + value.error().message};
  if (!value->is_object()) {
    return Error{Code::kCorrupt, "'" + path + "' holds " + std::string(value->KindName()) +
                                     ", expected a JSON object"};
  }
  return value;
}

// The one tensor file of a checkpoint without an index.
Result<std::string> SingleFile(FileSystem& fs, const std::string& directory) {
  if (fs.Exists(JoinPath(directory, "model.safetensors"))) return std::string("model.safetensors");
  MACH_TRY(std::vector<std::string> names, fs.List(directory));
  std::erase_if(names, [](const std::string& name) { return !name.ends_with(kSuffix); });
  if (names.empty()) {
    return Error{Code::kNotFound, "'" + directory +
                                      "' has no *.safetensors file; expected a model directory as "
                                      "downloaded, with its weights"};
  }
  if (names.size() > 1) {
    return Error{Code::kCorrupt, "'" + directory + "' has " + std::to_string(names.size()) +
                                     " *.safetensors files ('" + names[0] + "', '" + names[1] +
                                     "', ...) but no " + std::string(kIndexName) +
                                     " that says how they belong together; download it too"};
  }
  return names[0];
}

}  // namespace

// What the index says: tensor to shard.
struct Checkpoint::Index {
  std::unordered_map<std::string, std::string> shard_of;
  std::vector<std::string> shards;  // sorted, unique
};

Result<Checkpoint::Index> Checkpoint::ReadIndex() const {
  const std::string path = JoinPath(directory_, kIndexName);
  MACH_TRY(json::Value root, ReadObject(fs_, path, kMaxIndexBytes));
  const auto corrupt = [&](const std::string& message) {
    return Error{Code::kCorrupt, "'" + path + "': " + message};
  };
  json::Value* map = nullptr;
  for (json::Member& member : root.AsObject()) {
    if (member.key == "weight_map") map = &member.value;
  }
  if (map == nullptr || !map->is_object() || map->AsObject().empty()) {
    return corrupt("'weight_map' is not an object of tensor names and file names");
  }
  Index index;
  index.shard_of.reserve(map->AsObject().size());
  for (json::Member& member : map->AsObject()) {
    if (!member.value.is_string()) {
      return corrupt("'weight_map' gives " + std::string(member.value.KindName()) + " for '" +
                     member.key + "', expected a file name");
    }
    const std::string& shard = member.value.AsString();
    if (!IsPlainName(shard) || !shard.ends_with(kSuffix)) {
      return corrupt("'weight_map' gives the file '" + shard.substr(0, 255) + "' for '" +
                     member.key + "', expected the name of a .safetensors file of this directory");
    }
    if (index.shards.empty() || index.shards.back() != shard) index.shards.push_back(shard);
    index.shard_of.emplace(std::move(member.key), shard);
  }
  std::ranges::sort(index.shards);
  index.shards.erase(std::unique(index.shards.begin(), index.shards.end()), index.shards.end());
  return index;
}

Status Checkpoint::AddFile(const std::string& name) {
  MACH_TRY(std::unique_ptr<File> file, fs_.Open(JoinPath(directory_, name)));
  MACH_TRY(SafetensorsHeader header, ReadSafetensorsHeader(*file));
  const auto number = static_cast<uint32_t>(files_.size());
  for (TensorEntry& entry : header.tensors) {
    CheckpointTensor tensor{.dtype = entry.dtype,
                            .shape = std::move(entry.shape),
                            .data = {number, entry.offset, entry.bytes}};
    tensor_bytes_ += entry.bytes;
    const auto [it, added] = tensors_.try_emplace(std::move(entry.name), std::move(tensor));
    if (!added) {
      return Error{Code::kCorrupt, "tensor '" + it->first + "' is in both '" +
                                       files_[it->second.data.file]->path() + "' and '" +
                                       file->path() + "'"};
    }
  }
  files_.push_back(std::move(file));
  return Ok();
}

Status Checkpoint::ReadAll(const ConfigCheck& check) {
  MACH_TRY(config_, ReadObject(fs_, JoinPath(directory_, "config.json"), kMaxConfigBytes));
  if (check) MACH_RETURN_IF_ERROR(check(config_));
  generation_config_ = json::Object();
  if (const std::string path = JoinPath(directory_, "generation_config.json"); fs_.Exists(path)) {
    MACH_TRY(generation_config_, ReadObject(fs_, path, kMaxConfigBytes));
  }
  if (!fs_.Exists(JoinPath(directory_, kIndexName))) {
    MACH_TRY(const std::string name, SingleFile(fs_, directory_));
    return AddFile(name);
  }
  MACH_TRY(const Index index, ReadIndex());
  for (const std::string& shard : index.shards) {
    auto added = AddFile(shard);
    if (added) continue;
    Error error = std::move(added).error();
    if (error.code == Code::kNotFound) {
      error.message += ", which " + std::string(kIndexName) +
                       " names; the download is incomplete: go on with it, or copy the file here";
    }
    return error;
  }
  for (const auto& [tensor, shard] : index.shard_of) {
    const CheckpointTensor* found = Find(tensor);
    if (found == nullptr || index.shards[found->data.file] != shard) {
      return Error{Code::kCorrupt, std::string(kIndexName) + " of '" + directory_ +
                                       "' says that '" + shard + "' holds tensor '" + tensor +
                                       "', but it does not; index and files are not of one model"};
    }
  }
  return Ok();
}

Result<std::unique_ptr<Checkpoint>> Checkpoint::Open(FileSystem& fs, const std::string& directory,
                                                     const ConfigCheck& check) {
  std::unique_ptr<Checkpoint> self(new Checkpoint(fs, directory));
  Status read = self->ReadAll(check);
  if (read) return self;
  // What is no checkpoint at all says so better than the first file that is missing in it.
  if (auto other = RecogniseOther(fs, directory)) return std::move(other->error);
  return std::move(read).error();
}

const CheckpointTensor* Checkpoint::Find(std::string_view name) const {
  const auto it = tensors_.find(name);
  return it == tensors_.end() ? nullptr : &it->second;
}

Status Checkpoint::Read(const Slice& slice, std::span<std::byte> out) const {
  MACH_CHECK(slice.file < files_.size() && out.size() == slice.bytes);
  return ReadExactly(*files_[slice.file], slice.offset, out);
}

Result<std::string> Checkpoint::ReadText(std::string_view name, size_t max_bytes) const {
  MACH_CHECK(IsPlainName(name));
  return ReadFetchedFile(fs_, JoinPath(directory_, name), max_bytes);
}

bool Checkpoint::HasFile(std::string_view name) const {
  return IsPlainName(name) && fs_.Exists(JoinPath(directory_, name));
}

}  // namespace mach::io
