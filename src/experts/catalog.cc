#include "experts/catalog.h"

#include <limits>

#include "io/async_reader.h"

namespace mach::experts {

size_t Catalog::RecordCount() const {
  size_t count = 0;
  for (const ExpertRecord& record : records) count += record.bytes != 0 ? 1 : 0;
  return count;
}

size_t Catalog::LayerRecords(size_t layer) const {
  size_t count = 0;
  for (size_t e = 0; e < experts; ++e) count += records[layer * experts + e].bytes != 0 ? 1 : 0;
  return count;
}

size_t Catalog::MoeLayers() const {
  size_t count = 0;
  for (size_t layer = 0; layer < layers; ++layer) count += LayerRecords(layer) != 0 ? 1 : 0;
  return count;
}

std::string Catalog::Describe(ExpertKey key) const {
  return "layer " + std::to_string(LayerOf(key)) + " expert " + std::to_string(ExpertOf(key)) +
         " ('" + files[records[key].file] + "')";
}

Status ValidateCatalog(const Catalog& c) {
  const auto corrupt = [](std::string message) {
    return Error{Code::kCorrupt, "expert catalog: " + std::move(message)};
  };
  if (c.layers == 0 || c.experts == 0 ||
      c.layers > std::numeric_limits<ExpertKey>::max() / 2 / c.experts ||
      c.records.size() != c.keys()) {
    return corrupt(std::to_string(c.records.size()) + " records for " + std::to_string(c.layers) +
                   " layers of " + std::to_string(c.experts) + " experts");
  }
  if (c.slot_bytes == 0 || c.slot_bytes % io::kDirectAlignment != 0) {
    return corrupt("records of " + std::to_string(c.slot_bytes) +
                   " bytes, expected a multiple of " + std::to_string(io::kDirectAlignment));
  }
  size_t found = 0;
  for (ExpertKey key = 0; key < c.keys(); ++key) {
    const ExpertRecord& r = c.records[key];
    if (r.bytes == 0) continue;
    ++found;
    if (r.file >= c.files.size()) {
      return corrupt("layer " + std::to_string(c.LayerOf(key)) + " expert " +
                     std::to_string(c.ExpertOf(key)) + " is in file " + std::to_string(r.file) +
                     " of " + std::to_string(c.files.size()));
    }
    if (r.bytes > c.slot_bytes || r.offset % io::kDirectAlignment != 0) {
      return corrupt(c.Describe(key) + ": " + std::to_string(r.bytes) + " bytes at offset " +
                     std::to_string(r.offset) + ", expected at most " +
                     std::to_string(c.slot_bytes) + " at a multiple of " +
                     std::to_string(io::kDirectAlignment));
    }
  }
  if (found == 0) return corrupt("no records at all");
  return Ok();
}

}  // namespace mach::experts
