#include "cli/commands/cmd_serve.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include <malloc.h>

#include "base/log.h"
#include "cli/commands/open_options.h"
#include "cli/commands/recommend.h"
#include "cli/commands/serving_facts.h"
#include "cli/commands/start_lines.h"
#include "cli/exit_codes.h"
#include "cli/failure.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/version.h"
#include "engine/open.h"
#include "io/file.h"
#include "server/endpoints/service.h"
#include "server/http/http_server.h"

namespace mach::cli {
namespace {

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
  service.configured = ConfiguredFrom(options.model, options.draft);
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

// Whoever reads the lines may leave; the server goes on.
void PrintLines(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  if (const int error = WriteStandardOutput(text); error != 0) {
    LogWarning(std::string("standard output took no start-up lines: ") + std::strerror(error) +
               "; the server goes on");
  }
}

// What requests need is a few large blocks, now and then, on any of some threads: they go back to
// the system when they are freed, and few arenas keep what is small. (Blocks of a long prompt are
// smaller: mapping those anew for each request cost half of the time to tokenize 320 KB.)
void GiveLargeMemoryBack() {
  constexpr int kLargeBytes = 4 << 20;
  constexpr int kArenas = 4;
  mallopt(M_MMAP_THRESHOLD, kLargeBytes);
  mallopt(M_TRIM_THRESHOLD, kLargeBytes);
  mallopt(M_ARENA_MAX, kArenas);
}

// Neither --streaming nor --no-streaming was given.
int AskForResidency(const ServeOptions& options) {
  const auto recommended = RecommendationText(options.model, options.draft);
  if (!recommended) {
    (void)Fail("serve", recommended.error().message);
    return kExitUsage;
  }
  std::fputs(("mach serve: give one of --streaming and --no-streaming.\n"
              "  --streaming     experts stay on disk, with a bounded bank of them in memory; for "
              "models larger than\n                  memory; needs the sidecar that 'mach "
              "export-sidecar' writes\n"
              "  --no-streaming  all experts in memory; for models that fit\n" +
              *recommended)
                 .c_str(),
             stderr);
  return kExitUsage;
}

}  // namespace

int RunServe(const ServeOptions& options) {
  if (options.model.streaming == options.model.no_streaming) return AskForResidency(options);
  auto security = SecurityFrom(options);
  if (!security) return Fail("serve", security.error().message);

  const SystemClock clock;
  server::HttpServerOptions http;
  http.host = options.host;
  http.port = options.port;
  http.security = *std::move(security);
  http.limits.body_bytes = options.max_body_mb << 20;
  http.limits.drain_timeout = std::chrono::seconds(options.drain_timeout_s);
  http.handle_signals = true;
  http.memory = std::make_shared<MemoryLedger>(options.model.request_memory_mb << 20);
  GiveLargeMemoryBack();
  server::Service service(ServiceFrom(options, http), clock);
  std::atomic<bool> draining{false};
  http.on_drain = [&] {
    draining = true;
    service.BeginDrain();
  };
  const server::Router router = service.MakeRouter();
  // Before the model is loaded: a taken port fails at once, and /health tells of the load.
  auto listening = server::HttpServer::Listen(std::move(http), router);
  if (!listening) return Fail("serve", listening.error().message);
  server::HttpServer& server = **listening;
  bool finished = false;
  std::thread loop([&] { finished = server.Run(); });

  const auto open =
      OpenOptionsFrom(options.model, options.draft, &options.prefix, options.max_queue);
  auto opened = [&]() -> Result<engine::OpenedEngine> {
    if (!open) return open.error();
    Progress progress("loading", ProgressLines::kLog);
    return engine::Open(
        io::PosixFileSystem(), *open,
        [&](uint64_t done, uint64_t total) {
          progress.Update(done, total);
          service.SetLoadProgress("weights", done, total);
          return !draining.load();
        },
        clock);
  }();
  if (!opened) {
    server.BeginShutdown();  // what was held is told
    loop.join();
    return draining && opened.error().code == Code::kCancelled
               ? kExitTerminated
               : Fail("serve", opened.error().message);
  }
  const server::ServingFacts facts = FactsOf(options.model, *opened);
  service.SetModel(opened->engine, opened->codec, facts);
  std::vector<std::string> lines = StartLines(options, *opened, facts);
  for (std::string& line : ReadyLines(options, server.port(), opened->engine->info().model_id)) {
    lines.push_back(std::move(line));
  }
  PrintLines(lines);
  loop.join();
  return finished ? kExitOk : kExitTerminated;
}

}  // namespace mach::cli
