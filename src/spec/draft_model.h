// The weights of a DFlash drafter. It has neither embedding nor head: both are its target's.
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
  int bits = 0;  // dense matrices are quantized to 4 or 8 bits while loading; 0: as they are
};

// Const after Load. Its bytes are reserved as `draft`.
class DraftModel {
 public:
  // kInvalidArgument when it was made for another target, kUnsupported for variants that Mach does
  // not run. The message names the directory.
  static Result<std::unique_ptr<DraftModel>> Load(io::FileSystem& fs,
                                                  const DraftModelOptions& options,
                                                  const model::ModelConfig& target,
                                                  MemoryLedger& ledger,
                                                  const model::LoadProgress& progress = {});

  // What Load would reserve, by the headers alone, and the config.
  struct Needs {
    size_t weights = 0;
    size_t staging = 0;  // at most at a time, given back by the end of Load
    DraftConfig config;
  };
  static Result<Needs> Measure(io::FileSystem& fs, const DraftModelOptions& options,
                               const model::ModelConfig& target);

  // The drafter that belongs to a checkpoint when none is named: "<checkpoint>-dflash" beside it,
  // or "dflash" in it. Empty when there is neither.
  static std::string Find(io::FileSystem& fs, const std::string& checkpoint);

  const DraftConfig& config() const { return config_; }
  const std::string& directory() const { return directory_; }
  const quant::TiledMatrix& fc() const { return fc_; }         // [hidden, taps * hidden]
  const float* context_norm() const { return context_norm_; }  // [hidden]
  const float* final_norm() const { return final_norm_; }      // [hidden]
  const DraftLayerWeights& layer(size_t i) const { return layers_[i]; }
  // Decides the context features that drafters of this model keep as notes.
  std::string NotesIdentity() const;
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
