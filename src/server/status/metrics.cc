#include "server/status/metrics.h"

#include "cache/prefix_counters.h"
#include "experts/counters.h"
#include "server/status/decode_words.h"
#include "server/status/metrics_text.h"
#include "spec/statistics.h"

namespace mach::server {
namespace {

constexpr double kSecondsPerMs = 1e-3;

void AddServer(const MetricsInput& in, MetricsText& m) {
  m.Begin("mach_build_info", "gauge", "The program and the model it serves.");
  const std::string_view model = in.info != nullptr ? std::string_view(in.info->model_id) : "";
  m.Sample("mach_build_info", {{"version", in.version}, {"model", model}}, 1);
  m.Gauge("mach_ready", "Whether requests are answered.", in.ready ? 1 : 0);
  m.Gauge("mach_load_seconds", "Time that loading took.", in.load_seconds);
}

void AddRequests(const engine::RequestStats& s, size_t held, MetricsText& m) {
  m.Gauge("mach_requests_running", "Requests that run.", static_cast<double>(s.running));
  m.Gauge("mach_requests_waiting", "Requests in the queue.", static_cast<double>(s.queued));
  m.Gauge("mach_requests_held", "Requests that wait for the model to be loaded.",
          static_cast<double>(held));
  m.Counter("mach_requests_accepted_total", "Requests let into the queue.", s.accepted);
  m.Counter("mach_admission_rejections_total", "Requests refused since the queue was full.",
            s.rejected);
  m.Begin("mach_requests_finished_total", "counter", "Requests that ended, by reason.");
  const auto finished = [&m](std::string_view reason, uint64_t n) {
    m.Sample("mach_requests_finished_total", {{"reason", reason}}, static_cast<double>(n));
  };
  finished("stop", s.stopped);
  finished("length", s.length);
  finished("error", s.failed);
  m.Begin("mach_requests_cancelled_total", "counter", "Requests that were cancelled, by stage.");
  const auto cancelled = [&m](std::string_view stage, uint64_t n) {
    m.Sample("mach_requests_cancelled_total", {{"stage", stage}}, static_cast<double>(n));
  };
  cancelled("queued", s.cancelled_queued);
  cancelled("prefill", s.cancelled_prefill);
  cancelled("decode", s.cancelled_decode);
}

void AddTokens(const engine::RequestStats& s, MetricsText& m) {
  m.Counter("mach_prompt_tokens_total", "Tokens of prompts.", s.prompt_tokens);
  m.Counter("mach_cached_tokens_total", "Tokens of prompts that a cache spared.", s.cached_tokens);
  m.Counter("mach_output_tokens_total", "Tokens generated.", s.output_tokens);
  m.Gauge("mach_prefill_tokens_per_second", "Of the newest prompt.", s.prefill_tokens_per_second);
  m.Gauge("mach_decode_tokens_per_second", "Over the last tokens.", s.decode_tokens_per_second);
  m.Histogram("mach_queue_seconds", "Time in the queue.", s.queue_ms, kSecondsPerMs);
  m.Histogram("mach_prefill_seconds", "Time to compute a prompt.", s.prefill_ms, kSecondsPerMs);
  m.Histogram("mach_time_to_first_token_seconds", "From the queue to the first token.",
              s.first_token_ms, kSecondsPerMs);
  m.Histogram("mach_inter_token_seconds", "Between two tokens.", s.token_ms, kSecondsPerMs);
  m.Histogram("mach_request_seconds", "Running time of requests.", s.request_ms, kSecondsPerMs);
}

void AddServing(const engine::Info& info, const ServingFacts& facts, MetricsText& m) {
  m.Begin("mach_serving_info", "gauge", "How the model is served, as the start-up lines say it.");
  m.Sample("mach_serving_info",
           {{"profile", facts.profile},
            {"effective_backend", facts.effective_backend},
            {"fallback_policy", facts.fallback_policy},
            {"expert_residency", facts.expert_residency},
            {"decode_path", DecodePath(info)}},
           1);
  m.Begin("mach_direct_pread_active", "gauge", "Whether experts are read past the page cache.");
  m.Sample("mach_direct_pread_active", {{"mode", facts.direct_mode}}, facts.direct_active ? 1 : 0);
  m.Gauge("mach_direct_pread_expected", "Whether experts are to be read from disk.",
          facts.direct_expected ? 1 : 0);
  if (facts.sidecar_valid) {
    m.Gauge("mach_sidecar_valid", "Whether the expert sidecar is valid; absent where none is used.",
            *facts.sidecar_valid ? 1 : 0);
  }
}

void AddExperts(const experts::BankStats& bank, MetricsText& m) {
  m.Counter("mach_expert_hits_total", "Experts found in the bank.", bank.hits);
  m.Counter("mach_expert_misses_total", "Experts read from disk on demand.", bank.misses);
  m.Counter("mach_expert_evictions_total", "Experts that left the bank.", bank.evictions);
  m.Gauge("mach_experts_resident", "Experts in the bank.", static_cast<double>(bank.resident));
  m.Gauge("mach_expert_bank_bytes", "Size of the bank.", static_cast<double>(bank.bank_bytes));
  m.Counter("mach_expert_bytes_read_total", "Bytes of experts read from disk.", bank.bytes_read);
  m.Begin("mach_expert_stall_seconds_total", "counter", "Time that computation waited for reads.");
  m.Sample("mach_expert_stall_seconds_total", {}, bank.stall_ms * kSecondsPerMs);
  m.Begin("mach_expert_prefetch_total", "counter", "Experts read ahead, by what became of them.");
  const auto prefetch = [&m](std::string_view result, uint64_t n) {
    m.Sample("mach_expert_prefetch_total", {{"result", result}}, static_cast<double>(n));
  };
  prefetch("issued", bank.prefetch_issued);
  prefetch("used", bank.prefetch_used);
  prefetch("wasted", bank.prefetch_wasted);
}

void AddSpeculation(const spec::StatisticsSnapshot& speculation, MetricsText& m) {
  m.Counter("mach_specdec_drafted_tokens_total", "Tokens drafted.", speculation.drafted);
  m.Counter("mach_specdec_accepted_tokens_total", "Drafted tokens accepted.", speculation.accepted);
}

void AddPrefixCache(const cache::PrefixCounters& cache, MetricsText& m) {
  m.Counter("mach_prefix_cache_hits_total", "Prompts with a cached prefix.", cache.hits);
  m.Counter("mach_prefix_cache_misses_total", "Prompts without one.", cache.misses);
  m.Counter("mach_prefix_cache_disk_hits_total", "Prompts whose prefix was read from disk.",
            cache.disk_hits);
  m.Counter("mach_prefix_cache_evictions_total", "Prefixes that left the memory.", cache.evictions);
  m.Counter("mach_prefix_cache_quarantined_total", "Damaged files on disk.",
            cache.disk.quarantined);
  m.Gauge("mach_prefix_cache_bytes", "Memory of cached prefixes.",
          static_cast<double>(cache.bytes));
  m.Gauge("mach_prefix_cache_disk_bytes", "Disk space of cached prefixes.",
          static_cast<double>(cache.disk.bytes));
}

void AddHttp(const HttpCounters& http, MetricsText& m) {
  m.Gauge("mach_http_connections", "Open connections.",
          static_cast<double>(http.open_connections.load()));
  m.Begin("mach_http_responses_total", "counter",
          "Answers by status; 499: the client left before the end.");
  for (size_t status = 100; status < HttpCounters::kStatuses; ++status) {
    const uint64_t n = http.answers(status);
    if (n == 0) continue;
    const std::string code = std::to_string(status);
    m.Sample("mach_http_responses_total", {{"code", code}}, static_cast<double>(n));
  }
}

}  // namespace

std::string MetricsOf(const MetricsInput& in) {
  const engine::EngineStats& stats = in.engine;
  MetricsText m;
  AddServer(in, m);
  AddRequests(stats.requests, in.held, m);
  AddTokens(stats.requests, m);
  if (in.facts != nullptr) AddServing(*in.info, *in.facts, m);
  AddExperts(stats.bank.value_or(experts::BankStats()), m);
  AddSpeculation(stats.speculation, m);
  AddPrefixCache(stats.prefix_cache.value_or(cache::PrefixCounters()), m);
  if (in.http != nullptr) AddHttp(*in.http, m);
  return m.Take();
}

}  // namespace mach::server
