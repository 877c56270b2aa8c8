// How a server keeps its experts: chosen by the user, checked before anything is loaded, refused
// rather than slow (DESIGN promise 3).
#pragma once

#include <optional>
#include <string>

#include "experts/catalog.h"
#include "experts/eviction.h"
#include "experts/streaming_store.h"
#include "io/file.h"
#include "io/tensor_source.h"
#include "model/config.h"
#include "ops/ffn.h"
#include "residency/plan.h"
#include "residency/sidecar.h"
#include "residency/source_experts.h"
#include "residency/streaming_setup.h"

namespace mach::residency {

enum class DirectReads : unsigned char { kAuto, kIoUring, kPread, kOff };

struct ExpertOptions {
  std::string directory;  // of the sidecar; empty: in the checkpoint
  // No sidecar: experts are read from the checkpoint's own tensors (bf16_streaming).
  bool from_checkpoint = false;
  std::optional<size_t> bank_bytes;  // nothing: what the ceiling leaves
  experts::Eviction eviction = experts::Eviction::kLookahead;
  bool pin_hot = false;
  bool transient_prefill = true;
  experts::Prefetch prefetch = experts::Prefetch::kAuto;
  DirectReads reads = DirectReads::kAuto;
  // Slow paths instead of refusals: the checkpoint's own tensors where there is no valid sidecar,
  // buffered reads where direct ones are off or do not work.
  bool allow_slow = false;
};

// Experts on disk.
struct ExpertsOnDisk {
  experts::Catalog catalog;
  ops::ExpertLayout layout;                    // of the records
  std::shared_ptr<const SourceSlices> slices;  // of the checkpoint; null: a sidecar's
  std::string sidecar_problem;                 // as in StreamingSetup
};

// Opens and checks the sidecar, or finds the experts in the checkpoint. Errors name what is wrong
// and the command or option that mends it, as below.
Result<ExpertsOnDisk> FindExpertsOnDisk(io::FileSystem& fs, const model::ModelConfig& config,
                                        const io::TensorSource& source,
                                        const ExpertOptions& options);

// What the experts of a sidecar that is not written yet would be, if it kept the checkpoint's
// format.
ExpertsOnDisk ImagineExpertsOnDisk(const model::ModelConfig& config,
                                   const ops::ExpertLayout& layout);

// Makes the needs those of a model whose experts are these.
Status UseExperts(const ExpertsOnDisk& experts, const model::ModelConfig& config,
                  const ExpertOptions& options, MemoryNeeds& needs);

// Bytes of the bank that was asked for, with all that it needs to read; 0 where none was, or one
// that is too small.
size_t AskedBankMemory(const ExpertsOnDisk& experts, const model::ModelConfig& config,
                       const ExpertOptions& options);

// How the ceiling is shared.
struct BankFit {
  experts::StreamingPlan plan;
  size_t slice_bytes = 0;  // of staging, besides the plan's, for experts of the checkpoint
  size_t staging_bytes() const { return plan.memory_bytes() - plan.bank_bytes + slice_bytes; }
};

// Fits the bank into what a ceiling leaves beside the rest of the model. free: of the machine's
// memory; no higher ceiling is advised. REQUIRES: UseExperts.
Result<BankFit> FitBank(const ExpertsOnDisk& experts, const model::ModelConfig& config,
                        const MemoryNeeds& needs, size_t ceiling, const ExpertOptions& options,
                        size_t free = SIZE_MAX);

// How the store is set up: finds the reads that work where the experts are. SetBank sets the bank.
Result<StreamingSetup> PrepareStreaming(ExpertsOnDisk experts, const model::ModelConfig& config,
                                        const ExpertOptions& asked);
void SetBank(const BankFit& bank, StreamingSetup& setup);

}  // namespace mach::residency
