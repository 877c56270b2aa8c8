#include "model/residency.h"

#include <algorithm>

namespace mach::model {
namespace {

struct Reads {
  io::ReadMode mode = io::ReadMode::kIoUring;
  bool direct = true;
};

// another_way: --direct-pread alone stands in the way of reads that work.
Error NotDirect(const std::string& found, bool another_way) {
  return {Code::kUnsupported,
          "direct reads: " + found +
              (another_way ? "; start with --direct-pread auto"
                           : "; put the sidecar on a local disk (ext4, xfs, btrfs) with --output "
                             "and --sidecar-dir") +
              ", or accept slow buffered reads with --allow-diagnostic-fallback"};
}

Result<Reads> ChooseReads(const std::string& file, const SidecarStreaming& wish) {
  if (wish.reads == DirectReads::kOff) {
    if (wish.allow_slow) return Reads{io::ReadMode::kPread, false};
    return NotDirect("they are switched off (--direct-pread off)", true);
  }
  const io::ReadProbe probe = io::ProbeReaders(file);
  const bool uring = wish.reads != DirectReads::kPread && probe.io_uring.empty();
  const bool pread = wish.reads != DirectReads::kIoUring && probe.pread.empty();
  if (uring) return Reads{io::ReadMode::kIoUring, true};
  if (pread) return Reads{io::ReadMode::kPread, true};
  if (wish.allow_slow) return Reads{io::ReadMode::kPread, false};
  if (wish.reads == DirectReads::kIoUring) {
    return NotDirect("io_uring: " + probe.io_uring, probe.pread.empty());
  }
  if (wish.reads == DirectReads::kPread) {
    return NotDirect("pread: " + probe.pread, probe.io_uring.empty());
  }
  return NotDirect("io_uring: " + probe.io_uring + "; pread: " + probe.pread, false);
}

std::string Bytes(size_t bytes) { return std::to_string(bytes) + " bytes"; }

}  // namespace

Result<PreparedStreaming> PrepareStreaming(io::FileSystem& fs, const io::Checkpoint& checkpoint,
                                           const ModelConfig& config, const MemoryNeeds& needs,
                                           size_t ceiling, const SidecarStreaming& wish) {
  if (needs.expert_count == 0) {
    return Error{Code::kInvalidArgument,
                 "the model has no routed experts to stream; use --no-streaming"};
  }
  MACH_TRY(const io::Sidecar sidecar, OpenSidecar(fs, checkpoint, config, wish.directory));
  PreparedStreaming made;
  MACH_TRY(made.layout, LayoutOf(sidecar.manifest()));
  made.streaming.catalog = CatalogOf(sidecar);
  MACH_TRY(const Reads reads, ChooseReads(made.streaming.catalog.files.front(), wish));
  made.streaming.read_mode = reads.mode;
  made.streaming.direct = reads.direct;

  experts::StreamingOptions& options = made.streaming.options;
  options.eviction = wish.eviction;
  options.pin_hot = wish.pin_hot;
  options.transient_prefill = wish.transient_prefill;
  options.prefetch = wish.prefetch;
  options.floor_slots = FloorSlots(config);
  options.bank_bytes = wish.bank_bytes.value_or(SIZE_MAX);
  const size_t available = ceiling - std::min(ceiling, needs.resident());
  auto plan = experts::FitStreaming(made.streaming.catalog, options, available);
  if (!plan) {
    if (wish.bank_bytes && *wish.bank_bytes <= available) return std::move(plan).error();
    return Error{Code::kNoMemory,
                 "the ceiling of " + Bytes(ceiling) + " leaves " + Bytes(available) +
                     " for experts beside " + Bytes(needs.resident()) +
                     " of weights, state, cache and scratch, but one token needs " +
                     std::to_string(options.floor_slots) + " experts of " +
                     Bytes(sidecar.manifest().record_stride) +
                     "; raise --wired-gb or lower --ctx-size"};
  }
  if (wish.bank_bytes && plan->bank_bytes + sidecar.manifest().record_stride <= *wish.bank_bytes &&
      plan->bank_slots < made.streaming.catalog.RecordCount()) {
    return Error{Code::kNoMemory, "--expert-cache-gb asks for " + Bytes(*wish.bank_bytes) +
                                      ", but the ceiling of " + Bytes(ceiling) + " leaves " +
                                      Bytes(plan->bank_bytes) +
                                      " for the bank; raise --wired-gb or lower it"};
  }
  made.plan = *plan;
  options.bank_bytes = plan->bank_bytes;
  options.staging_bytes = plan->staging_bytes;
  return made;
}

}  // namespace mach::model
