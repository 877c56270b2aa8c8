// The residency probe: drives a running server and judges what its statistics say.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/probe/bank_advice.h"
#include "cli/probe/http_client.h"
#include "json/value.h"

namespace mach::cli {

// From best to worst.
enum class ProbeVerdict : unsigned char {
  kNotApplicable,  // nothing of the kind goes on there
  kOk,
  kWarning,  // works, slower than it could
  kFailure,
};

struct ProbeCheck {
  std::string name;  // direct-pread, churn, prefill, stats, fallback
  ProbeVerdict verdict = ProbeVerdict::kOk;
  std::string found;
  std::string advice;  // what mends it; empty where nothing is to be done
};

struct ProbeOptions {
  size_t requests = 3;
  size_t max_tokens = 64;      // of each answer
  double stats_limit_ms = 20;  // for statistics under a generation, at the 99th percentile
};

struct ProbeReport {
  std::vector<ProbeCheck> checks;
  json::Object measured;
  std::optional<BankAdvice> advice;  // nothing: a larger bank would not help, or nothing tells
  ProbeVerdict verdict() const;      // the worst of the checks, kOk at best
};

// Sends `requests` greedy chats, one after the other, and reads the statistics meanwhile. An error
// when the server cannot be reached or refuses the requests.
Result<ProbeReport> RunProbe(const HttpClient& client, const ProbeOptions& options);

std::string_view VerdictName(ProbeVerdict verdict);  // "ok", "n/a", "warn", "FAIL"

}  // namespace mach::cli
