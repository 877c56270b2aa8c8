#include "io/sidecar.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstring>
#include <memory>

#include <xxhash.h>

#include "base/units.h"
#include "io/corrupt.h"
#include "io/lfs_pointer.h"
#include "io/xxh3.h"
#include "json/parse.h"

namespace mach::io {
namespace {

// index.bin: all numbers little endian.
constexpr std::string_view kMagic = "MACHXIDX";
constexpr uint32_t kIndexVersion = 1;
constexpr size_t kIndexHeader = 32;
constexpr size_t kIndexEntry = 24;
constexpr size_t kIndexTrailer = 8;

constexpr uint64_t kMostLayers = 4096;
constexpr uint64_t kMostExperts = 65536;
constexpr uint64_t kMostEntries = uint64_t{1} << 22;
constexpr uint64_t kMostRecordBytes = uint64_t{1} << 34;
constexpr uint64_t kMostWidth = uint64_t{1} << 24;
constexpr std::array<std::string_view, 3> kMatrixNames = {"gate", "up", "down"};

template <class T>
void Append(std::string& out, T value) {
  static_assert(std::endian::native == std::endian::little);
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

template <class T>
T Load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

Result<uint64_t> Count(const json::Value& object, std::string_view key, uint64_t most) {
  const json::Value* value = object.Find(key);
  if (value == nullptr || !value->is_int() || value->AsInt() < 1 ||
      static_cast<uint64_t>(value->AsInt()) > most) {
    return Corrupt("\"" + std::string(key) + "\" is missing or no integer from 1 to " +
                   std::to_string(most));
  }
  return static_cast<uint64_t>(value->AsInt());
}

Result<std::string> Text(const json::Value& object, std::string_view key) {
  const json::Value* value = object.Find(key);
  if (value == nullptr || !value->is_string()) {
    return Corrupt("\"" + std::string(key) + "\" is missing or no string");
  }
  return value->AsString();
}

Result<SidecarMatrix> MatrixFromJson(const json::Value& weights, std::string_view name) {
  const json::Value* value = weights.Find(name);
  if (value == nullptr || !value->is_object()) {
    return Corrupt("\"weights." + std::string(name) + "\" is missing or no object");
  }
  SidecarMatrix matrix;
  MACH_TRY(const std::string type, Text(*value, "type"));
  const auto dtype = tensor::DTypeFromName(type);
  if (!dtype) return Corrupt("\"type\" is '" + type + "', which is no dtype");
  matrix.type = *dtype;
  MACH_TRY(const int64_t bits, json::GetInt(*value, "bits", 0));
  MACH_TRY(const int64_t group, json::GetInt(*value, "group", 0));
  if ((bits != 0 && bits != 4 && bits != 8) || group < 0 || group > 1024) {
    return Corrupt("\"weights." + std::string(name) + "\" has bits " + std::to_string(bits) +
                   " and group " + std::to_string(group) + ", expected 0, 4 or 8 bits");
  }
  matrix.bits = static_cast<int>(bits);
  matrix.group = static_cast<int>(group);
  return matrix;
}

}  // namespace

json::Object SidecarManifest::ToJson() const {
  const auto number = [](uint64_t x) { return static_cast<int64_t>(x); };
  json::Object matrices;
  for (size_t i = 0; i < weights.size(); ++i) {
    matrices.Set(kMatrixNames[i], json::Object{{"type", tensor::DTypeName(weights[i].type)},
                                               {"bits", weights[i].bits},
                                               {"group", weights[i].group}});
  }
  return {{"format", kSidecarFormat},
          {"architecture", architecture},
          {"layers", number(layers)},
          {"experts", number(experts)},
          {"hidden_size", number(hidden)},
          {"intermediate_size", number(width)},
          {"weights", std::move(matrices)},
          {"tile_layout", tile_layout},
          {"record_bytes", number(record_bytes)},
          {"record_stride", number(record_stride)},
          {"source_fingerprint", fingerprint},
          {"tool", tool}};
}

Result<SidecarManifest> SidecarManifest::FromJson(const json::Value& value) {
  if (!value.is_object()) return Corrupt("the manifest is no object");
  MACH_TRY(const std::string format, Text(value, "format"));
  if (format != kSidecarFormat) {
    return Error{Code::kUnsupported, "\"format\" is '" + format + "', this version reads '" +
                                         std::string(kSidecarFormat) + "'"};
  }
  SidecarManifest m;
  MACH_TRY(m.architecture, Text(value, "architecture"));
  MACH_TRY(m.layers, Count(value, "layers", kMostLayers));
  MACH_TRY(m.experts, Count(value, "experts", kMostExperts));
  MACH_TRY(m.hidden, Count(value, "hidden_size", kMostWidth));
  MACH_TRY(m.width, Count(value, "intermediate_size", kMostWidth));
  MACH_TRY(m.tile_layout, Text(value, "tile_layout"));
  MACH_TRY(m.record_bytes, Count(value, "record_bytes", kMostRecordBytes));
  MACH_TRY(m.record_stride, Count(value, "record_stride", kMostRecordBytes));
  MACH_TRY(m.fingerprint, Text(value, "source_fingerprint"));
  MACH_TRY(m.tool, Text(value, "tool"));
  const json::Value* weights = value.Find("weights");
  if (weights == nullptr) return Corrupt("\"weights\" is missing");
  for (size_t i = 0; i < m.weights.size(); ++i) {
    MACH_TRY(m.weights[i], MatrixFromJson(*weights, kMatrixNames[i]));
  }
  if (m.layers * m.experts > kMostEntries) {
    return Corrupt("\"layers\" times \"experts\" is " + std::to_string(m.layers * m.experts) +
                   ", more than " + std::to_string(kMostEntries));
  }
  if (m.record_stride % kSidecarAlignment != 0 || m.record_stride < m.record_bytes) {
    return Corrupt("\"record_stride\" is " + std::to_string(m.record_stride) +
                   ", expected a multiple of 4096 that holds " + std::to_string(m.record_bytes) +
                   " bytes");
  }
  return m;
}

std::string EncodeSidecarIndex(uint64_t layers, uint64_t experts, uint64_t manifest_xxh3,
                               std::span<const SidecarRecord> records) {
  std::string out(kMagic);
  Append(out, kIndexVersion);
  Append(out, static_cast<uint32_t>(layers));
  Append(out, static_cast<uint32_t>(experts));
  Append(out, uint32_t{0});
  Append(out, manifest_xxh3);
  for (const SidecarRecord& record : records) {
    Append(out, record.offset);
    Append(out, record.bytes);
    Append(out, record.xxh3);
  }
  Append(out, Xxh3(out));
  return out;
}

Result<std::vector<SidecarRecord>> DecodeSidecarIndex(std::span<const std::byte> file,
                                                      const SidecarManifest& manifest,
                                                      uint64_t manifest_xxh3) {
  const uint64_t count = manifest.layers * manifest.experts;
  const uint64_t expected = kIndexHeader + count * kIndexEntry + kIndexTrailer;
  if (file.size() != expected) {
    return Corrupt("the file has " + SizesText(file.size(), expected) + " for " +
                   std::to_string(manifest.layers) + " layers of " +
                   std::to_string(manifest.experts) + " experts");
  }
  if (std::memcmp(file.data(), kMagic.data(), kMagic.size()) != 0) {
    return Corrupt("the file does not begin with '" + std::string(kMagic) + "'");
  }
  const std::byte* header = file.data() + kMagic.size();
  if (const auto version = Load<uint32_t>(header); version != kIndexVersion) {
    return Error{Code::kUnsupported, "version " + std::to_string(version) + ", expected " +
                                         std::to_string(kIndexVersion)};
  }
  if (Load<uint32_t>(header + 4) != manifest.layers ||
      Load<uint32_t>(header + 8) != manifest.experts) {
    return Corrupt("the counts are not the manifest's " + std::to_string(manifest.layers) +
                   " layers and " + std::to_string(manifest.experts) + " experts");
  }
  const size_t covered = file.size() - kIndexTrailer;
  if (Xxh3(file.first(covered)) != Load<uint64_t>(file.data() + covered)) {
    return Corrupt("the checksum is wrong");
  }
  if (Load<uint64_t>(header + 16) != manifest_xxh3) {
    return Corrupt("it was not written with this manifest.json, which was changed");
  }
  std::vector<SidecarRecord> records(count);
  for (uint64_t i = 0; i < count; ++i) {
    const std::byte* at = file.data() + kIndexHeader + i * kIndexEntry;
    records[i] = {Load<uint64_t>(at), Load<uint64_t>(at + 8), Load<uint64_t>(at + 16)};
  }
  for (uint64_t layer = 0; layer < manifest.layers; ++layer) {
    uint64_t least = 0;
    for (uint64_t expert = 0; expert < manifest.experts; ++expert) {
      const SidecarRecord& r = records[layer * manifest.experts + expert];
      if (r.bytes == 0) continue;
      const auto where = [&] {
        return "layer " + std::to_string(layer) + " expert " + std::to_string(expert) + ": ";
      };
      if (r.bytes != manifest.record_bytes) {
        return Corrupt(where() + SizesText(r.bytes, manifest.record_bytes));
      }
      if (r.offset % kSidecarAlignment != 0 || r.offset < least ||
          r.offset > kMostRecordBytes * kMostExperts) {
        return Corrupt(where() + "offset " + std::to_string(r.offset) +
                       ", expected a multiple of 4096 of at least " + std::to_string(least));
      }
      least = r.offset + manifest.record_stride;
    }
  }
  return records;
}

std::string SidecarLayerName(uint64_t layer) {
  char name[32];
  std::snprintf(name, sizeof name, "layer-%03llu.bin", static_cast<unsigned long long>(layer));
  return name;
}

std::string Sidecar::LayerPath(uint64_t layer) const {
  return directory_ + "/" + SidecarLayerName(layer);
}

uint64_t Sidecar::LayerBytes(uint64_t layer) const {
  uint64_t bytes = 0;
  for (uint64_t e = 0; e < manifest_.experts; ++e) {
    const SidecarRecord& record = records_[layer * manifest_.experts + e];
    if (record.bytes != 0) bytes = record.offset + manifest_.record_stride;
  }
  return bytes;
}

Result<Sidecar> Sidecar::Open(FileSystem& fs, const std::string& directory) {
  Sidecar sidecar;
  sidecar.directory_ = directory;
  const std::string manifest_path = directory + "/manifest.json";
  if (!fs.Exists(manifest_path)) {
    const std::string within = directory + "/" + std::string(kSidecarDirectory);
    const bool deeper = fs.Exists(within + "/manifest.json");
    return Error{Code::kNotFound, "'" + directory + "' has no expert sidecar (manifest.json)" +
                                      (deeper ? ", but '" + within + "' has one" : "")};
  }
  MACH_TRY(const std::string text, ReadFetchedFile(fs, manifest_path, kMaxManifestBytes));
  const auto json = json::Parse(text, {.unique_keys = true});
  if (!json) return Corrupt("'" + manifest_path + "': " + json.error().message);
  auto manifest = SidecarManifest::FromJson(*json);
  if (!manifest) return std::move(manifest).error().In(manifest_path);
  sidecar.manifest_ = *std::move(manifest);

  const std::string index_path = directory + "/index.bin";
  const uint64_t most = kIndexHeader +
                        sidecar.manifest_.layers * sidecar.manifest_.experts * kIndexEntry +
                        kIndexTrailer;
  MACH_TRY(const std::string index, ReadFetchedFile(fs, index_path, most));
  auto records = DecodeSidecarIndex(std::as_bytes(std::span(index)), sidecar.manifest_, Xxh3(text));
  if (!records) return std::move(records).error().In(index_path);
  sidecar.records_ = *std::move(records);

  for (uint64_t layer = 0; layer < sidecar.manifest_.layers; ++layer) {
    const uint64_t expected = sidecar.LayerBytes(layer);
    if (expected == 0) continue;
    MACH_TRY(const auto file, fs.Open(sidecar.LayerPath(layer)));
    if (file->size() == expected) continue;
    if (const auto target = LfsPointerTarget(*file)) return LfsPointerError(file->path(), *target);
    return Corrupt("'" + file->path() + "' has " + SizesText(file->size(), expected));
  }
  return sidecar;
}

Result<std::string> FingerprintCheckpoint(FileSystem& fs, const Checkpoint& checkpoint) {
  constexpr size_t kMaxConfigBytes = size_t{64} << 20;
  constexpr size_t kPiece = size_t{1} << 20;
  std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(),
                                                                        XXH3_freeState);
  MACH_CHECK(state != nullptr);
  XXH3_128bits_reset(state.get());
  const auto add = [&](const void* data, size_t bytes) {
    XXH3_128bits_update(state.get(), data, bytes);
  };
  MACH_TRY(const std::string config,
           ReadSmallFile(fs, checkpoint.directory() + "/config.json", kMaxConfigBytes));
  add(config.data(), config.size());
  std::vector<std::byte> piece(kPiece);
  for (size_t i = 0; i < checkpoint.files(); ++i) {
    File& file = checkpoint.file(i);
    const std::string name = file.path().substr(file.path().find_last_of('/') + 1);
    const uint64_t size = file.size();
    add(name.data(), name.size() + 1);  // the end of the name counts
    add(&size, sizeof size);
    std::byte length_bytes[8];
    MACH_RETURN_IF_ERROR(ReadExactly(file, 0, length_bytes));
    // The header was checked when the checkpoint was opened; the file may have changed since.
    const uint64_t header = std::min(Load<uint64_t>(length_bytes), size - sizeof length_bytes);
    for (uint64_t at = 0; at < header; at += piece.size()) {
      const std::span<std::byte> part(piece.data(), std::min<uint64_t>(piece.size(), header - at));
      MACH_RETURN_IF_ERROR(ReadExactly(file, sizeof length_bytes + at, part));
      add(part.data(), part.size());
    }
  }
  const XXH128_hash_t hash = XXH3_128bits_digest(state.get());
  char text[40];
  std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(hash.high64),
                static_cast<unsigned long long>(hash.low64));
  return std::string(text);
}

}  // namespace mach::io
