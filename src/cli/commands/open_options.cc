#include "cli/commands/open_options.h"

#include "base/log.h"
#include "base/topology.h"
#include "base/units.h"
#include "cache/disk_index.h"
#include "cli/commands/thread_advice.h"
#include "experts/eviction.h"
#include "kernels/table.h"
#include "ops/context.h"
#include "residency/residency.h"
#include "spec/policy_options.h"

namespace mach::cli {
namespace {

engine::DraftBits DraftBitsOf(std::string_view bits) {
  if (bits == "4") return engine::DraftBits::k4;
  if (bits == "8") return engine::DraftBits::k8;
  return bits == "auto" ? engine::DraftBits::kAuto : engine::DraftBits::kStored;
}

engine::PrefixOptions PrefixOf(const PrefixOptions& options) {
  engine::PrefixOptions prefix;
  prefix.max_entries = options.max_entries;
  if (options.max_gb) prefix.max_bytes = BytesOfGigabytes(*options.max_gb);
  prefix.block_tokens = options.block_size;
  if (!options.disk_directory.empty()) {
    prefix.disk.emplace();
    prefix.disk->directory = options.disk_directory;
    prefix.disk->budget_bytes = BytesOfGigabytes(options.disk_budget_gb);
    if (options.disk_lru) prefix.disk->eviction = cache::DiskEviction::kLru;
  }
  return prefix;
}

Result<residency::ExpertOptions> ExpertsOf(const ModelOptions& options) {
  residency::ExpertOptions experts;
  experts.directory = options.sidecar_dir;
  experts.from_checkpoint = options.bf16_streaming;
  if (options.expert_cache_gb) experts.bank_bytes = BytesOfGigabytes(*options.expert_cache_gb);
  experts.eviction = *experts::EvictionFromName(options.eviction);
  experts.pin_hot = options.pin_hot;
  experts.transient_prefill = options.transient_prefill;
  experts.allow_slow = options.allow_fallback;
  experts.reads = DirectReadsOf(options.direct_pread);
  if (options.bf16_streaming && !options.sidecar_dir.empty()) {
    return Error{Code::kInvalidArgument,
                 "--bf16-streaming reads the experts of the checkpoint and --sidecar-dir names a "
                 "sidecar; give one of them"};
  }
  return experts;
}

}  // namespace

residency::DirectReads DirectReadsOf(std::string_view choice) {
  if (choice == "io_uring") return residency::DirectReads::kIoUring;
  if (choice == "pread") return residency::DirectReads::kPread;
  return choice == "off" ? residency::DirectReads::kOff : residency::DirectReads::kAuto;
}

engine::OpenOptions PlanOptionsFrom(const ModelOptions& model, const DraftOptions& draft) {
  engine::OpenOptions open;
  open.checkpoint = model.checkpoint;
  open.context_tokens = model.ctx_size;
  open.threads = model.threads;
  open.chunk_tokens = model.chunk;
  open.isa = model.isa == "auto" ? std::nullopt : kernels::IsaFromName(model.isa);
  open.compute = model.compute_f32 ? ops::Compute::kF32 : ops::Compute::kInt8;
  if (model.wired_gb) open.memory_bytes = BytesOfGigabytes(*model.wired_gb);
  open.request_bytes = model.request_memory_mb << 20;
  open.draft.enabled = !draft.target_only;
  open.draft.directory = draft.directory;
  open.draft.bits = DraftBitsOf(draft.bits);
  return open;
}

Result<engine::OpenOptions> OpenOptionsFrom(const ModelOptions& model, const DraftOptions& draft,
                                            const PrefixOptions* prefix, size_t max_queue) {
  const std::string slow = TooManyThreads("--threads", model.threads, AvailableCpus());
  if (!slow.empty()) LogWarning(slow);
  engine::OpenOptions open = PlanOptionsFrom(model, draft);
  if (!draft.block_policy.empty()) {
    MACH_TRY(open.draft.policy, spec::ParsePolicy(draft.block_policy));
  }
  if (model.streaming) {
    MACH_TRY(open.experts, ExpertsOf(model));
  } else if (model.bf16_streaming) {
    return Error{Code::kInvalidArgument,
                 "--bf16-streaming (LME_BF16_STACKED_STREAMING) says how experts stream; give "
                 "--streaming beside it, or neither"};
  }
  if (prefix != nullptr && prefix->enabled) open.prefix = PrefixOf(*prefix);
  open.max_queue = max_queue;
  return open;
}

}  // namespace mach::cli
