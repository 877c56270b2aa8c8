#include "cli/probe/bank_advice.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace mach::cli {
namespace {

constexpr double kGigabyte = 1 << 30;
constexpr double kMostPrefix = kGigabyte;  // of the default prefix cache
constexpr double kWorthHaving = 0.9;       // of what comes again

// Null where there is none.
const json::Value& At(const json::Value& object, std::initializer_list<const char*> path) {
  static const json::Value& none = *new json::Value();
  const json::Value* at = &object;
  for (const char* key : path) {
    at = at->is_object() ? at->Find(key) : nullptr;
    if (at == nullptr) return none;
  }
  return *at;
}

double Number(const json::Value& object, std::initializer_list<const char*> path) {
  const json::Value& value = At(object, path);
  return value.is_number() ? value.AsDouble() : 0;
}

// Rounded up, so that what is asked for is there: to three digits, at most to a kilobyte.
double RoundUpGb(double bytes) {
  const double gb = bytes / kGigabyte;
  const double step = std::max(1e-6, std::pow(10, std::floor(std::log10(std::max(gb, 1e-6))) - 2));
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", std::ceil(gb / step) * step);
  return std::strtod(text, nullptr);
}

// What the ceiling must be for a bank that takes `memory` bytes with its staging, the rest as it
// is.
double WiredFor(const json::Value& stats, double memory) {
  double reserved = 0;
  const json::Value& tags = At(stats, {"memory"});
  if (tags.is_object()) {
    for (const json::Member& tag : tags.AsObject()) {
      if (tag.key != "wired_bytes" && tag.value.is_number()) reserved += tag.value.AsDouble();
    }
  }
  const double now = Number(stats, {"streaming_summary", "memory_bytes"});
  const double prefix = Number(stats, {"memory", "prefix"});
  const double needed = reserved - now + memory;
  if (prefix == 0) return needed;
  // The default prefix cache takes an eighth of what the rest of the model leaves.
  const double others =
      Number(stats, {"memory", "experts"}) + Number(stats, {"memory", "staging"}) - now;
  return needed + std::max(0.0, std::min(kMostPrefix, (memory + others) / 7) - prefix);
}

}  // namespace

std::string BankAdvice::Options() const {
  char text[80];
  std::snprintf(text, sizeof text, "--expert-cache-gb %.10g --wired-gb %.10g", expert_cache_gb,
                wired_gb);
  return text;
}

ReuseReport CompareReuse(const json::Value& before, const json::Value& after) {
  ReuseReport report;
  const auto delta = [&](std::initializer_list<const char*> path) {
    return Number(after, path) - Number(before, path);
  };
  report.uses = delta({"streaming_summary", "reuse", "uses"});
  report.first_uses = delta({"streaming_summary", "reuse", "first_uses"});
  const double again = report.uses - report.first_uses;
  const json::Value& sizes = At(after, {"streaming_summary", "reuse", "by_size"});
  const json::Value& old = At(before, {"streaming_summary", "reuse", "by_size"});
  if (again <= 0 || !sizes.is_array() || !old.is_array() ||
      sizes.AsArray().size() != old.AsArray().size()) {
    return report;
  }
  for (size_t i = 0; i < sizes.AsArray().size(); ++i) {
    const json::Value& size = sizes.AsArray()[i];
    const double memory = Number(size, {"memory_bytes"});
    const double hits = Number(size, {"hits"}) - Number(old.AsArray()[i], {"hits"});
    if (hits < kWorthHaving * again || memory == 0) continue;
    if (Number(size, {"bank_slots"}) <= Number(after, {"streaming_summary", "bank_slots"})) break;
    report.advice = {.expert_cache_gb = RoundUpGb(Number(size, {"bank_bytes"})),
                     .wired_gb = RoundUpGb(WiredFor(after, memory)),
                     .hit_rate = hits / again};
    break;
  }
  return report;
}

}  // namespace mach::cli
