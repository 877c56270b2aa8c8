#include "server/status/stats_json.h"

#include "cache/prefix_counters.h"
#include "experts/counters.h"
#include "server/status/metrics.h"

namespace mach::server {
namespace {

constexpr double kSecondsPerMs = 1e-3;

double Rate(uint64_t part, uint64_t rest) {
  return part + rest == 0 ? 0 : static_cast<double>(part) / static_cast<double>(part + rest);
}

std::string_view StateName(engine::RequestState state) {
  switch (state) {
    case engine::RequestState::kQueued:
      return "queued";
    case engine::RequestState::kPrefill:
      return "prefill";
    case engine::RequestState::kDecode:
      break;
  }
  return "decode";
}

json::Object MissJson(const cache::PrefixMiss& miss, const dialog::Codec* codec) {
  json::Object out{{"reason", cache::MissReasonName(miss.reason)},
                   {"prompt_tokens", miss.prompt_tokens},
                   {"common_tokens", miss.common_tokens}};
  if (codec != nullptr) {
    out.Set("wanted", codec->DecodeTokens(miss.wanted));
    out.Set("cached", codec->DecodeTokens(miss.cached));
  }
  return out;
}

json::Object PrefixCacheJson(const engine::PrefixCacheStats& stats, const dialog::Codec* codec) {
  const cache::PrefixCounters& p = stats.counters;
  json::Array misses;
  for (const cache::PrefixMiss& miss : p.last_misses) misses.push_back(MissJson(miss, codec));
  json::Object saves;
  for (size_t i = 0; i < cache::kSaveTriggers; ++i) {
    const auto trigger = static_cast<cache::SaveTrigger>(i);
    saves.Set(std::string(cache::SaveTriggerName(trigger)), p.saves[i]);
  }
  return {{"enabled", stats.enabled},
          {"entries", p.entries},
          {"max_entries", p.max_entries},
          {"bytes", p.bytes},
          {"max_bytes", p.max_bytes},
          {"hits", p.hits},
          {"misses", p.misses},
          {"hit_rate", Rate(p.hits, p.misses)},
          {"tokens_saved", p.tokens_saved},
          {"evictions", p.evictions},
          {"refused", p.refused},
          {"saves", std::move(saves)},
          {"last_misses", std::move(misses)},
          {"disk", json::Object{{"enabled", p.has_disk},
                                {"entries", p.disk.entries},
                                {"bytes", p.disk.bytes},
                                {"budget_bytes", p.disk.budget_bytes},
                                {"hits", p.disk_hits},
                                {"evictions", p.disk.evictions},
                                {"dropped", p.disk.dropped},
                                {"errors", p.disk.errors},
                                {"quarantined", p.disk.quarantined}}}};
}

json::Value Flag(bool flag) { return flag ? 1 : 0; }

json::Value SidecarValid(const ServingFacts& facts) {
  return facts.sidecar_valid ? Flag(*facts.sidecar_valid) : json::Value();
}

json::Object ReuseJson(const engine::ExpertStats& e) {
  json::Array sizes;
  for (const experts::BankSize& size : e.sizes) {
    sizes.push_back(json::Object{{"bank_slots", size.slots},
                                 {"bank_bytes", size.bank_bytes},
                                 {"memory_bytes", size.memory_bytes},
                                 {"hits", size.hits}});
  }
  return {{"uses", e.uses}, {"first_uses", e.first_uses}, {"by_size", std::move(sizes)}};
}

json::Object StreamingJson(const engine::ExpertStats& e, const ServingFacts& facts) {
  return {{"direct_pread", json::Object{{"active", Flag(facts.direct_active)},
                                        {"mode", facts.direct_mode},
                                        {"expected", Flag(facts.direct_expected)}}},
          {"fallback_policy", facts.fallback_policy},
          {"sidecar_valid", SidecarValid(facts)},
          {"hits", e.hits},
          {"misses", e.misses},
          {"hit_rate", Rate(e.hits, e.misses)},
          {"evictions", e.evictions},
          {"resident_experts", e.resident_experts},
          {"bank_slots", e.bank_slots},
          {"bank_bytes", e.bank_bytes},
          {"memory_bytes", e.memory_bytes},
          {"bytes_read", e.bytes_read},
          {"stall_ms", e.stall_ms},
          {"eviction_policy", e.eviction_policy},
          {"prefetch", json::Object{{"issued", e.prefetch_issued},
                                    {"used", e.prefetch_used},
                                    {"wasted", e.prefetch_wasted}}},
          {"reuse", ReuseJson(e)}};
}

// The same names before anything is known, so that nothing looks like a fault.
json::Object UnknownStreamingJson(const ConfiguredServing& configured) {
  json::Object streaming = StreamingJson({}, {});
  for (json::Member& member : streaming) member.value = json::Value();
  const bool expected = configured.expert_residency != "stacked";
  streaming.Set("direct_pread", json::Object{{"active", json::Value()},
                                             {"mode", json::Value()},
                                             {"expected", Flag(expected)}});
  streaming.Set("fallback_policy", configured.fallback_policy);
  return streaming;
}

json::Object MemoryJson(const ServingFacts& facts) {
  json::Object memory{{"wired_bytes", facts.wired_bytes}};
  for (const auto& [tag, bytes] : facts.memory) memory.Set(tag, bytes);
  return memory;
}

}  // namespace

json::Object StatsJson(const engine::EngineStats& s, const ServingView& view) {
  const engine::SpeculationStats& spec = s.speculation;
  const ServingFacts* facts = view.facts;
  const ConfiguredServing& configured = view.configured;
  json::Array slow_paths;
  if (facts != nullptr) {
    for (const std::string& path : facts->slow_paths) slow_paths.push_back(path);
  }
  const auto known = [&](const std::string ServingFacts::*field) {
    return facts != nullptr ? json::Value(facts->*field) : json::Value();
  };
  return {
      {"adaptive_block_policy",
       facts != nullptr ? spec.adaptive_block_policy : configured.adaptive_block_policy},
      {"specdec_drafted", spec.drafted},
      {"specdec_accepted", spec.accepted},
      {"recent_alpha", spec.recent_alpha},
      {"observed_cycles", spec.observed_cycles},
      {"low_cycles", spec.low_cycles},
      {"decode_path", facts != nullptr ? spec.decode_path : configured.decode_path},
      {"profile", known(&ServingFacts::profile)},
      {"effective_backend", known(&ServingFacts::effective_backend)},
      {"fallback_policy", facts != nullptr ? facts->fallback_policy : configured.fallback_policy},
      {"expert_residency",
       facts != nullptr ? facts->expert_residency : configured.expert_residency},
      {"slow_paths", facts != nullptr ? json::Value(std::move(slow_paths)) : json::Value()},
      {"state", view.state},
      {"speeds", json::Object{{"prefill_tokens_per_second", s.prefill_tokens_per_second},
                              {"decode_tokens_per_second", s.decode_tokens_per_second},
                              {"mean_request_ms", s.mean_request_ms}}},
      {"tokens",
       json::Object{
           {"prompt", s.prompt_tokens}, {"cached", s.cached_tokens}, {"output", s.output_tokens}}},
      {"queue", json::Object{{"running", s.running},
                             {"queued", s.queued},
                             {"max_queue", s.max_queue},
                             {"last_progress_ms", s.last_progress_ms}}},
      {"requests", json::Object{{"accepted", s.accepted},
                                {"rejected", s.rejected},
                                {"stopped", s.stopped},
                                {"length", s.length},
                                {"failed", s.failed},
                                {"cancelled_queued", s.cancelled_queued},
                                {"cancelled_prefill", s.cancelled_prefill},
                                {"cancelled_decode", s.cancelled_decode}}}};
}

json::Object CacheStatsJson(const engine::EngineStats& s, const ServingView& view,
                            const dialog::Codec* codec, uint64_t nonces_stripped) {
  const engine::PrefixCacheStats& p = s.prefix_cache;
  const bool in_flight = s.running > 0;
  const bool known = view.facts != nullptr;
  json::Object prefix_cache = PrefixCacheJson(p, codec);
  prefix_cache.Set("nonces_stripped", nonces_stripped);
  if (!known) prefix_cache.Set("enabled", json::Value());
  return {{"streaming_summary",
           known ? StreamingJson(s.experts, *view.facts) : UnknownStreamingJson(view.configured)},
          {"prefix_cache", std::move(prefix_cache)},
          {"memory", known ? json::Value(MemoryJson(*view.facts)) : json::Value()},
          {"state", view.state},
          {"generation_in_flight", in_flight},
          {"stale_generation_in_flight",
           in_flight && (s.experts.stale || p.stale || s.speculation.stale)}};
}

json::Array RequestsJson(const std::vector<engine::RequestInfo>& requests) {
  json::Array list;
  for (const engine::RequestInfo& r : requests) {
    list.push_back(json::Object{{"id", r.id},
                                {"session", r.session.empty() ? json::Value() : r.session},
                                {"state", StateName(r.state)},
                                {"queue_position", r.queue_position},
                                {"age_ms", r.age_ms},
                                {"prompt_tokens", r.prompt_tokens},
                                {"prefilled_tokens", r.prefilled_tokens},
                                {"output_tokens", r.output_tokens},
                                {"max_tokens", r.max_tokens}});
  }
  return list;
}

std::string DecodeMode(const std::string& decode_path) {
  if (decode_path.starts_with("specdec")) return "specdec";
  return decode_path == "ngram" ? "ngram" : "target-only";
}

std::string MetricsOf(const MetricsInput& in) {
  const engine::EngineStats& s = in.engine;
  MetricsText m;
  m.Begin("mach_build_info", "gauge", "The program and the model it serves.");
  m.Sample("mach_build_info", {{"version", in.version}, {"model", in.model}}, 1);
  m.Gauge("mach_ready", "Whether requests are answered.", in.ready ? 1 : 0);
  m.Gauge("mach_load_seconds", "Time that loading took.", in.load_seconds);
  m.Gauge("mach_requests_running", "Requests that run.", static_cast<double>(s.running));
  m.Gauge("mach_requests_waiting", "Requests in the queue.", static_cast<double>(s.queued));
  m.Gauge("mach_requests_held", "Requests that wait for the model to be loaded.",
          static_cast<double>(in.held));
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

  if (const ServingFacts* f = in.facts) {
    m.Begin("mach_serving_info", "gauge", "How the model is served, as the start-up lines say it.");
    m.Sample("mach_serving_info",
             {{"profile", f->profile},
              {"effective_backend", f->effective_backend},
              {"fallback_policy", f->fallback_policy},
              {"expert_residency", f->expert_residency},
              {"decode_path", s.speculation.decode_path}},
             1);
    m.Begin("mach_direct_pread_active", "gauge", "Whether experts are read past the page cache.");
    m.Sample("mach_direct_pread_active", {{"mode", f->direct_mode}}, f->direct_active ? 1 : 0);
    m.Gauge("mach_direct_pread_expected", "Whether experts are to be read from disk.",
            f->direct_expected ? 1 : 0);
    if (f->sidecar_valid) {
      m.Gauge("mach_sidecar_valid",
              "Whether the expert sidecar is valid; absent where none is used.",
              *f->sidecar_valid ? 1 : 0);
    }
  }
  const engine::ExpertStats& e = s.experts;
  m.Counter("mach_expert_hits_total", "Experts found in the bank.", e.hits);
  m.Counter("mach_expert_misses_total", "Experts read from disk on demand.", e.misses);
  m.Counter("mach_expert_evictions_total", "Experts that left the bank.", e.evictions);
  m.Gauge("mach_experts_resident", "Experts in the bank.", static_cast<double>(e.resident_experts));
  m.Gauge("mach_expert_bank_bytes", "Size of the bank.", static_cast<double>(e.bank_bytes));
  m.Counter("mach_expert_bytes_read_total", "Bytes of experts read from disk.", e.bytes_read);
  m.Begin("mach_expert_stall_seconds_total", "counter", "Time that computation waited for reads.");
  m.Sample("mach_expert_stall_seconds_total", {}, e.stall_ms * kSecondsPerMs);
  m.Begin("mach_expert_prefetch_total", "counter", "Experts read ahead, by what became of them.");
  const auto prefetch = [&m](std::string_view result, uint64_t n) {
    m.Sample("mach_expert_prefetch_total", {{"result", result}}, static_cast<double>(n));
  };
  prefetch("issued", e.prefetch_issued);
  prefetch("used", e.prefetch_used);
  prefetch("wasted", e.prefetch_wasted);
  m.Counter("mach_specdec_drafted_tokens_total", "Tokens drafted.", s.speculation.drafted);
  m.Counter("mach_specdec_accepted_tokens_total", "Drafted tokens accepted.",
            s.speculation.accepted);
  m.Counter("mach_prefix_cache_hits_total", "Prompts with a cached prefix.",
            s.prefix_cache.counters.hits);
  m.Counter("mach_prefix_cache_misses_total", "Prompts without one.",
            s.prefix_cache.counters.misses);
  m.Counter("mach_prefix_cache_disk_hits_total", "Prompts whose prefix was read from disk.",
            s.prefix_cache.counters.disk_hits);
  m.Counter("mach_prefix_cache_evictions_total", "Prefixes that left the memory.",
            s.prefix_cache.counters.evictions);
  m.Counter("mach_prefix_cache_quarantined_total", "Damaged files on disk.",
            s.prefix_cache.counters.disk.quarantined);
  m.Gauge("mach_prefix_cache_bytes", "Memory of cached prefixes.",
          static_cast<double>(s.prefix_cache.counters.bytes));
  m.Gauge("mach_prefix_cache_disk_bytes", "Disk space of cached prefixes.",
          static_cast<double>(s.prefix_cache.counters.disk.bytes));

  if (in.http == nullptr) return m.Take();
  m.Gauge("mach_http_connections", "Open connections.",
          static_cast<double>(in.http->open_connections.load()));
  m.Begin("mach_http_responses_total", "counter",
          "Answers by status; 499: the client left before the end.");
  for (size_t status = 100; status < HttpCounters::kStatuses; ++status) {
    const uint64_t n = in.http->answers(status);
    if (n == 0) continue;
    const std::string code = std::to_string(status);
    m.Sample("mach_http_responses_total", {{"code", code}}, static_cast<double>(n));
  }
  return m.Take();
}

}  // namespace mach::server
