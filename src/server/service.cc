#include "server/service.h"

#include <cstdio>
#include <utility>

#include "json/write.h"
#include "server/chat_request.h"
#include "server/generation.h"

namespace mach::server {
namespace {

constexpr int kLoadingRetrySeconds = 5;

HttpResponse JsonResponse(const json::Value& value) {
  HttpResponse response;
  response.body = json::Write(value);
  return response;
}

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
    : options_(std::move(options)), clock_(clock) {}

void Service::SetModel(std::shared_ptr<engine::Engine> engine, std::shared_ptr<const Codec> codec) {
  auto model = std::make_shared<Model>();
  model->fingerprint = Fingerprint(options_.version, engine->info());
  model->engine = std::move(engine);
  model->codec = std::move(codec);
  model->created = clock_.UnixSeconds();
  const std::lock_guard lock(mu_);
  model_ = std::move(model);
  if (state_ == State::kLoading) state_ = State::kReady;
}

void Service::BeginDrain() {
  const std::lock_guard lock(mu_);
  state_ = State::kDraining;
}

std::shared_ptr<const Service::Model> Service::model() const {
  const std::lock_guard lock(mu_);
  return model_;
}

Service::State Service::state() const {
  const std::lock_guard lock(mu_);
  return state_;
}

std::optional<ApiError> Service::Unavailable() const {
  const State now = state();
  if (now == State::kReady) return std::nullopt;
  ApiError error;
  error.status = 503;
  error.type = "unavailable_error";
  error.code = now == State::kLoading ? "loading" : "draining";
  error.message =
      now == State::kLoading ? "the model is being loaded" : "the server is shutting down";
  error.retry_after_s = kLoadingRetrySeconds;
  error.retryable = true;
  return error;
}

Router Service::MakeRouter() {
  Router router;
  const auto add = [&](std::string method, std::string pattern, std::string summary, Access access,
                       RunsOn runs_on,
                       HandlerResult (Service::*handler)(const HttpRequest&, const std::string&)
                           const) {
    Route route;
    route.takes_json = method == "POST";
    route.method = std::move(method);
    route.pattern = std::move(pattern);
    route.summary = std::move(summary);
    route.access = access;
    route.runs_on = runs_on;
    route.handle = [this, handler](const HttpRequest& request, const std::string& tail) {
      return (this->*handler)(request, tail);
    };
    router.Add(std::move(route));
  };
  add("GET", "/health", "Whether requests can be answered", Access::kPublic, RunsOn::kLoop,
      &Service::Health);
  add("GET", "/readyz", "As /health", Access::kPublic, RunsOn::kLoop, &Service::Health);
  add("GET", "/livez", "Whether the process runs", Access::kPublic, RunsOn::kLoop, &Service::Live);
  add("GET", "/version", "The program's version", Access::kPublic, RunsOn::kLoop,
      &Service::Version);
  add("GET", "/v1/models", "The models that are served", Access::kKey, RunsOn::kLoop,
      &Service::Models);
  add("GET", "/v1/models/{id}", "One model", Access::kKey, RunsOn::kLoop, &Service::OneModel);
  add("POST", "/v1/chat/completions", "Answers a conversation", Access::kKey, RunsOn::kWorker,
      &Service::Chat);
  return router;
}

HandlerResult Service::Live(const HttpRequest&, const std::string&) const {
  return JsonResponse(json::Object{{"status", "ok"}});
}

HandlerResult Service::Health(const HttpRequest&, const std::string&) const {
  if (const auto error = Unavailable()) return ToResponse(*error);
  return JsonResponse(json::Object{{"status", "ok"}});
}

HandlerResult Service::Version(const HttpRequest&, const std::string&) const {
  return JsonResponse(json::Object{{"version", options_.version}});
}

json::Object Service::DescribeModel(const Model& model) const {
  const engine::Info& info = model.engine->info();
  json::Array capabilities{"completion"};
  if (!model.codec->format().call_open.empty()) capabilities.push_back("tools");
  if (!model.codec->format().reasoning_open.empty()) capabilities.push_back("reasoning");
  json::Array aliases;
  for (const std::string& alias : options_.aliases) aliases.push_back(alias);
  return {{"id", info.model_id},
          {"object", "model"},
          {"created", model.created},
          {"owned_by", "mach"},
          {"context_length", info.context_tokens},
          {"max_model_len", info.context_tokens},
          {"aliases", std::move(aliases)},
          {"capabilities", std::move(capabilities)},
          {"meta", json::Object{{"architecture", info.architecture},
                                {"n_ctx", info.context_tokens},
                                {"n_params", info.parameter_count},
                                {"n_vocab", info.vocab_size}}}};
}

// The id, an alias, or the last part of the id's path.
bool Service::IsModelName(const Model& model, const std::string& name) const {
  const std::string& id = model.engine->info().model_id;
  if (name == id) return true;
  if (!name.empty() && id.size() > name.size() && id.ends_with("/" + name)) return true;
  for (const std::string& alias : options_.aliases) {
    if (name == alias) return true;
  }
  return false;
}

HandlerResult Service::Models(const HttpRequest&, const std::string&) const {
  json::Array data;
  if (const auto served = model()) data.push_back(DescribeModel(*served));
  return JsonResponse(json::Object{{"object", "list"}, {"data", std::move(data)}});
}

HandlerResult Service::OneModel(const HttpRequest&, const std::string& tail) const {
  const auto served = model();
  if (served != nullptr && IsModelName(*served, tail)) return JsonResponse(DescribeModel(*served));
  return ToResponse(ModelNotFound(tail, served == nullptr ? "" : served->engine->info().model_id));
}

HandlerResult Service::Chat(const HttpRequest& http, const std::string&) const {
  auto parsed = ParseChatRequest(http.body, options_.limits);
  if (const auto* error = std::get_if<ApiError>(&parsed)) return ToResponse(*error);
  auto request = std::get<GenerationRequest>(std::move(parsed));
  if (const auto error = Unavailable()) return ToResponse(*error);
  const auto served = model();
  const engine::Info& info = served->engine->info();
  if (options_.strict_model && !request.model.empty() && !IsModelName(*served, request.model)) {
    return ToResponse(ModelNotFound(request.model, info.model_id));
  }
  if (options_.inline_reasoning) request.inline_reasoning = true;

  auto rendered = served->codec->RenderChat(request.chat);
  if (!rendered) {
    ApiError error = FromError(rendered.error());
    error.param = "messages";
    return ToResponse(error);
  }
  Prompt prompt = *std::move(rendered);
  auto choices = PrepareChoices(http.id, request, prompt, served->engine, served->codec);
  if (const auto* error = std::get_if<ApiError>(&choices)) return ToResponse(*error);

  ChatReplyOptions options;
  options.request = std::move(request);
  options.prompt = std::move(prompt);
  options.model_id = info.model_id;
  options.fingerprint = served->fingerprint;
  options.reasoning_fields = options_.reasoning_fields;
  options.ping_interval = options_.limits.ping_interval;
  return MakeChatReply(std::move(options), std::get<ChoiceRuns>(std::move(choices)), clock_);
}

}  // namespace mach::server
