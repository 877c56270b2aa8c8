// Where every routed expert of a model lies on disk: plain data, filled in from a sidecar or from
// the checkpoint itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"

namespace mach::experts {

struct ExpertRecord {
  uint32_t file = 0;    // index into Catalog::files
  uint64_t offset = 0;  // a multiple of 4096
  uint64_t bytes = 0;   // 0: the layer has no such expert
  uint64_t xxh3 = 0;    // XXH3-64 of those bytes, where Catalog::checksums
};

// One expert of one layer as a single number, layer-major: what bank and policies count in.
using ExpertKey = uint32_t;

struct Catalog {
  size_t slot_bytes = 0;  // of a slot: a multiple of 4096, no record is longer
  size_t layers = 0;      // of the model, those without routed experts included
  size_t experts = 0;     // of the layer that has most
  bool checksums = true;  // records have them
  std::vector<std::string> files;
  std::vector<ExpertRecord> records;  // [layers, experts]

  size_t keys() const { return layers * experts; }
  ExpertKey Key(LayerId layer, ExpertId expert) const {
    return static_cast<ExpertKey>(Index(layer) * experts + Index(expert));
  }
  const ExpertRecord& Record(LayerId layer, ExpertId expert) const {
    return records[Key(layer, expert)];
  }
  uint32_t LayerOf(ExpertKey key) const { return static_cast<uint32_t>(key / experts); }
  uint32_t ExpertOf(ExpertKey key) const { return static_cast<uint32_t>(key % experts); }

  size_t RecordCount() const;                 // that exist
  size_t LayerRecords(size_t layer) const;    // of one layer
  size_t MoeLayers() const;                   // layers with at least one record
  std::string Describe(ExpertKey key) const;  // "layer 3 expert 17 ('FILE')"
};

// That counts agree and every record can be read into a slot. Errors name the record and the file.
Status ValidateCatalog(const Catalog& catalog);

}  // namespace mach::experts
