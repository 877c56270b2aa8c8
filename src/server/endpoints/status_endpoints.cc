// Endpoints about the state of the server. None waits for a generation.
#include <utility>

#include "base/clock.h"
#include "base/printable.h"
#include "engine/stats.h"
#include "json/value.h"
#include "server/endpoints/service.h"
#include "server/status/metrics.h"
#include "server/status/metrics_text.h"
#include "server/status/stats_json.h"

namespace mach::server {

engine::EngineStats Service::StatsOf(const Model* model) {
  return model == nullptr ? engine::EngineStats() : model->engine->stats();
}

ServingView Service::View(const Model* model) const {
  State now = state();
  if (now == State::kReady && model == nullptr) now = State::kLoading;  // until a moment ago
  return {.state = now == State::kReady     ? "ready"
                   : now == State::kLoading ? "loading"
                                            : "draining",
          .engine = model == nullptr ? nullptr : &model->engine->info(),
          .facts = model == nullptr ? nullptr : &model->facts,
          .configured = options_.configured};
}

HandlerResult Service::Live(const HttpRequest&, const std::string&) const {
  return JsonResponse(json::Object{{"status", "ok"}});
}

HandlerResult Service::Health(const HttpRequest&, const std::string&) const {
  if (const auto error = Unavailable()) return UnavailableResponse(*error);
  const auto served = model();
  const engine::RequestStats requests = StatsOf(served.get()).requests;
  return JsonResponse(
      json::Object{{"status", "ok"},
                   {"running", requests.running},
                   {"queued", requests.queued},
                   {"max_queue", served == nullptr ? 0 : served->engine->info().max_queue}});
}

HandlerResult Service::Version(const HttpRequest&, const std::string&) const {
  return JsonResponse(json::Object{{"version", options_.version}});
}

HandlerResult Service::Stats(const HttpRequest&, const std::string&) const {
  const auto served = model();
  json::Object body = StatsJson(StatsOf(served.get()), View(served.get()));
  body.Set("held", hold_.held());
  body.Set("uptime_s", ToSeconds(clock_.NowNs() - started_ns_));
  return JsonResponse(body);
}

HandlerResult Service::CacheStats(const HttpRequest&, const std::string&) const {
  const auto served = model();
  return JsonResponse(CacheStatsJson(StatsOf(served.get()), View(served.get()),
                                     served == nullptr ? nullptr : served->codec.get(),
                                     nonces_stripped_.load(std::memory_order_relaxed)));
}

HandlerResult Service::Metrics(const HttpRequest&, const std::string&) const {
  const auto served = model();
  MetricsInput input;
  input.engine = StatsOf(served.get());
  input.http = options_.counters.get();
  input.held = hold_.held();
  input.ready = state() == State::kReady;
  input.version = options_.version;
  if (served != nullptr) {
    input.info = &served->engine->info();
    input.facts = &served->facts;
  }
  {
    const MutexLock lock(mu_);
    input.load_seconds = load_seconds_;
  }
  HttpResponse response;
  response.content_type = kMetricsContentType;
  response.body = MetricsOf(input);
  return response;
}

HandlerResult Service::Requests(const HttpRequest&, const std::string&) const {
  const auto served = model();
  json::Array list = served == nullptr ? json::Array() : RequestsJson(served->engine->requests());
  return JsonResponse(json::Object{{"object", "list"}, {"data", std::move(list)}});
}

// "ID", or "ID/cancel" for clients that post.
HandlerResult Service::CancelRequest(const HttpRequest& http, const std::string& tail) const {
  constexpr std::string_view kCancel = "/cancel";
  std::string id = tail;
  if (http.method == "POST" && id.ends_with(kCancel)) id.resize(id.size() - kCancel.size());
  const auto served = model();
  const size_t cancelled = served == nullptr ? 0 : served->engine->CancelRequest(id);
  if (cancelled > 0) return JsonResponse(json::Object{{"id", id}, {"cancelled", cancelled}});
  ApiError error;
  error.status = 404;
  error.type = "not_found_error";
  error.code = "request_not_found";
  error.param = "id";
  error.message = "no request '" + PrintableAscii(id).substr(0, 130) +
                  "' runs or waits; GET /mach/requests lists them";
  return ToResponse(error);
}

}  // namespace mach::server
