// How a server keeps its experts: chosen by the user, checked before anything is loaded, refused
// rather than slow (DESIGN promise 3).
#pragma once

#include <optional>
#include <string>

#include "model/expert_streaming.h"
#include "model/plan.h"
#include "model/sidecar.h"

namespace mach::model {

enum class DirectReads : unsigned char { kAuto, kIoUring, kPread, kOff };

struct SidecarStreaming {
  std::string directory;             // empty: in the checkpoint
  std::optional<size_t> bank_bytes;  // nothing: what the ceiling leaves
  experts::Eviction eviction = experts::Eviction::kLookahead;
  bool pin_hot = false;
  bool transient_prefill = true;
  experts::Prefetch prefetch = experts::Prefetch::kAuto;
  DirectReads reads = DirectReads::kAuto;
  // Buffered reads where direct ones are off or do not work.
  bool allow_slow = false;
};

// What streaming will do, for LoadOptions and for the start-up lines.
struct PreparedStreaming {
  ExpertStreaming streaming;
  ops::ExpertLayout layout;  // of the sidecar's records
  experts::StreamingPlan plan;
};

// Opens and checks the sidecar, finds the reads that work beside it, and fits the bank into what a
// ceiling leaves beside the rest of the model. Errors name what is wrong and the command or option
// that mends it.
Result<PreparedStreaming> PrepareStreaming(io::FileSystem& fs, const io::Checkpoint& checkpoint,
                                           const ModelConfig& config, const MemoryNeeds& needs,
                                           size_t ceiling, const SidecarStreaming& wish);

}  // namespace mach::model
