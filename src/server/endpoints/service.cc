#include "server/endpoints/service.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "base/clock.h"
#include "json/write.h"
#include "server/protocol/openai_chat/chat_request.h"
#include "server/protocol/openai_completions/completion_request.h"
#include "server/protocol/text/text_request.h"
#include "server/status/openapi.h"

namespace mach::server {
namespace {

constexpr double kLeastProgressForEta = 0.02;
constexpr int kUnknownRetrySeconds = 5;

// "b0.1.0-1f2e3d4c": changes with the program and the model (FNV-1a of what describes it).
std::string Fingerprint(const std::string& version, const engine::Info& info) {
  uint32_t hash = 2166136261u;
  const auto mix = [&hash](std::string_view text) {
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  };
  mix(info.model_id);
  mix(info.architecture);
  mix(std::to_string(info.parameter_count));
  mix(std::to_string(info.vocab_size));
  char text[16];
  std::snprintf(text, sizeof text, "%08x", hash);
  return "b" + version + "-" + text;
}

}  // namespace

Service::Service(ServiceOptions options, const Clock& clock)
    : options_(std::move(options)),
      clock_(clock),
      started_ns_(clock.NowNs()),
      hold_(options_.hold) {}

void Service::SetLoadProgress(const std::string& stage, uint64_t done, uint64_t total) {
  const double elapsed_s = ToSeconds(clock_.NowNs() - started_ns_);
  LoadProgress progress;
  progress.stage = stage;
  if (total > 0) progress.done = static_cast<double>(done) / static_cast<double>(total);
  if (progress.done >= kLeastProgressForEta) {
    progress.eta_s = elapsed_s * (1 - progress.done) / progress.done;
  }
  const MutexLock lock(mu_);
  progress_ = std::move(progress);
}

void Service::SetModel(std::shared_ptr<engine::Engine> engine,
                       std::shared_ptr<const dialog::Codec> codec, ServingFacts facts) {
  auto model = std::make_shared<Model>();
  model->fingerprint = Fingerprint(options_.version, engine->info());
  model->engine = std::move(engine);
  model->codec = std::move(codec);
  model->facts = std::move(facts);
  model->created = clock_.UnixSeconds();
  {
    const MutexLock lock(mu_);
    model_ = std::move(model);
    if (state_ == State::kLoading) state_ = State::kReady;
    load_seconds_ = ToSeconds(clock_.NowNs() - started_ns_);
  }
  hold_.Release();
}

void Service::BeginDrain() {
  {
    const MutexLock lock(mu_);
    state_ = State::kDraining;
  }
  hold_.Release();
}

std::shared_ptr<const Service::Model> Service::model() const {
  const MutexLock lock(mu_);
  return model_;
}

Service::State Service::state() const {
  const MutexLock lock(mu_);
  return state_;
}

Service::LoadProgress Service::load_progress() const {
  const MutexLock lock(mu_);
  return progress_;
}

ApiError Service::UnavailableError(State state) const {
  ApiError error;
  error.status = 503;
  error.type = "unavailable_error";
  error.retryable = true;
  error.retry_after_s = kUnknownRetrySeconds;
  if (state == State::kDraining) {
    error.code = "draining";
    error.message = "the server is shutting down";
    return error;
  }
  const LoadProgress progress = load_progress();
  error.code = "loading";
  error.message = "the model is being loaded; try again later, or send the request and wait";
  error.extra = {{"progress", progress.done}, {"stage", progress.stage}};
  if (progress.eta_s > 0) {
    error.extra.Set("eta_s", std::ceil(progress.eta_s));
    error.retry_after_s = static_cast<int>(std::clamp(std::ceil(progress.eta_s), 1.0, 60.0));
  }
  return error;
}

HttpResponse Service::UnavailableResponse(const ApiError& error) {
  HttpResponse response = ToResponse(error);
  json::Object body = ToJson(error).AsObject();
  for (const json::Member& member : error.extra) body.Set(member.key, member.value);
  response.body = json::Write(body);
  return response;
}

std::optional<ApiError> Service::Unavailable() const {
  const State now = state();
  if (now == State::kReady) return std::nullopt;
  return UnavailableError(now);
}

Router Service::MakeRouter() {
  Router router;
  using Handler = HandlerResult (Service::*)(const HttpRequest&, const std::string&) const;
  const auto bind = [this](Handler handler) {
    return [this, handler](const HttpRequest& request, const std::string& tail) {
      return (this->*handler)(request, tail);
    };
  };
  const auto get = [&](std::string pattern, std::string summary, Handler handler,
                       Access access = Access::kKey) {
    router.Add({.method = "GET",
                .pattern = std::move(pattern),
                .summary = std::move(summary),
                .access = access,
                .handle = bind(handler)});
  };
  const auto post = [&](std::string pattern, std::string summary, Handler handler,
                        std::vector<FieldSpec> body, std::vector<std::string> answers, int status) {
    router.Add({.method = "POST",
                .pattern = std::move(pattern),
                .summary = std::move(summary),
                .runs_on = RunsOn::kWorker,
                .takes_json = true,
                .body = std::move(body),
                .answers = std::move(answers),
                .status = status,
                .handle = bind(handler)});
  };
  const std::vector<std::string> json_only{"application/json"};
  const std::vector<std::string> json_or_events{"application/json", "text/event-stream"};

  get("/health", "Whether requests can be answered, and the load", &Service::Health,
      Access::kPublic);
  get("/readyz", "As /health", &Service::Health, Access::kPublic);
  get("/livez", "Whether the process runs", &Service::Live, Access::kPublic);
  get("/version", "The program's version", &Service::Version, Access::kPublic);
  get("/v1/models", "The models that are served", &Service::Models);
  get("/v1/models/{id}", "One model", &Service::OneModel);
  get("/props", "Properties of the server and its defaults", &Service::Props);
  post("/v1/chat/completions", "Answers a conversation", &Service::Chat, Specs(ChatFields()),
       json_or_events, 200);
  post("/v1/completions", "Continues a text", &Service::Complete, Specs(CompletionFields()),
       json_or_events, 200);
  post("/v1/embeddings", "Not supported: status 501", &Service::Embeddings, {}, json_only, 501);
  post("/tokenize", "Tokens of a text or a conversation", &Service::Tokenize,
       Specs(TokenizeFields()), json_only, 200);
  post("/detokenize", "The text of tokens", &Service::Detokenize, Specs(DetokenizeFields()),
       json_only, 200);
  post("/apply-template", "The prompt that a conversation becomes", &Service::ApplyTemplate,
       Specs(ChatFields()), json_only, 200);
  get("/v1/stats", "Statistics of generations", &Service::Stats);
  get("/v1/cache/stats", "Statistics of experts on disk and of cached prefixes",
      &Service::CacheStats);
  post("/v1/cache/warm_prefix", "Computes a prefix and keeps it", &Service::WarmPrefix,
       Specs(WarmFields()), json_only, 200);
  get("/v1/cache/warm_prefix", "The prefixes that are cached", &Service::ListPrefixes);
  router.Add({.method = "DELETE",
              .pattern = "/v1/cache/warm_prefix",
              .summary = "Forgets all cached prefixes",
              .runs_on = RunsOn::kWorker,
              .handle = bind(&Service::ClearPrefixes)});
  get("/metrics", "Metrics in Prometheus' format", &Service::Metrics);
  get("/mach/requests", "Requests that run and wait", &Service::Requests);
  for (const char* method : {"DELETE", "POST"}) {
    router.Add({.method = method,
                .pattern = "/mach/requests/{id}",
                .summary = "Cancels a request by its x-request-id",
                .handle = bind(&Service::CancelRequest)});
  }
  get("/openapi.json", "This description", &Service::OpenApiDocument, Access::kPublic);
  openapi_ = json::Write(OpenApi(router, options_.version));
  return router;
}

HandlerResult Service::OpenApiDocument(const HttpRequest&, const std::string&) const {
  HttpResponse response;
  response.body = openapi_;
  return response;
}

}  // namespace mach::server
