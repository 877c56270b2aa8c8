// Which bank a running server should have, by its statistics.
#pragma once

#include <optional>
#include <string>

#include "json/value.h"

namespace mach::cli {

// The smallest bank that would have had most of what came again, had it evicted by recency.
struct BankAdvice {
  double expert_cache_gb = 0;
  double wired_gb = 0;  // the ceiling that goes with it
  double hit_rate = 0;  // of the uses that came again

  // "--expert-cache-gb 7.25 --wired-gb 11.4"
  std::string Options() const;
};

// How uses of experts went between two looks at GET /v1/cache/stats.
struct ReuseReport {
  double uses = 0;
  double first_uses = 0;             // which no bank has
  std::optional<BankAdvice> advice;  // nothing: the bank is large enough, or nothing tells
};

ReuseReport CompareReuse(const json::Value& before, const json::Value& after);

}  // namespace mach::cli
