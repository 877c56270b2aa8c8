#include "server/status/stats_json.h"

#include "cache/prefix_counters.h"
#include "experts/counters.h"
#include "server/status/decode_words.h"
#include "spec/statistics.h"

namespace mach::server {
namespace {

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

json::Object PrefixCacheJson(bool enabled, const cache::PrefixCounters& p,
                             const dialog::Codec* codec) {
  json::Array misses;
  for (const cache::PrefixMiss& miss : p.last_misses) misses.push_back(MissJson(miss, codec));
  json::Object saves;
  for (size_t i = 0; i < cache::kSaveTriggers; ++i) {
    const auto trigger = static_cast<cache::SaveTrigger>(i);
    saves.Set(std::string(cache::SaveTriggerName(trigger)), p.saves[i]);
  }
  return {{"enabled", enabled},
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

json::Object ReuseJson(const experts::BankStats& bank) {
  json::Array sizes;
  for (const experts::BankSize& size : bank.sizes) {
    sizes.push_back(json::Object{{"bank_slots", size.slots},
                                 {"bank_bytes", size.bank_bytes},
                                 {"memory_bytes", size.memory_bytes},
                                 {"hits", size.hits}});
  }
  return {{"uses", bank.uses}, {"first_uses", bank.first_uses}, {"by_size", std::move(sizes)}};
}

json::Object StreamingJson(const experts::BankStats& bank, std::string_view eviction_policy,
                           const ServingFacts& facts) {
  return {{"direct_pread", json::Object{{"active", Flag(facts.direct_active)},
                                        {"mode", facts.direct_mode},
                                        {"expected", Flag(facts.direct_expected)}}},
          {"fallback_policy", facts.fallback_policy},
          {"sidecar_valid", SidecarValid(facts)},
          {"hits", bank.hits},
          {"misses", bank.misses},
          {"hit_rate", Rate(bank.hits, bank.misses)},
          {"evictions", bank.evictions},
          {"resident_experts", bank.resident},
          {"bank_slots", bank.slots},
          {"bank_bytes", bank.bank_bytes},
          {"memory_bytes", bank.memory_bytes},
          {"bytes_read", bank.bytes_read},
          {"stall_ms", bank.stall_ms},
          {"eviction_policy", eviction_policy.empty() ? "none" : eviction_policy},
          {"prefetch", json::Object{{"issued", bank.prefetch_issued},
                                    {"used", bank.prefetch_used},
                                    {"wasted", bank.prefetch_wasted}}},
          {"reuse", ReuseJson(bank)}};
}

// The same names before anything is known, so that nothing looks like a fault.
json::Object UnknownStreamingJson(const ConfiguredServing& configured) {
  json::Object streaming = StreamingJson({}, {}, {});
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

json::Object StatsJson(const engine::EngineStats& stats, const ServingView& view) {
  const engine::RequestStats& requests = stats.requests;
  const spec::StatisticsSnapshot& spec = stats.speculation;
  const engine::Info* engine = view.engine;
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
      {"adaptive_block_policy", engine != nullptr
                                    ? AdaptiveBlockPolicy(*engine)
                                    : std::string_view(configured.adaptive_block_policy)},
      {"specdec_drafted", spec.drafted},
      {"specdec_accepted", spec.accepted},
      {"recent_alpha", spec.recent_alpha},
      {"observed_cycles", spec.observed_cycles},
      {"low_cycles", spec.low_cycles},
      {"decode_path",
       engine != nullptr ? DecodePath(*engine) : std::string_view(configured.decode_path)},
      {"profile", known(&ServingFacts::profile)},
      {"effective_backend", known(&ServingFacts::effective_backend)},
      {"fallback_policy", facts != nullptr ? facts->fallback_policy : configured.fallback_policy},
      {"expert_residency",
       facts != nullptr ? facts->expert_residency : configured.expert_residency},
      {"slow_paths", facts != nullptr ? json::Value(std::move(slow_paths)) : json::Value()},
      {"state", view.state},
      {"speeds", json::Object{{"prefill_tokens_per_second", requests.prefill_tokens_per_second},
                              {"decode_tokens_per_second", requests.decode_tokens_per_second},
                              {"mean_request_ms", requests.mean_request_ms}}},
      {"tokens", json::Object{{"prompt", requests.prompt_tokens},
                              {"cached", requests.cached_tokens},
                              {"output", requests.output_tokens}}},
      {"queue", json::Object{{"running", requests.running},
                             {"queued", requests.queued},
                             {"max_queue", engine != nullptr ? engine->max_queue : 0},
                             {"last_progress_ms", requests.last_progress_ms}}},
      {"requests", json::Object{{"accepted", requests.accepted},
                                {"rejected", requests.rejected},
                                {"stopped", requests.stopped},
                                {"length", requests.length},
                                {"failed", requests.failed},
                                {"cancelled_queued", requests.cancelled_queued},
                                {"cancelled_prefill", requests.cancelled_prefill},
                                {"cancelled_decode", requests.cancelled_decode}}}};
}

json::Object CacheStatsJson(const engine::EngineStats& stats, const ServingView& view,
                            const dialog::Codec* codec, uint64_t nonces_stripped) {
  const bool known = view.facts != nullptr;
  json::Object prefix_cache = PrefixCacheJson(
      stats.prefix_cache.has_value(), stats.prefix_cache.value_or(cache::PrefixCounters()), codec);
  prefix_cache.Set("nonces_stripped", nonces_stripped);
  if (!known) prefix_cache.Set("enabled", json::Value());
  return {{"streaming_summary", known ? StreamingJson(stats.bank.value_or(experts::BankStats()),
                                                      view.engine->eviction_policy, *view.facts)
                                      : UnknownStreamingJson(view.configured)},
          {"prefix_cache", std::move(prefix_cache)},
          {"memory", known ? json::Value(MemoryJson(*view.facts)) : json::Value()},
          {"state", view.state},
          {"generation_in_flight", stats.requests.running > 0},
          // No counter dates from before the step in flight: all are read as they are.
          {"stale_generation_in_flight", false}};
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

}  // namespace mach::server
