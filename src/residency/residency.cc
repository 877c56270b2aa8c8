#include "residency/residency.h"

#include <algorithm>

#include "base/units.h"
#include "experts/catalog.h"
#include "experts/streaming_store.h"
#include "io/async_reader.h"
#include "io/file.h"
#include "io/tensor_source.h"
#include "model/config.h"
#include "ops/ffn.h"
#include "residency/ceiling.h"

namespace mach::residency {
namespace {

struct Reads {
  io::ReadMode mode = io::ReadMode::kIoUring;
  bool direct = true;
};

// another_way: --direct-pread alone stands in the way of reads that work.
Error NotDirect(const std::string& found, const ExpertOptions& asked, bool another_way) {
  const char* mend = another_way ? "start with --direct-pread auto"
                     : asked.from_checkpoint
                         ? "put the checkpoint on a local disk (ext4, xfs, btrfs)"
                         : "put the sidecar on a local disk (ext4, xfs, btrfs) "
                           "with --output and --sidecar-dir";
  return {Code::kUnsupported, "direct reads: " + found + "; " + mend +
                                  ", or accept slow buffered reads with "
                                  "--allow-diagnostic-fallback"};
}

Result<Reads> ChooseReads(const std::string& file, const ExpertOptions& asked) {
  if (asked.reads == DirectReads::kOff) {
    if (asked.allow_slow) return Reads{io::ReadMode::kPread, false};
    return NotDirect("they are switched off (--direct-pread off)", asked, true);
  }
  const io::ReadProbe probe = io::ProbeReaders(file);
  const bool uring = asked.reads != DirectReads::kPread && probe.io_uring.empty();
  const bool pread = asked.reads != DirectReads::kIoUring && probe.pread.empty();
  if (uring) return Reads{io::ReadMode::kIoUring, true};
  if (pread) return Reads{io::ReadMode::kPread, true};
  if (asked.allow_slow) return Reads{io::ReadMode::kPread, false};
  if (asked.reads == DirectReads::kIoUring) {
    return NotDirect("io_uring: " + probe.io_uring, asked, probe.pread.empty());
  }
  if (asked.reads == DirectReads::kPread) {
    return NotDirect("pread: " + probe.pread, asked, probe.io_uring.empty());
  }
  return NotDirect("io_uring: " + probe.io_uring + "; pread: " + probe.pread, asked, false);
}

experts::StreamingOptions OptionsOf(const model::ModelConfig& config, const ExpertOptions& asked) {
  experts::StreamingOptions options;
  options.eviction = asked.eviction;
  options.pin_hot = asked.pin_hot;
  options.transient_prefill = asked.transient_prefill;
  options.prefetch = asked.prefetch;
  options.floor_slots = FloorSlots(config);
  options.bank_bytes = asked.bank_bytes.value_or(SIZE_MAX);
  return options;
}

size_t SliceBytes(const ExpertsOnDisk& disk, const experts::StreamingPlan& plan) {
  if (disk.slices == nullptr) return 0;
  return SliceReader::StagingBytes(*disk.slices, SliceRecords(plan));
}

Result<ExpertsOnDisk> ExpertsOfCheckpoint(io::FileSystem& fs, const model::ModelConfig& config,
                                          const io::TensorSource& source) {
  MACH_TRY(SourceExperts experts, FindSourceExperts(fs, config, source));
  ExpertsOnDisk found;
  found.catalog = std::move(experts.catalog);
  found.layout = experts.layout;
  found.slices = std::make_shared<const SourceSlices>(std::move(experts.slices));
  return found;
}

// No bank of one token's experts fits.
Error BelowFloor(const ExpertsOnDisk& disk, const model::ModelConfig& config,
                 const MemoryNeeds& needs, size_t ceiling, const ExpertOptions& asked, size_t free,
                 size_t available, size_t taken) {
  const size_t record = disk.catalog.slot_bytes;
  const size_t floor = std::min(FloorSlots(config), needs.expert_count);
  const size_t least = needs.resident() + needs.least_bank;
  std::string mend;
  if (asked.bank_bytes && *asked.bank_bytes / record < floor) {
    mend = "raise --expert-cache-gb to at least " + GigabytesUp(floor * record);
  }
  if (least > ceiling) {
    mend += (mend.empty() ? "" : ", and ") + HowToFit({.least = least,
                                                       .ceiling = ceiling,
                                                       .free = free,
                                                       .kv = needs.kv,
                                                       .context_tokens = needs.context_tokens});
  }
  const std::string one_token = "one token needs " + std::to_string(floor) + " experts of " +
                                BytesText(record) + " (" + BytesText(floor * record) + ")";
  if (least <= ceiling) {
    return {Code::kNoMemory, "--expert-cache-gb gives the bank " + BytesText(*asked.bank_bytes) +
                                 ", but " + one_token + "; " + mend};
  }
  return {Code::kNoMemory, "the ceiling of " + BytesText(ceiling) + " leaves " +
                               BytesText(available) + " for experts beside " + BytesText(taken) +
                               " of weights, state, cache and scratch, but " + one_token +
                               " and room to read; " + mend};
}

// The bank that was asked for does not fit, a smaller one does.
Error BankBeyondCeiling(const ExpertsOnDisk& disk, const MemoryNeeds& needs,
                        experts::StreamingOptions asked, const experts::StreamingPlan& fits,
                        size_t ceiling, size_t free, size_t taken) {
  const std::string lower = GigabytesDown(fits.bank_bytes);
  const size_t floor = fits.floor_slots * disk.catalog.slot_bytes;
  std::string mend =
      BytesOfGigabytes(std::stod(lower)) < floor ? "leave it out" : "lower it to at most " + lower;
  const size_t bank = asked.bank_bytes;
  const size_t record = disk.catalog.slot_bytes;
  const size_t largest = std::min(bank, disk.catalog.RecordCount() * record);
  // A bank of all experts reads none, and takes less than one of all but one, which is tried first.
  size_t experts = 0;
  for (const size_t bytes : {largest, largest - record}) {
    asked.bank_bytes = bytes;
    const auto plan = experts::PlanStreaming(disk.catalog, asked);
    if (plan) experts = std::max(experts, plan->memory_bytes());
  }
  if (experts != 0) {
    // A higher ceiling gives the prefix cache more, too: an eighth of it, see DefaultPrefixBytes.
    const size_t prefix = std::max(needs.prefix, std::min(experts / 7, kMostDefaultPrefix));
    const size_t least = taken - needs.prefix + prefix + experts;
    if (least <= free) mend += ", or raise --wired-gb to at least " + GigabytesUp(least);
  }
  return {Code::kNoMemory, "--expert-cache-gb asks for " + BytesText(bank) +
                               ", but the ceiling of " + BytesText(ceiling) + " leaves " +
                               BytesText(fits.bank_bytes) + " for the bank; " + mend};
}

}  // namespace

Result<ExpertsOnDisk> FindExpertsOnDisk(io::FileSystem& fs, const model::ModelConfig& config,
                                        const io::TensorSource& source,
                                        const ExpertOptions& asked) {
  bool any = false;
  for (const model::LayerConfig& layer : config.layers) {
    any = any || std::holds_alternative<ops::MoeShape>(layer.ffn);
  }
  if (!any) {
    return Error{Code::kInvalidArgument,
                 "the model has no routed experts to stream; use --no-streaming"};
  }
  if (asked.from_checkpoint) {
    MACH_TRY(ExpertsOnDisk found, ExpertsOfCheckpoint(fs, config, source));
    MACH_RETURN_IF_ERROR(CheckFullPrecision(found.layout));
    return found;
  }
  auto sidecar = OpenSidecar(fs, source.checkpoint(), config, asked.directory);
  if (!sidecar && asked.allow_slow) {
    MACH_TRY(ExpertsOnDisk found, ExpertsOfCheckpoint(fs, config, source));
    found.sidecar_problem = sidecar.error().message;
    return found;
  }
  if (!sidecar) return std::move(sidecar).error();
  ExpertsOnDisk found;
  MACH_TRY(found.layout, LayoutOf(sidecar->manifest()));
  found.catalog = CatalogOf(*sidecar);
  return found;
}

ExpertsOnDisk ImagineExpertsOnDisk(const model::ModelConfig& config,
                                   const ops::ExpertLayout& layout) {
  ExpertsOnDisk made{.catalog = {}, .layout = layout};
  experts::Catalog& catalog = made.catalog;
  catalog.slot_bytes = layout.record_bytes();
  catalog.layers = config.layers.size();
  catalog.files = {""};
  for (const model::LayerConfig& layer : config.layers) {
    const auto* moe = std::get_if<ops::MoeShape>(&layer.ffn);
    if (moe != nullptr) catalog.experts = std::max(catalog.experts, moe->experts);
  }
  catalog.records.resize(catalog.keys());
  for (size_t i = 0; i < catalog.layers; ++i) {
    const auto* moe = std::get_if<ops::MoeShape>(&config.layers[i].ffn);
    for (size_t e = 0; moe != nullptr && e < moe->experts; ++e) {
      catalog.records[i * catalog.experts + e].bytes = catalog.slot_bytes;
    }
  }
  return made;
}

Status UseExperts(const ExpertsOnDisk& disk, const model::ModelConfig& config,
                  const ExpertOptions& asked, MemoryNeeds& needs) {
  needs.expert_layout = disk.layout;
  needs.expert_record = disk.catalog.slot_bytes;
  experts::StreamingOptions least = OptionsOf(config, asked);
  least.bank_bytes = needs.floor_slots * needs.expert_record;
  MACH_TRY(const experts::StreamingPlan plan, experts::PlanStreaming(disk.catalog, least));
  needs.least_bank = plan.memory_bytes() + SliceBytes(disk, plan);
  return Ok();
}

size_t AskedBankMemory(const ExpertsOnDisk& disk, const model::ModelConfig& config,
                       const ExpertOptions& asked) {
  if (!asked.bank_bytes) return 0;
  const auto plan = experts::PlanStreaming(disk.catalog, OptionsOf(config, asked));
  return plan ? plan->memory_bytes() + SliceBytes(disk, *plan) : 0;
}

Result<BankFit> FitBank(const ExpertsOnDisk& disk, const model::ModelConfig& config,
                        const MemoryNeeds& needs, size_t ceiling, const ExpertOptions& asked,
                        size_t free) {
  const experts::StreamingOptions options = OptionsOf(config, asked);
  const size_t record = disk.catalog.slot_bytes;
  // The window, which decides it, does not depend on the bank.
  experts::StreamingOptions largest = options;
  largest.bank_bytes = SIZE_MAX;
  MACH_TRY(const experts::StreamingPlan all, experts::PlanStreaming(disk.catalog, largest));
  BankFit fit;
  fit.slice_bytes = SliceBytes(disk, all);
  const size_t taken = needs.resident() + fit.slice_bytes;
  const size_t available = ceiling - std::min(ceiling, taken);
  const auto plan = experts::FitStreaming(disk.catalog, options, available);
  if (!plan) return BelowFloor(disk, config, needs, ceiling, asked, free, available, taken);
  if (asked.bank_bytes && plan->bank_bytes + record <= *asked.bank_bytes &&
      plan->bank_slots < disk.catalog.RecordCount()) {
    return BankBeyondCeiling(disk, needs, options, *plan, ceiling, free, taken);
  }
  fit.plan = *plan;
  return fit;
}

Result<StreamingSetup> PrepareStreaming(ExpertsOnDisk disk, const model::ModelConfig& config,
                                        const ExpertOptions& asked) {
  StreamingSetup made;
  MACH_TRY(const Reads reads, ChooseReads(disk.catalog.files.front(), asked));
  made.read_mode = reads.mode;
  made.direct = reads.direct;
  made.options = OptionsOf(config, asked);
  made.catalog = std::move(disk.catalog);
  made.slices = std::move(disk.slices);
  made.sidecar_problem = std::move(disk.sidecar_problem);
  return made;
}

void SetBank(const BankFit& bank, StreamingSetup& setup) {
  setup.options.bank_bytes = bank.plan.bank_bytes;
  setup.options.staging_bytes = bank.plan.staging_bytes;
}

}  // namespace mach::residency
