#include "io/sidecar_verify.h"

#include "io/xxh3.h"

namespace mach::io {

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
      if (!file) {
        damage(file.error().message);
      } else if (const Status read = ReadExactly(**file, record.offset, buffer); !read) {
        damage(read.error().message);
      } else if (Xxh3(buffer) != record.xxh3) {
        damage("'" + (*file)->path() + "' at byte " + std::to_string(record.offset) +
               ": the checksum is wrong");
      }
      done += m.record_stride;
      if (progress && !progress(done, total)) {
        return Error{Code::kCancelled, "the check was interrupted"};
      }
    }
  }
  return damaged;
}

}  // namespace mach::io
