// Arbitrary bytes as a sidecar: manifest.json 0x1E index.bin, where an index without right
// checksums gets them, so that mutations reach what lies behind it. Layer files have the sizes that
// the index asks for, as far as they are small.
#include <cstring>
#include <string>
#include <string_view>

#include "io/sidecar.h"
#include "io/sidecar_verify.h"
#include "io/testing/memory_file_system.h"
#include "io/xxh3.h"
#include "json/parse.h"

namespace mach::io {
namespace {

constexpr char kSeparator = '\x1E';
constexpr uint64_t kMostLayerBytes = uint64_t{1} << 20;

std::string WithChecksums(std::string index, std::string_view manifest) {
  constexpr size_t kManifestSumAt = 24;
  constexpr size_t kTrailer = 8;
  if (index.size() < kManifestSumAt + 2 * kTrailer) return index;
  const uint64_t manifest_sum = Xxh3(manifest);
  std::memcpy(index.data() + kManifestSumAt, &manifest_sum, sizeof manifest_sum);
  const uint64_t sum = Xxh3(std::as_bytes(std::span(index)).first(index.size() - kTrailer));
  std::memcpy(index.data() + index.size() - kTrailer, &sum, kTrailer);
  return index;
}

// What an opened sidecar promises to those who read it.
void Use(FileSystem& fs, const Sidecar& sidecar) {
  const SidecarManifest& m = sidecar.manifest();
  for (uint32_t layer = 0; layer < m.layers; ++layer) {
    const uint64_t size = sidecar.LayerBytes(layer);
    uint64_t end = 0;
    for (uint32_t e = 0; e < m.experts; ++e) {
      const SidecarRecord r = sidecar.Record(LayerId(layer), ExpertId(e));
      if (r.bytes == 0) continue;
      MACH_CHECK(r.bytes == m.record_bytes && r.offset % kSidecarAlignment == 0);
      MACH_CHECK(r.offset >= end && r.offset <= size && m.record_stride <= size - r.offset);
      end = r.offset + m.record_stride;
    }
    MACH_CHECK(size == end);
  }
  MACH_CHECK(VerifyRecords(fs, sidecar, nullptr).ok());
  // What was read is written the same.
  const auto again = SidecarManifest::FromJson(json::Value(m.ToJson()));
  MACH_CHECK(again.ok() && again->weights == m.weights && again->record_bytes == m.record_bytes &&
             again->fingerprint == m.fingerprint && again->tool == m.tool);
}

void PutLayers(MemoryFileSystem& fs, const SidecarManifest& manifest,
               std::span<const SidecarRecord> records) {
  for (uint64_t layer = 0; layer < manifest.layers; ++layer) {
    uint64_t size = 0;
    for (uint64_t e = 0; e < manifest.experts; ++e) {
      const SidecarRecord& r = records[layer * manifest.experts + e];
      if (r.bytes != 0) size = r.offset + manifest.record_stride;
    }
    if (size == 0 || size > kMostLayerBytes) continue;
    fs.Put("s/" + SidecarLayerName(layer), std::string(size, 'x'));
  }
}

void Open(std::string manifest, std::string index) {
  MemoryFileSystem fs;
  const auto json = json::Parse(manifest);
  const auto parsed = json ? SidecarManifest::FromJson(*json) : json.error();
  if (parsed.ok()) {
    const auto records =
        DecodeSidecarIndex(std::as_bytes(std::span(index)), *parsed, Xxh3(manifest));
    if (records.ok()) {
      // A decoded index is written the same, but for its reserved field.
      std::string again =
          EncodeSidecarIndex(parsed->layers, parsed->experts, Xxh3(manifest), *records);
      MACH_CHECK(again.size() == index.size() &&
                 again.compare(24, again.size() - 32, index, 24, index.size() - 32) == 0);
      if (parsed->layers <= 64) PutLayers(fs, *parsed, *records);
    }
  }
  fs.Put("s/manifest.json", std::move(manifest));
  fs.Put("s/index.bin", std::move(index));
  const auto sidecar = Sidecar::Open(fs, "s");
  if (sidecar.ok()) {
    Use(fs, *sidecar);
  } else {
    MACH_CHECK(!sidecar.error().message.empty());
  }
}

void Run(std::string_view input) {
  const size_t at = input.find(kSeparator);
  const std::string manifest(input.substr(0, at));
  const std::string index(at == std::string_view::npos ? "" : input.substr(at + 1));
  Open(manifest, index);
  Open(manifest, WithChecksums(index, manifest));
}

}  // namespace
}  // namespace mach::io

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  mach::io::Run(std::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
