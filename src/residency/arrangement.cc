#include "residency/arrangement.h"

#include <algorithm>

#include "model/config.h"

namespace mach::residency {

Result<Arrangement> Arrange(const model::ModelConfig& config, const MemoryNeeds& tensors,
                            const ExpertsOnDisk* disk, const ArrangeOptions& options) {
  MACH_RETURN_IF_ERROR(CheckContext(config, options.pass.context_tokens));
  Arrangement made{.pass = options.pass, .needs = tensors};
  MemoryNeeds& needs = made.needs;
  made.least_experts = needs.all_experts();
  if (disk != nullptr) {
    MACH_RETURN_IF_ERROR(UseExperts(*disk, config, options.experts, needs));
    made.least_experts = needs.least_bank;
  }
  // The context leaves a bank and a prefix cache what they were told to have.
  const size_t asked_prefix = options.prefix_bytes.value_or(0);
  const auto room = [&](size_t experts, size_t prefix) {
    return options.ceiling - std::min(options.ceiling, needs.weights + experts + prefix);
  };
  if (options.pass.context_tokens == 0) {
    const size_t experts =
        disk == nullptr
            ? made.least_experts
            : std::max(made.least_experts, AskedBankMemory(*disk, config, options.experts));
    MACH_TRY(made.pass.context_tokens,
             DefaultContext(config, options.pass, room(experts, asked_prefix), disk != nullptr,
                            options.other));
  }
  made.pass.max_rows = std::min(options.pass.max_rows, made.pass.context_tokens);
  SetContext(config, made.pass, needs);
  if (options.other) {
    MACH_TRY(needs.decode, options.other(made.pass));
  }
  if (disk != nullptr) {
    if (options.prefix_cache) {
      needs.prefix = options.prefix_bytes.value_or(
          DefaultPrefixBytes(needs, needs.least_bank, options.ceiling));
    }
    auto bank = FitBank(*disk, config, needs, options.ceiling, options.experts, options.free);
    if (bank) {
      made.bank = *bank;
    } else {
      made.misfit = std::move(bank).error();
    }
  } else if (Status fits = CheckAllResident(config, needs, options.ceiling, options.free); !fits) {
    made.misfit = std::move(fits).error();
  }
  MACH_TRY(const size_t most,
           LongestContext(config, options.pass,
                          room(made.least_experts, std::max(needs.prefix, asked_prefix)),
                          options.other));
  made.most_context_tokens = std::max(most, made.pass.context_tokens);
  return made;
}

}  // namespace mach::residency
