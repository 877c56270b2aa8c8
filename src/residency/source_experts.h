// Routed experts that are read from the tensors of the checkpoint itself, without a sidecar: at
// full precision for comparisons, or for want of a sidecar.
#pragma once

#include "experts/catalog.h"
#include "io/tensor_source.h"
#include "model/config.h"
#include "ops/ffn.h"
#include "quant/tiled.h"
#include "residency/slice_reader.h"

namespace mach::residency {

struct SourceExperts {
  experts::Catalog catalog;  // of records as SliceReader gives them: without checksums
  ops::ExpertLayout layout;
  SourceSlices slices;
};

// Finds every expert by the headers alone, in any layout of experts that io::TensorSource knows and
// any format that a sidecar can hold.
Result<SourceExperts> FindSourceExperts(io::FileSystem& fs, const model::ModelConfig& config,
                                        const io::TensorSource& source);

// kUnsupported for quantized experts, which --bf16-streaming does not read.
Status CheckFullPrecision(const ops::ExpertLayout& layout);

// That config, headers and sizes of a checkpoint are still those of the fingerprint. Tensors have
// no checksums.
Status CheckUnchanged(io::FileSystem& fs, const std::string& directory,
                      const std::string& fingerprint);

// "BF16", "4-bit affine, group 64".
std::string FormatName(const quant::TiledLayout& layout);

}  // namespace mach::residency
