#include "io/safetensors_writer.h"

#include <unordered_set>

#include "base/units.h"
#include "base/utf8.h"
#include "json/write.h"
#include "tensor/dtype.h"

namespace mach::io {
namespace {

constexpr size_t kAlignment = 8;

Error Invalid(std::string message) { return {Code::kInvalidArgument, std::move(message)}; }

// Bytes of all tensors.
Result<uint64_t> DataBytes(std::span<const TensorSpec> specs) {
  uint64_t total = 0;
  for (const TensorSpec& spec : specs) {
    const auto bytes = DenseBytes(spec.shape, spec.dtype);
    if (!bytes || __builtin_add_overflow(total, *bytes, &total) || total > uint64_t{INT64_MAX}) {
      return Invalid("tensor '" + spec.name + "': more bytes than a file can have");
    }
  }
  return total;
}

}  // namespace

Result<std::string> MakeSafetensorsHeader(std::span<const TensorSpec> specs,
                                          const json::Object& metadata) {
  json::Object root;
  if (!metadata.empty()) {
    for (const json::Member& m : metadata) {
      if (!m.value.is_string()) {
        return Invalid("metadata '" + m.key + "' is " + std::string(m.value.KindName()) +
                       ", expected a string");
      }
    }
    root.Append("__metadata__", metadata);
  }
  MACH_RETURN_IF_ERROR(DataBytes(specs));
  std::unordered_set<std::string_view> names;
  uint64_t offset = 0;
  for (const TensorSpec& spec : specs) {
    if (spec.name.empty() || spec.name.size() > kMaxTensorNameBytes ||
        spec.name == "__metadata__" || !utf8::IsValid(spec.name)) {
      return Invalid("tensor '" + utf8::Repair(spec.name) + "': no valid name, expected 1 to " +
                     std::to_string(kMaxTensorNameBytes) + " bytes of UTF-8");
    }
    if (!names.insert(spec.name).second) {
      return Invalid("tensor '" + spec.name + "': the name is there twice");
    }
    if (spec.shape.size() > kMaxTensorRank) {
      return Invalid("tensor '" + spec.name + "': " + std::to_string(spec.shape.size()) +
                     " dimensions, expected at most " + std::to_string(kMaxTensorRank));
    }
    json::Array shape;
    for (const uint64_t dim : spec.shape) {
      if (dim > uint64_t{INT64_MAX}) {
        return Invalid("tensor '" + spec.name + "': a dimension of " + std::to_string(dim));
      }
      shape.emplace_back(dim);
    }
    const uint64_t end = offset + *DenseBytes(spec.shape, spec.dtype);
    root.Append(spec.name, json::Object{{"dtype", tensor::DTypeName(spec.dtype)},
                                        {"shape", std::move(shape)},
                                        {"data_offsets", json::Array{offset, end}}});
    offset = end;
  }
  std::string text = json::Write(root);
  text.append((kAlignment - text.size() % kAlignment) % kAlignment, ' ');
  if (text.size() > kMaxSafetensorsHeaderBytes) {
    return Invalid("the header would have " + SizesText(text.size(), kMaxSafetensorsHeaderBytes) +
                   " at most; write fewer tensors into one file");
  }
  std::string prefix(8, '\0');
  for (size_t i = 0; i < prefix.size(); ++i) {
    prefix[i] = static_cast<char>(uint64_t{text.size()} >> (8 * i) & 0xFF);
  }
  return prefix + text;
}

Result<SafetensorsWriter> SafetensorsWriter::Create(std::unique_ptr<OutputFile> file,
                                                    std::span<const TensorSpec> specs,
                                                    const json::Object& metadata) {
  auto header = MakeSafetensorsHeader(specs, metadata);
  if (!header) return std::move(header).error().In("cannot write '" + file->path() + "'");
  MACH_RETURN_IF_ERROR(file->Write(std::as_bytes(std::span(*header))));
  MACH_TRY(const uint64_t bytes, DataBytes(specs));
  return SafetensorsWriter(std::move(file), bytes);
}

Result<SafetensorsWriter> SafetensorsWriter::Create(const std::string& path,
                                                    std::span<const TensorSpec> specs,
                                                    const json::Object& metadata) {
  MACH_TRY(std::unique_ptr<OutputFile> file, CreateOutputFile(path));
  return Create(std::move(file), specs, metadata);
}

Status SafetensorsWriter::Append(std::span<const std::byte> data) {
  if (data.size() > left_) {
    return Invalid("cannot write '" + file_->path() + "': " + std::to_string(data.size()) +
                   " more bytes of data, but the header leaves room for " + std::to_string(left_));
  }
  left_ -= data.size();
  return file_->Write(data);
}

Status SafetensorsWriter::Finish() {
  if (left_ != 0) {
    return Invalid("cannot write '" + file_->path() + "': " + std::to_string(left_) +
                   " bytes of data that the header names were never given");
  }
  return file_->Commit();
}

}  // namespace mach::io
