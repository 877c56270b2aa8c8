#include "cli/commands/start_lines.h"

#include <cstdio>

#include "base/log.h"
#include "server/http/http.h"

namespace mach::cli {
namespace {

const char* Digit(bool flag) { return flag ? "1" : "0"; }

std::string ModeLine(const ServeOptions& options, const ServingModel& model) {
  const server::ServingFacts& facts = model.facts;
  std::string line =
      "startup mode profile=" + facts.profile + " effective_backend=" + facts.effective_backend +
      " production_streaming_mode=" + facts.expert_residency +
      " transient_prefill=" + Digit(facts.direct_expected && options.model.transient_prefill) +
      " expert_residency=" + facts.expert_residency +
      " checkpoint=" + EscapeForLog(options.model.checkpoint, false) +
      " arch=" + model.engine->info().architecture;
  std::string slow;
  for (const std::string& path : facts.slow_paths) slow += (slow.empty() ? "" : ",") + path;
  return slow.empty() ? line : line + " slow_path=" + slow;
}

std::string OptimizationsLine(const ServingModel& model) {
  const server::ServingFacts& facts = model.facts;
  return std::string("production optimizations direct_pread=") + Digit(facts.direct_active) +
         " pread_mode=" + facts.direct_mode +
         " native_prefill_fused=1 async_prefetch=" + Digit(facts.direct_expected) +
         " isa=" + model.isa + " compute=" + model.compute +
         " threads=" + std::to_string(model.threads);
}

std::string DirectLine(const ServingModel& model) {
  const server::ServingFacts& facts = model.facts;
  return std::string("startup direct-pread expected=") + Digit(facts.direct_expected) +
         " sidecar_present=" + Digit(facts.sidecar_present) +
         " sidecar_valid=" + (facts.sidecar_valid ? Digit(*facts.sidecar_valid) : "unused") +
         " native_extension=" + (facts.native_extension ? "ready" : "missing") +
         " fallback_policy=" + facts.fallback_policy;
}

std::string MemoryLine(const ServingModel& model) {
  char wired[32];
  std::snprintf(wired, sizeof wired, "%.2f",
                static_cast<double>(model.facts.wired_bytes) / (size_t{1} << 30));
  std::string memory = std::string("startup memory wired_gb=") + wired;
  for (const auto& [name, bytes] : model.facts.memory) {
    memory += " " + name + "=" + std::to_string(bytes);
  }
  return memory + " bank_slots=" + std::to_string(model.bank_slots) +
         " floor_slots=" + std::to_string(model.floor_slots);
}

std::string DecodeLine(const ServingModel& model) {
  const bool drafts = !model.draft.empty();
  return "startup decode_path=" + std::string(drafts ? "specdec-v7" : "target-only") +
         " adaptive_block_policy=" + (drafts ? model.block_policy : "off") +
         " block_size=" + std::to_string(model.block_size) +
         " draft=" + (drafts ? EscapeForLog(model.draft, false) : "none") +
         " ctx_size=" + std::to_string(model.engine->info().context_tokens);
}

}  // namespace

std::vector<std::string> StartLines(const ServeOptions& options, const ServingModel& model) {
  return {ModeLine(options, model), OptimizationsLine(model), DirectLine(model), MemoryLine(model),
          DecodeLine(model)};
}

std::vector<std::string> ReadyLines(const ServeOptions& options, uint16_t port,
                                    const std::string& model_id) {
  const std::string url = "http://" + server::HostAndPort(options.host, port) + "/v1";
  const std::string key = options.api_key_file.empty() ? "" : " -H 'Authorization: Bearer KEY'";
  const std::string chat =
      "  curl -N " + url + "/chat/completions" + key + " -H 'Content-Type: application/json' -d '{";
  const std::string body =
      "\"model\":\"" + model_id + "\",\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}'";
  return {"serving on " + url, "try:", chat + body, chat + "\"stream\":true," + body,
          "  curl " + url + "/models" + key};
}

}  // namespace mach::cli
