#include "io/sidecar_verify.h"

#include <algorithm>

#include "io/xxh3.h"

namespace mach::io {
namespace {

constexpr uint64_t kBandBytes = uint64_t{4} << 20;  // between two reports

}  // namespace

Result<std::vector<DamagedRecord>> VerifyRecords(
    FileSystem& fs, const Sidecar& sidecar,
    const std::function<bool(uint64_t done, uint64_t total)>& progress) {
  const SidecarManifest& m = sidecar.manifest();
  uint64_t total = 0;
  for (uint64_t layer = 0; layer < m.layers; ++layer) total += sidecar.LayerBytes(layer);
  uint64_t done = 0;
  std::vector<DamagedRecord> damaged;
  std::vector<std::byte> buffer;
  for (uint32_t layer = 0; layer < m.layers; ++layer) {
    if (sidecar.LayerBytes(layer) == 0) continue;
    const auto file = fs.Open(sidecar.LayerPath(layer));
    for (uint32_t e = 0; e < m.experts; ++e) {
      const SidecarRecord record = sidecar.Record(LayerId(layer), ExpertId(e));
      if (record.bytes == 0) continue;
      buffer.resize(m.record_bytes);  // within the file, as Open has checked
      const auto damage = [&](std::string reason) {
        damaged.push_back({layer, e, std::move(reason)});
      };
      Status read = file ? Ok() : Status(file.error());
      for (uint64_t at = 0; at < buffer.size(); at += kBandBytes) {
        const auto band = std::span(buffer).subspan(
            at, static_cast<size_t>(std::min<uint64_t>(kBandBytes, buffer.size() - at)));
        if (read) read = ReadExactly(**file, record.offset + at, band);
        if (progress && !progress(done + at + band.size(), total)) {
          return Error{Code::kCancelled, "the check was interrupted"};
        }
      }
      if (!read) {
        damage(read.error().message);
      } else if (Xxh3(buffer) != record.xxh3) {
        damage("'" + (*file)->path() + "' at byte " + std::to_string(record.offset) +
               ": the checksum is wrong");
      }
      done += m.record_stride;
    }
  }
  if (progress) (void)progress(total, total);
  return damaged;
}

}  // namespace mach::io
