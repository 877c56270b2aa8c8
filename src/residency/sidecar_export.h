// From a checkpoint to an expert sidecar, with memory of a few experts.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/thread_pool.h"
#include "io/sidecar_writer.h"
#include "model/config.h"
#include "model/weights.h"
#include "ops/ffn.h"

namespace mach::residency {

// kKeep takes what the checkpoint has: quantized matrices bit for bit, dense ones in their dtype.
// 4 and 8 bits quantize dense experts to MLX affine in groups of 64.
enum class SidecarBits : unsigned char { kKeep, k4, k8, k16 };

struct SidecarExport {
  SidecarBits bits = SidecarBits::kKeep;
  std::optional<size_t> experts;  // of each layer, as the caller expects it
  std::string tool;
  model::LoadProgress progress;  // of record bytes; returning false stops with kCancelled
};

// What the records of the export are going to be. kInvalidArgument when the checkpoint's experts
// cannot become what is asked for, or are not as many.
Result<ops::ExpertLayout> ExportLayout(const model::ModelConfig& config,
                                       const io::TensorSource& source,
                                       const SidecarExport& options);

// Writes all layers that `writer` has not finished, then publishes. The threads of the pool pack
// one expert each at a time.
Status ExportSidecar(const model::ModelConfig& config, const io::TensorSource& source,
                     const ops::ExpertLayout& layout, const SidecarExport& options,
                     ThreadPool& pool, io::SidecarWriter& writer);

}  // namespace mach::residency
