// The expert sidecar: all routed experts of a checkpoint, one record each, as the kernels read
// them. docs/formats/sidecar.md describes every byte.
//
// Nothing of it is trusted: sizes, counts, offsets and checksums are checked before use.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "io/checkpoint.h"
#include "io/file.h"
#include "json/value.h"
#include "tensor/dtype.h"

namespace mach::io {

inline constexpr std::string_view kSidecarFormat = "mach-expert-sidecar-v1";
inline constexpr std::string_view kSidecarDirectory = "expert_sidecar";  // in the checkpoint
inline constexpr size_t kSidecarAlignment = 4096;
inline constexpr size_t kMaxManifestBytes = size_t{1} << 20;

// What one of the three matrices of an expert is made of. bits == 0: dense, of `type`; else MLX
// affine with scales of `type`.
struct SidecarMatrix {
  tensor::DType type = tensor::DType::kBF16;
  int bits = 0;
  int group = 0;
  bool operator==(const SidecarMatrix&) const = default;
};

// manifest.json, as plain data.
struct SidecarManifest {
  std::string architecture;
  uint64_t layers = 0;   // of the model, those without routed experts included
  uint64_t experts = 0;  // of the layer that has most
  uint64_t hidden = 0;
  uint64_t width = 0;                    // of one expert
  std::array<SidecarMatrix, 3> weights;  // gate, up, down
  std::string tile_layout;               // quant::kTileLayoutName
  uint64_t record_bytes = 0;             // checksummed bytes of one expert
  uint64_t record_stride = 0;            // from one record to the next
  std::string fingerprint;               // FingerprintCheckpoint of the source
  std::string tool;                      // what wrote it; only informs

  json::Object ToJson() const;
  // Refuses other formats (kUnsupported) and fields that are missing, of the wrong type or out of
  // range (kCorrupt).
  static Result<SidecarManifest> FromJson(const json::Value& value);
};

// One expert in "layer-NNN.bin". bytes == 0: the layer has no such expert.
struct SidecarRecord {
  uint64_t offset = 0;
  uint64_t bytes = 0;
  uint64_t xxh3 = 0;  // XXH3-64 of those bytes
};

// index.bin for [layers, experts] records. manifest_xxh3: of the bytes of manifest.json.
std::string EncodeSidecarIndex(uint64_t layers, uint64_t experts, uint64_t manifest_xxh3,
                               std::span<const SidecarRecord> records);
// Checks both checksums, the counts against the manifest, and that the records of each layer are
// aligned, in order and apart.
Result<std::vector<SidecarRecord>> DecodeSidecarIndex(std::span<const std::byte> file,
                                                      const SidecarManifest& manifest,
                                                      uint64_t manifest_xxh3);

std::string SidecarLayerName(uint64_t layer);  // "layer-007.bin"

// An opened sidecar, const. The layer files exist and have the size that the index asks for.
class Sidecar {
 public:
  // kNotFound when there is no manifest.
  static Result<Sidecar> Open(FileSystem& fs, const std::string& directory);

  const std::string& directory() const { return directory_; }
  const SidecarManifest& manifest() const { return manifest_; }
  SidecarRecord Record(LayerId layer, ExpertId expert) const {
    return records_[Index(layer) * manifest_.experts + Index(expert)];
  }
  std::string LayerPath(uint64_t layer) const;
  uint64_t LayerBytes(uint64_t layer) const;  // 0: no experts, no file

 private:
  std::string directory_;
  SidecarManifest manifest_;
  std::vector<SidecarRecord> records_;
};

// Names a checkpoint by its content without reading its tensors: XXH3-128 over config.json and
// over name, size and header of each tensor file, as 32 hexadecimal digits.
Result<std::string> FingerprintCheckpoint(FileSystem& fs, const Checkpoint& checkpoint);

}  // namespace mach::io
