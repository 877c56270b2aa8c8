#include "cli/commands/start_lines.h"

#include <algorithm>
#include <cstdio>

#include "base/log.h"
#include "kernels/table.h"
#include "ops/context.h"
#include "residency/loaded_model.h"
#include "server/http/http.h"
#include "server/http/url.h"
#include "spec/draft_config.h"
#include "spec/draft_model.h"

namespace mach::cli {
namespace {

const char* Digit(bool flag) { return flag ? "1" : "0"; }

std::string ModeLine(const ServeOptions& options, const server::ServingFacts& facts,
                     const std::string& architecture) {
  std::string line =
      "startup mode profile=" + facts.profile + " effective_backend=" + facts.effective_backend +
      " production_streaming_mode=" + facts.expert_residency +
      " transient_prefill=" + Digit(facts.direct_expected && options.model.transient_prefill) +
      " expert_residency=" + facts.expert_residency +
      " checkpoint=" + EscapeForLog(options.model.checkpoint, false) + " arch=" + architecture;
  std::string slow;
  for (const std::string& path : facts.slow_paths) slow += (slow.empty() ? "" : ",") + path;
  return slow.empty() ? line : line + " slow_path=" + slow;
}

std::string OptimizationsLine(const server::ServingFacts& facts,
                              const residency::LoadedModel& model) {
  return std::string("production optimizations direct_pread=") + Digit(facts.direct_active) +
         " pread_mode=" + facts.direct_mode +
         " native_prefill_fused=1 async_prefetch=" + Digit(facts.direct_expected) +
         " isa=" + std::string(kernels::IsaName(model.kernels().isa)) +
         " compute=" + (model.compute() == ops::Compute::kF32 ? "f32" : "int8") +
         " threads=" + std::to_string(model.threads());
}

std::string DirectLine(const server::ServingFacts& facts) {
  return std::string("startup direct-pread expected=") + Digit(facts.direct_expected) +
         " sidecar_present=" + Digit(facts.sidecar_present) +
         " sidecar_valid=" + (facts.sidecar_valid ? Digit(*facts.sidecar_valid) : "unused") +
         " native_extension=" + (facts.native_extension ? "ready" : "missing") +
         " fallback_policy=" + facts.fallback_policy;
}

std::string MemoryLine(const server::ServingFacts& facts, const engine::OpenedEngine& opened) {
  char wired[32];
  std::snprintf(wired, sizeof wired, "%.2f",
                static_cast<double>(facts.wired_bytes) / (size_t{1} << 30));
  std::string memory = std::string("startup memory wired_gb=") + wired;
  for (const auto& [name, bytes] : facts.memory) {
    memory += " " + name + "=" + std::to_string(bytes);
  }
  return memory + " bank_slots=" + std::to_string(opened.bank_slots) +
         " floor_slots=" + std::to_string(opened.floor_slots);
}

std::string DecodeLine(const ServeOptions& options, const engine::OpenedEngine& opened) {
  const spec::DraftModel* draft = opened.draft.get();
  const size_t rows = draft != nullptr ? std::min(draft->config().block_size, spec::kMaxBlock) : 1;
  return "startup decode_path=" + std::string(draft != nullptr ? "specdec-v7" : "target-only") +
         " adaptive_block_policy=" + (draft != nullptr ? options.draft.block_policy : "off") +
         " block_size=" + std::to_string(rows) +
         " draft=" + (draft != nullptr ? EscapeForLog(draft->directory(), false) : "none") +
         " ctx_size=" + std::to_string(opened.engine->info().context_tokens);
}

}  // namespace

std::vector<std::string> StartLines(const ServeOptions& options, const engine::OpenedEngine& opened,
                                    const server::ServingFacts& facts) {
  return {ModeLine(options, facts, opened.engine->info().architecture),
          OptimizationsLine(facts, *opened.model), DirectLine(facts), MemoryLine(facts, opened),
          DecodeLine(options, opened)};
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
