// The weights of a DFlash drafter. It uses its target's embedding and head.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/aligned_memory.h"
#include "base/memory_ledger.h"
#include "io/file.h"
#include "model/weights.h"
#include "ops/attention.h"
#include "ops/ffn.h"
#include "quant/tiled.h"
#include "spec/draft_config.h"

namespace mach::spec {

struct DraftLayerWeights {
  const float* input_norm = nullptr;  // [hidden]
  const float* ffn_norm = nullptr;    // [hidden]
  ops::AttentionWeights attention;
  ops::SwiGlu mlp;
};

struct DraftModelOptions {
  std::string directory;
  int bits = 0;  // 4 or 8: quantizes dense matrices while loading; 0: leaves them as they are
};

// Const after Load, and shared by all drafters. Reserves its bytes as `draft`.
class DraftModel {
 public:
  // kInvalidArgument for the drafter of another target, kUnsupported for variants that Mach does
  // not run. The message names the directory.
  static Result<std::unique_ptr<DraftModel>> Load(io::FileSystem& fs,
                                                  const DraftModelOptions& options,
                                                  const model::ModelConfig& target,
                                                  MemoryLedger& ledger,
                                                  const model::LoadProgress& progress = {});

  // Bytes that Load would reserve, from the headers alone, and the config.
  struct Needs {
    size_t weights = 0;
    size_t staging = 0;  // largest at a time; released by the end of Load
    DraftConfig config;
  };
  static Result<Needs> Measure(io::FileSystem& fs, const DraftModelOptions& options,
                               const model::ModelConfig& target);

  // Directory of the drafter that belongs to a checkpoint: "<checkpoint>-dflash" beside it, or
  // "dflash" in it. Empty when there is neither.
  static std::string Find(io::FileSystem& fs, const std::string& checkpoint);

  const DraftConfig& config() const { return config_; }
  const std::string& directory() const { return directory_; }
  const quant::TiledMatrix& fc() const { return fc_; }         // [hidden, taps * hidden]
  const float* context_norm() const { return context_norm_; }  // [hidden]
  const float* final_norm() const { return final_norm_; }      // [hidden]
  const DraftLayerWeights& layer(size_t i) const { return layers_[i]; }
  // Drafters of two models compute the same context features, bit for bit, if these are equal (and
  // the targets are).
  std::string ContextFeatureIdentity() const;
  size_t bytes() const { return reservation_.bytes(); }

 private:
  class Loader;
  DraftConfig config_;
  std::string directory_;
  AlignedBuffer memory_;
  MemoryReservation reservation_;
  quant::TiledMatrix fc_;
  const float* context_norm_ = nullptr;
  const float* final_norm_ = nullptr;
  std::vector<DraftLayerWeights> layers_;
};

}  // namespace mach::spec
