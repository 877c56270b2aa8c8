// The config.json of a random checkpoint.
#pragma once

#include "json/value.h"
#include "reference/random_checkpoint.h"

namespace mach::reference {

// module_grids: what departs from the general quantization, by full module path: settings or false.
json::Value MakeRandomConfig(const CheckpointSpec& spec, const json::Object& module_grids);

inline bool IsMlx(const CheckpointSpec& spec) {
  return spec.layout == Layout::kMlxDense || spec.layout == Layout::kMlxAffine;
}

// Whether layer i has full attention, and whether it has experts.
LayerKind RandomLayerKind(const CheckpointSpec& spec, size_t i);

}  // namespace mach::reference
