#include "cli/commands/serving_facts.h"

#include "cli/commands/open_options.h"
#include "experts/streaming_store.h"
#include "io/async_reader.h"
#include "io/file.h"
#include "io/sidecar.h"
#include "kernels/table.h"
#include "residency/loaded_model.h"
#include "residency/sidecar.h"

namespace mach::cli {
namespace {

std::string ResidencyOf(const ModelOptions& options) {
  if (!options.streaming) return "stacked";
  return options.bf16_streaming ? "bf16_streaming" : "streaming";
}

// Nothing: there is none that could be used, and none is.
std::optional<bool> SidecarValid(const ModelOptions& options, const residency::LoadedModel& model) {
  if (!model.sidecar_problem().empty()) return false;
  if (model.streaming() != nullptr && !model.streams_from_checkpoint()) return true;
  const bool valid = residency::OpenSidecar(io::PosixFileSystem(), model.checkpoint(),
                                            model.config(), options.sidecar_dir)
                         .ok();
  return valid ? std::optional(true) : std::nullopt;
}

// "none" where nothing is read from disk, or direct reads are switched off.
std::string DirectMode(const ModelOptions& options, const residency::LoadedModel& model) {
  const experts::StreamingStore* store = model.streaming();
  if (store == nullptr) return "none";
  if (model.direct_reads()) return std::string(io::ReadModeName(store->read_mode()));
  return options.direct_pread == "off" ? "none" : "buffered";
}

std::vector<std::string> SlowPaths(const ModelOptions& options,
                                   const residency::LoadedModel& model) {
  std::vector<std::string> paths;
  if (model.streaming() != nullptr && !model.direct_reads()) paths.emplace_back("buffered_reads");
  if (!model.sidecar_problem().empty()) paths.emplace_back("checkpoint_experts");
  if (options.bf16_streaming) paths.emplace_back("bf16_streaming");
  if (model.kernels().isa == kernels::Isa::kScalar) paths.emplace_back("scalar_kernels");
  if (options.compute_f32) paths.emplace_back("f32_compute");
  return paths;
}

}  // namespace

server::ConfiguredServing ConfiguredFrom(const ModelOptions& options, const DraftOptions& draft) {
  server::ConfiguredServing configured;
  configured.fallback_policy = options.fallback_policy;
  configured.expert_residency = ResidencyOf(options);
  if (const engine::OpenOptions open = PlanOptionsFrom(options, draft);
      !engine::FindDraft(io::PosixFileSystem(), open).directory.empty()) {
    configured.decode_path = "specdec-v7";
    configured.adaptive_block_policy = draft.block_policy;
  }
  return configured;
}

server::ServingFacts FactsOf(const ModelOptions& options, const engine::OpenedEngine& opened) {
  const residency::LoadedModel& model = *opened.model;
  server::ServingFacts facts;
  facts.slow_paths = SlowPaths(options, model);
  if (!facts.slow_paths.empty()) facts.profile = "diagnostic";
  facts.fallback_policy = options.fallback_policy;
  facts.expert_residency = ResidencyOf(options);
  facts.direct_expected = model.streaming() != nullptr;
  facts.direct_active = facts.direct_expected && model.direct_reads();
  facts.direct_mode = DirectMode(options, model);
  const std::string sidecar = !options.sidecar_dir.empty()
                                  ? options.sidecar_dir
                                  : options.checkpoint + "/" + std::string(io::kSidecarDirectory);
  facts.sidecar_present = io::PosixFileSystem().Exists(sidecar + "/manifest.json");
  facts.sidecar_valid = SidecarValid(options, model);
  // The load fails when the kernels do not pass their self-test.
  facts.native_extension = facts.direct_active == facts.direct_expected;
  facts.wired_bytes = model.ledger().limit();
  for (size_t tag = 0; tag < kMemoryTags; ++tag) {
    facts.memory.emplace_back(MemoryTagName(static_cast<MemoryTag>(tag)), opened.memory[tag]);
  }
  return facts;
}

}  // namespace mach::cli
