// How a model is served, in the words that the start-up lines, the statistics and the metrics
// share.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace mach::server {

// What is known before the model is loaded: what was asked for.
struct ConfiguredServing {
  std::string decode_path = "target-only";    // specdec-v7, target-only
  std::string adaptive_block_policy = "off";  // the policy's name when there is a drafter
  std::string fallback_policy = "fail-fast";  // fail-fast, diagnostic, diagnostic-python
  std::string expert_residency = "stacked";   // streaming, stacked, bf16_streaming
};

// What runs. Does not change while it does.
struct ServingFacts {
  std::string profile = "production";            // production, diagnostic, generic
  std::string effective_backend = "production";  // production, openai
  std::string fallback_policy = "fail-fast";
  std::string expert_residency = "stacked";
  // Why the profile is diagnostic: buffered_reads and checkpoint_experts, which only the diagnostic
  // switch allows; bf16_streaming, scalar_kernels and f32_compute, which were asked for.
  std::vector<std::string> slow_paths;
  bool direct_expected = false;      // experts are to come from disk
  bool direct_active = false;        // and do, past the page cache
  std::string direct_mode = "none";  // io_uring, pread, buffered, none
  bool sidecar_present = false;
  std::optional<bool> sidecar_valid;  // nothing: none is used, and there is no valid one
  bool native_extension = true;  // kernels pass their self-test; direct reads work, if expected
  size_t wired_bytes = 0;
  // By memory tag; of the whole context, which is reserved as a text grows.
  std::vector<std::pair<std::string, size_t>> memory;
};

}  // namespace mach::server
