#include "io/safetensors.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/units.h"
#include "io/corrupt.h"
#include "io/lfs_pointer.h"
#include "json/parse.h"

namespace mach::io {
namespace {

constexpr uint64_t kPrefixBytes = 8;

std::string ShapeText(const json::Array& shape) {
  std::string text = "[";
  for (const json::Value& dim : shape) {
    if (text.size() > 1) text += ", ";
    text += std::to_string(dim.AsInt());
  }
  return text + "]";
}

std::optional<uint64_t> Natural(const json::Value& value) {
  if (!value.is_int() || value.AsInt() < 0) return std::nullopt;
  return static_cast<uint64_t>(value.AsInt());
}

// offset is relative to the data, which has data_bytes.
Result<TensorEntry> ParseEntry(const json::Member& member, uint64_t data_bytes) {
  TensorEntry entry{.name = member.key};
  if (member.key.empty() || member.key.size() > kMaxTensorNameBytes) {
    return Corrupt("a name of " + std::to_string(member.key.size()) + " bytes, expected 1 to " +
                   std::to_string(kMaxTensorNameBytes));
  }
  const std::string where = "tensor '" + member.key + "': ";
  if (!member.value.is_object()) {
    return Corrupt(where + "is " + std::string(member.value.KindName()) + ", expected an object");
  }
  const json::Value* dtype = member.value.Find("dtype");
  if (dtype == nullptr || !dtype->is_string()) {
    return Corrupt(where + "'dtype' is " +
                   (dtype == nullptr ? "missing" : std::string(dtype->KindName())) +
                   ", expected a string");
  }
  const auto known = tensor::DTypeFromName(dtype->AsString());
  if (!known) {
    return Error{Code::kUnsupported,
                 where + "'dtype' is '" + dtype->AsString().substr(0, 64) +
                     "', which Mach does not read; use a checkpoint in BF16, F16, F32 or MLX "
                     "affine 4 or 8 bit"};
  }
  entry.dtype = *known;

  const json::Value* shape = member.value.Find("shape");
  if (shape == nullptr || !shape->is_array()) {
    return Corrupt(where + "'shape' is " +
                   (shape == nullptr ? "missing" : std::string(shape->KindName())) +
                   ", expected an array");
  }
  if (shape->AsArray().size() > kMaxTensorRank) {
    return Corrupt(where + "'shape' has " + std::to_string(shape->AsArray().size()) +
                   " dimensions, expected at most " + std::to_string(kMaxTensorRank));
  }
  for (const json::Value& dim : shape->AsArray()) {
    const auto n = Natural(dim);
    if (!n) return Corrupt(where + "'shape' holds what is no integer from 0 to 2^63 - 1");
    entry.shape.push_back(*n);
  }
  const auto bytes = DenseBytes(entry.shape, entry.dtype);
  if (!bytes) {
    return Corrupt(where + "'shape' " + ShapeText(shape->AsArray()) +
                   " has more elements than 64 bits can count");
  }

  const json::Value* offsets = member.value.Find("data_offsets");
  if (offsets == nullptr || !offsets->is_array() || offsets->AsArray().size() != 2) {
    return Corrupt(where + "'data_offsets' is not an array of two integers");
  }
  const auto begin = Natural(offsets->AsArray()[0]);
  const auto end = Natural(offsets->AsArray()[1]);
  if (!begin || !end) {
    return Corrupt(where + "'data_offsets' holds what is no integer from 0 to 2^63 - 1");
  }
  const std::string range = "[" + std::to_string(*begin) + ", " + std::to_string(*end) + "]";
  if (*begin > *end) return Corrupt(where + "'data_offsets' " + range + " ends before it begins");
  if (*end > data_bytes) {
    return Corrupt(where + "'data_offsets' " + range + " passes the end of the data at " +
                   std::to_string(data_bytes) +
                   ": the file is truncated; copy or download it again");
  }
  if (*end - *begin != *bytes) {
    return Corrupt(where + "'data_offsets' " + range + " spans " +
                   SizesText(*end - *begin, *bytes) + " for 'shape' " +
                   ShapeText(shape->AsArray()) + " of " + dtype->AsString());
  }
  entry.offset = *begin;
  entry.bytes = *bytes;
  return entry;
}

Status CheckMetadata(const json::Value& metadata) {
  if (!metadata.is_object()) {
    return Corrupt("'__metadata__' is " + std::string(metadata.KindName()) +
                   ", expected an object");
  }
  for (const json::Member& m : metadata.AsObject()) {
    if (!m.value.is_string()) {
      return Corrupt("'__metadata__' entry '" + m.key + "' is " + std::string(m.value.KindName()) +
                     ", expected a string");
    }
  }
  return Ok();
}

// REQUIRES: sorted by offset. The format wants the data covered without holes or overlaps.
Status CheckCoverage(const std::vector<TensorEntry>& tensors, uint64_t data_bytes) {
  uint64_t end = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const TensorEntry& t = tensors[i];
    if (t.offset != end) {
      return Corrupt("tensor '" + t.name + "': 'data_offsets' begin at " +
                     std::to_string(t.offset) + ", expected " + std::to_string(end) +
                     (t.offset < end ? ": it overlaps '" + tensors[i - 1].name + "'"
                                     : ": the bytes between belong to no tensor"));
    }
    end += t.bytes;
  }
  if (end != data_bytes) {
    return Corrupt("the data has " + SizesText(data_bytes, end) + " for its tensors");
  }
  return Ok();
}

Result<SafetensorsHeader> ReadHeader(File& file) {
  if (file.size() < kPrefixBytes) {
    return Corrupt("has " + BytesText(file.size()) + ", too few for the header's length (8 bytes)");
  }
  std::array<std::byte, kPrefixBytes> prefix;
  MACH_RETURN_IF_ERROR(ReadExactly(file, 0, prefix));
  uint64_t length = 0;
  for (size_t i = 0; i < kPrefixBytes; ++i) length |= uint64_t{uint8_t(prefix[i])} << (8 * i);
  if (length > file.size() - kPrefixBytes) {
    return Corrupt("the header is longer than the " + BytesText(file.size() - kPrefixBytes) +
                   " that follow its length: the file is truncated or no safetensors file");
  }
  if (length > kMaxSafetensorsHeaderBytes) {
    return Corrupt("the header has " + SizesText(length, kMaxSafetensorsHeaderBytes) +
                   " at most, as the format allows");
  }
  const uint64_t data_start = kPrefixBytes + length;
  const uint64_t data_bytes = file.size() - data_start;

  SafetensorsHeader header;
  json::Value root;
  {
    std::string text(static_cast<size_t>(length), '\0');
    MACH_RETURN_IF_ERROR(ReadExactly(file, kPrefixBytes, std::as_writable_bytes(std::span(text))));
    auto parsed = json::ParseLarge(text, {.max_depth = 8, .unique_keys = true});
    if (!parsed) {
      return Corrupt("header: " + parsed.error().message);
    }
    root = *std::move(parsed);
  }
  if (!root.is_object()) {
    return Corrupt("the header is " + std::string(root.KindName()) + ", expected an object");
  }
  header.tensors.reserve(root.AsObject().size());
  for (json::Member& member : root.AsObject()) {
    if (member.key == "__metadata__") {
      MACH_RETURN_IF_ERROR(CheckMetadata(member.value));
      header.metadata = std::move(member.value.AsObject());
      continue;
    }
    MACH_TRY(TensorEntry entry, ParseEntry(member, data_bytes));
    header.tensors.push_back(std::move(entry));
  }
  std::ranges::sort(header.tensors, [](const TensorEntry& a, const TensorEntry& b) {
    return std::pair(a.offset, a.bytes) < std::pair(b.offset, b.bytes);
  });
  MACH_RETURN_IF_ERROR(CheckCoverage(header.tensors, data_bytes));
  for (TensorEntry& entry : header.tensors) entry.offset += data_start;
  return header;
}

}  // namespace

std::optional<uint64_t> DenseBytes(std::span<const uint64_t> shape, tensor::DType dtype) {
  if (std::ranges::find(shape, 0u) != shape.end()) return 0;
  uint64_t bytes = tensor::DTypeBytes(dtype);
  for (const uint64_t dim : shape) {
    if (__builtin_mul_overflow(bytes, dim, &bytes)) return std::nullopt;
  }
  return bytes;
}

Result<SafetensorsHeader> ReadSafetensorsHeader(File& file) {
  auto header = ReadHeader(file);
  if (header) return header;
  if (const auto target = LfsPointerTarget(file)) return LfsPointerError(file.path(), *target);
  return std::move(header).error().In("'" + file.path() + "'");
}

}  // namespace mach::io
