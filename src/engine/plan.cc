#include "engine/plan.h"

#include "base/topology.h"
#include "model/config.h"
#include "ops/context.h"

namespace mach::engine {
namespace {

void SetMemory(const OpenOptions& options, const residency::ExpertsOnDisk* disk, MemoryPlan& plan) {
  const residency::MemoryNeeds& needs = plan.model.needs;
  const auto set = [&](MemoryTag tag, size_t bytes) {
    plan.memory[static_cast<size_t>(tag)] = bytes;
  };
  set(MemoryTag::kWeights, needs.weights);
  set(MemoryTag::kExperts,
      disk == nullptr ? needs.all_experts() : plan.model.bank->plan.bank_bytes);
  set(MemoryTag::kKv, needs.kv + plan.decode.features);
  set(MemoryTag::kState, needs.state + plan.decode.state);
  set(MemoryTag::kPrefix, plan.prefix_bytes);
  set(MemoryTag::kScratch, needs.scratch + plan.decode.scratch);
  set(MemoryTag::kStaging, disk == nullptr ? 0 : plan.model.bank->staging_bytes());
  set(MemoryTag::kDraft, plan.decode.draft);
  set(MemoryTag::kRequests, options.request_bytes);
}

residency::ArrangeOptions ArrangeOptionsOf(const PlanInputs& inputs, const OpenOptions& options) {
  residency::ArrangeOptions arrange{
      .pass = {.context_tokens = options.context_tokens,
               .max_rows = options.chunk_tokens,
               .threads = options.threads != 0 ? options.threads : AvailableCpus(),
               .kv_f16 = options.compute == ops::Compute::kInt8},
      .ceiling = inputs.ceiling,
      .free = inputs.free};
  if (options.experts) arrange.experts = *options.experts;
  return arrange;
}

}  // namespace

Result<MemoryPlan> PlanModel(const PlanInputs& inputs, const residency::ExpertsOnDisk* disk,
                             const OpenOptions& options) {
  MemoryPlan plan;
  MACH_TRY(plan.model, residency::Arrange(inputs.headers->config, inputs.tensors, disk,
                                          ArrangeOptionsOf(inputs, options)));
  if (!plan.model.misfit) SetMemory({}, disk, plan);
  return plan;
}

Result<MemoryPlan> Plan(const PlanInputs& inputs, const residency::ExpertsOnDisk* disk,
                        const OpenOptions& options) {
  const model::ModelConfig& config = inputs.headers->config;
  const auto decode = [&](const residency::PlanOptions& pass) {
    return spec::MeasureDecode(config, pass, inputs.draft, options.prefix.has_value());
  };
  residency::ArrangeOptions arrange = ArrangeOptionsOf(inputs, options);
  arrange.other = [&](const residency::PlanOptions& pass) -> Result<size_t> {
    return decode(pass).total() + options.request_bytes;
  };
  arrange.prefix_cache = options.prefix.has_value();
  if (options.prefix) arrange.prefix_bytes = options.prefix->max_bytes;
  MemoryPlan plan;
  MACH_TRY(plan.model, residency::Arrange(config, inputs.tensors, disk, arrange));
  plan.decode = decode(plan.model.pass);
  if (plan.model.misfit) return plan;
  plan.prefix_bytes = plan.model.needs.prefix;
  if (options.prefix && disk == nullptr) {
    plan.prefix_bytes = options.prefix->max_bytes.value_or(residency::DefaultPrefixBytes(
        plan.model.needs, plan.model.needs.all_experts(), inputs.ceiling));
  }
  SetMemory(options, disk, plan);
  return plan;
}

}  // namespace mach::engine
