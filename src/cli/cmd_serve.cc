#include "cli/cmd_serve.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "base/log.h"
#include "cli/load_model.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/version.h"
#include "server/http_server.h"
#include "server/service.h"

namespace mach::cli {
namespace {

// Whoever reads the lines may leave; the server goes on.
void PrintLine(const std::string& line) {
  static bool gone = false;
  if (gone) return;
  if (const int error = WriteStandardOutput(line + "\n"); error != 0) {
    gone = true;
    LogWarning(std::string("standard output took no start-up lines: ") + std::strerror(error) +
               "; the server goes on");
  }
}

int Fail(const Error& error) {
  std::fputs(("mach serve: " + error.message + "\n").c_str(), stderr);
  return kExitFailure;
}

Result<server::SecurityOptions> SecurityFrom(const ServeOptions& options) {
  server::SecurityOptions security;
  security.bind_host = options.host;
  security.extra_hosts = options.allow_hosts;
  security.extra_origins = options.allow_origins;
  if (!options.api_key_file.empty()) {
    MACH_TRY(security.keys, server::ApiKeys::FromFile(options.api_key_file));
  } else if (!server::IsLoopbackHost(options.host) && !options.insecure_no_auth) {
    return Error{Code::kInvalidArgument,
                 "--host " + options.host +
                     " can be reached from other machines; give keys with --api-key-file, or "
                     "--insecure-no-auth to do without"};
  }
  return security;
}

server::ServiceOptions ServiceFrom(const ServeOptions& options,
                                   const server::HttpServerOptions& http) {
  server::ServiceOptions service;
  service.limits = http.limits;
  service.counters = http.counters;
  // A path tells strangers about this machine.
  if (server::IsLoopbackHost(options.host) || !http.security.keys.empty()) {
    service.model_path = options.model.checkpoint;
  }
  service.max_queue_wait = std::chrono::seconds(options.max_queue_wait_s);
  service.hold.most = options.hold_while_loading ? options.max_queue : 0;
  service.hold.timeout = std::chrono::seconds(options.hold_timeout_s);
  service.version = kVersion;
  service.aliases = options.aliases;
  service.strict_model = options.strict_model;
  const ReasoningField field = options.reasoning_field;
  service.reasoning_fields = {
      .reasoning_content =
          field == ReasoningField::kBoth || field == ReasoningField::kReasoningContent,
      .reasoning = field == ReasoningField::kBoth || field == ReasoningField::kReasoning};
  service.inline_reasoning = field == ReasoningField::kInline;
  return service;
}

// The lines of DESIGN section 2, in order: people and scripts search them.
void PrintStart(const ServeOptions& options, const ServingModel& model) {
  const engine::Info& info = model.engine->info();
  const std::string residency = model.bf16_streaming ? "bf16_streaming"
                                : model.streaming    ? "streaming"
                                                     : "stacked";
  const std::string direct = model.direct_reads ? "1" : "0";
  PrintLine(
      "startup mode profile=production effective_backend=production "
      "production_streaming_mode=" +
      residency +
      " transient_prefill=" + (model.streaming && options.model.transient_prefill ? "1" : "0") +
      " expert_residency=" + residency + " checkpoint=" +
      EscapeForLog(options.model.checkpoint, false) + " arch=" + info.architecture);
  PrintLine("production optimizations direct_pread=" + direct +
            " pread_mode=" + (model.read_mode.empty() ? "none" : model.read_mode) +
            " native_prefill_fused=1 async_prefetch=" + (model.streaming ? "1" : "0") + " isa=" +
            model.isa + " compute=" + model.compute + " threads=" + std::to_string(model.threads));
  // The load fails when the kernels do not pass their self-test, and when streaming finds no valid
  // sidecar.
  const std::string expected = model.streaming ? "1" : "0";
  PrintLine("startup direct-pread expected=" + expected +
            " sidecar_present=" + (model.sidecar_present ? "1" : "0") +
            " sidecar_valid=" + (model.streaming && !model.bf16_streaming ? "1" : "0") +
            " native_extension=" + (model.streaming && !model.direct_reads ? "missing" : "ready") +
            " fallback_policy=" + (options.model.allow_fallback ? "diagnostic" : "fail-fast"));
  char wired[32];
  std::snprintf(wired, sizeof wired, "%.2f",
                static_cast<double>(model.memory_limit_bytes) / (size_t{1} << 30));
  std::string memory = std::string("startup memory wired_gb=") + wired;
  for (const auto& [name, bytes] : model.reserved_bytes) {
    memory += " " + name + "=" + std::to_string(bytes);
  }
  PrintLine(memory + " bank_slots=" + std::to_string(model.bank_slots) +
            " floor_slots=" + std::to_string(model.floor_slots));
  const bool drafts = !model.draft.empty();
  PrintLine("startup decode_path=" + std::string(drafts ? "specdec-v7" : "target-only") +
            " adaptive_block_policy=" + (drafts ? model.block_policy : "off") +
            " block_size=" + std::to_string(model.block_size) +
            " draft=" + (drafts ? EscapeForLog(model.draft, false) : "none") +
            " ctx_size=" + std::to_string(info.context_tokens));
}

void PrintReady(const ServeOptions& options, uint16_t port, const std::string& model_id) {
  const bool ipv6 = options.host.find(':') != std::string::npos;
  const std::string url = "http://" + (ipv6 ? "[" + options.host + "]" : options.host) + ":" +
                          std::to_string(port) + "/v1";
  PrintLine("serving on " + url);
  const std::string key = options.api_key_file.empty() ? "" : " -H 'Authorization: Bearer KEY'";
  const std::string chat =
      "  curl -N " + url + "/chat/completions" + key + " -H 'Content-Type: application/json' -d '{";
  const std::string body =
      "\"model\":\"" + model_id + "\",\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}'";
  PrintLine("try:");
  PrintLine(chat + body);
  PrintLine(chat + "\"stream\":true," + body);
  PrintLine("  curl " + url + "/models" + key);
}

}  // namespace

int RunServe(const ServeOptions& options) {
  if (options.model.streaming == options.model.no_streaming) {
    std::fputs(
        "mach serve: give one of --streaming and --no-streaming.\n"
        "  --streaming     experts stay on disk, with a bounded bank of them in memory; for "
        "models larger than\n                  the memory; needs the sidecar that 'mach "
        "export-sidecar CHECKPOINT' writes\n"
        "  --no-streaming  all experts in memory; for models that fit\n"
        "'mach check CHECKPOINT' tells which of them fit this machine.\n",
        stderr);
    return kExitUsage;
  }
  auto security = SecurityFrom(options);
  if (!security) return Fail(security.error());

  const SystemClock clock;
  server::HttpServerOptions http;
  http.host = options.host;
  http.port = options.port;
  http.security = *std::move(security);
  http.limits.body_bytes = options.max_body_mb << 20;
  http.limits.drain_timeout = std::chrono::seconds(options.drain_timeout_s);
  http.handle_signals = true;
  server::Service service(ServiceFrom(options, http), clock);
  std::atomic<bool> draining{false};
  http.on_drain = [&] {
    draining = true;
    service.BeginDrain();
  };
  const server::Router router = service.MakeRouter();
  // Before the model is loaded: a taken port fails at once, and /health tells of the load.
  auto listening = server::HttpServer::Listen(std::move(http), router);
  if (!listening) return Fail(listening.error());
  server::HttpServer& server = **listening;
  bool finished = false;
  std::thread loop([&] { finished = server.Run(); });

  auto model = [&] {
    Progress progress("loading");
    return LoadServingModel(
        {.model = options.model,
         .draft = options.draft,
         .prefix = options.prefix,
         .max_queue = options.max_queue},
        [&](uint64_t done, uint64_t total) {
          progress.Update(done, total);
          service.SetLoadProgress("weights", done, total);
          return !draining.load();
        },
        clock);
  }();
  if (!model) {
    server.BeginShutdown();  // what was held is told
    loop.join();
    return draining && model.error().code == Code::kCancelled ? kExitTerminated
                                                              : Fail(model.error());
  }
  service.SetModel(model->engine, model->codec);
  PrintStart(options, *model);
  PrintReady(options, server.port(), model->engine->info().model_id);
  loop.join();
  return finished ? kExitOk : kExitTerminated;
}

}  // namespace mach::cli
