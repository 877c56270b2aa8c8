#include "residency/ceiling.h"

#include <algorithm>

#include "base/units.h"
#include "cache/kv_block.h"
#include "model/config.h"
#include "residency/residency.h"

namespace mach::residency {
namespace {

size_t Blocks(size_t tokens) { return (tokens + cache::kBlockTokens - 1) / cache::kBlockTokens; }

// The context that frees enough by its keys and values alone; 0 when none does.
size_t ShorterContext(const Shortfall& s) {
  const size_t blocks = Blocks(s.context_tokens);
  if (s.kv == 0 || blocks == 0) return 0;
  const size_t each = s.kv / blocks;
  const size_t dropped = (s.least - s.ceiling + each - 1) / std::max<size_t>(each, 1);
  return dropped < blocks ? (blocks - dropped) * cache::kBlockTokens : 0;
}

// What streaming takes at least with a sidecar in the checkpoint's format; nothing where there is
// nothing to stream.
std::optional<size_t> LeastStreaming(const model::ModelConfig& config, const MemoryNeeds& needs) {
  if (needs.expert_count == 0) return std::nullopt;
  MemoryNeeds streaming = needs;
  const ExpertOptions any;
  if (!UseExperts(ImagineExpertsOnDisk(config, needs.expert_layout), config, any, streaming)) {
    return std::nullopt;
  }
  return streaming.resident() + streaming.least_bank;
}

}  // namespace

std::string HowToFit(const Shortfall& s) {
  std::string out;
  if (s.least <= s.free) out = "raise --wired-gb to at least " + GigabytesUp(s.least);
  if (const size_t tokens = ShorterContext(s); tokens != 0) {
    out += (out.empty() ? "" : ", or ") + std::string("lower --ctx-size to at most ") +
           std::to_string(tokens);
  }
  if (!out.empty()) return out;
  return "that is more than the " + BytesText(s.free) +
         " that are free on this machine (and in its memory cgroup): free some memory, or take a "
         "smaller model";
}

Status CheckAllResident(const model::ModelConfig& config, const MemoryNeeds& needs, size_t ceiling,
                        size_t free) {
  const size_t least = needs.resident() + needs.all_experts();
  if (least <= ceiling) return Ok();
  const auto streaming = LeastStreaming(config, needs);
  std::string mend = HowToFit({.least = least,
                               .ceiling = ceiling,
                               .free = free,
                               .kv = needs.kv,
                               .context_tokens = needs.context_tokens});
  if (streaming && *streaming <= ceiling) {
    mend = "let the experts stream from disk with --streaming, or " + mend;
  }
  return Error{Code::kNoMemory, "all experts in memory take " + BytesText(needs.all_experts()) +
                                    ", with the rest " + BytesText(least) +
                                    ", but the ceiling (--wired-gb) is " + BytesText(ceiling) +
                                    "; " + mend};
}

Status CheckContext(const model::ModelConfig& config, size_t tokens) {
  if (tokens <= config.max_positions) return Ok();
  return Error{Code::kInvalidArgument,
               "--ctx-size is " + std::to_string(tokens) + ", but the model has " +
                   std::to_string(config.max_positions) + " positions; give at most " +
                   std::to_string(config.max_positions)};
}

Result<size_t> LongestContext(const model::ModelConfig& config, const PlanOptions& options,
                              size_t bytes, const OtherNeeds& other) {
  const auto takes = [&](size_t tokens) -> Result<size_t> {
    PlanOptions plan = options;
    plan.context_tokens = tokens;
    plan.max_rows = std::min(options.max_rows, tokens);
    const ContextNeeds needs = MeasureContext(config, plan);
    size_t total = needs.state + needs.kv + needs.scratch;
    if (other) {
      MACH_TRY(const size_t more, other(plan));
      total += more;
    }
    return total;
  };
  // More tokens never take less.
  size_t low = 0;  // blocks that fit
  size_t high = Blocks(config.max_positions) + 1;
  while (high - low > 1) {
    const size_t middle = low + (high - low) / 2;
    MACH_TRY(const size_t taken,
             takes(std::min(middle * cache::kBlockTokens, config.max_positions)));
    (taken <= bytes ? low : high) = middle;
  }
  return std::min(low * cache::kBlockTokens, config.max_positions);
}

Result<size_t> DefaultContext(const model::ModelConfig& config, const PlanOptions& options,
                              size_t room, bool streaming, const OtherNeeds& other) {
  constexpr size_t kStep = 1024;
  const size_t most = config.max_positions;
  const size_t usual = std::min<size_t>(most, 32768);
  const size_t small = std::min<size_t>(most, 8192);
  const size_t least = std::min(most, kStep);
  PlanOptions shortest = options;
  shortest.context_tokens = least;
  shortest.max_rows = std::min(options.max_rows, least);
  const ContextNeeds fixed = MeasureContext(config, shortest);
  size_t fixed_bytes = fixed.state + fixed.scratch;
  if (other) {
    MACH_TRY(const size_t more, other(shortest));
    fixed_bytes += more;
  }
  // With at most one part in `parts` of what the fixed bytes leave.
  const auto longest = [&](size_t parts) -> Result<size_t> {
    const size_t left = room - std::min(room, fixed_bytes);
    MACH_TRY(const size_t tokens,
             LongestContext(config, options, std::min(room, fixed_bytes) + left / parts, other));
    return tokens == most ? most : tokens / kStep * kStep;
  };
  MACH_TRY(const size_t free_choice, longest(streaming ? 4 : 2));
  if (free_choice >= usual) return free_choice;
  MACH_TRY(const size_t half, longest(2));
  if (half >= small) return std::min(half, usual);
  MACH_TRY(const size_t all, longest(1));
  return std::max(std::min(all, small), least);
}

}  // namespace mach::residency
