// What the server serves: the routes, over one engine.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "dialog/codec.h"
#include "engine/engine.h"
#include "json/value.h"
#include "server/endpoints/loading_hold.h"
#include "server/http/http_counters.h"
#include "server/http/limits.h"
#include "server/http/router.h"
#include "server/protocol/generation_reply.h"
#include "server/status/serving_facts.h"
#include "server/status/stats_json.h"

namespace mach::server {

struct ServiceOptions {
  Limits limits;
  std::string version;               // of the program
  std::vector<std::string> aliases;  // further names of the model
  bool strict_model = false;         // other names are refused, not answered
  ReasoningFields reasoning_fields;
  bool inline_reasoning = false;                // for all requests
  std::string model_path;                       // shown by /props; empty: not shown
  std::chrono::milliseconds max_queue_wait{0};  // then 429; 0: without a limit
  // Generations that come while the model is being loaded wait for it; the rest gets 503.
  LoadingHold::Options hold;
  ConfiguredServing configured;                  // for the statistics, until the model is there
  std::shared_ptr<const HttpCounters> counters;  // for /metrics; null: without them
};

// Begins in the state "loading" and serves from SetModel on. Thread-safe.
class Service {
 public:
  Service(ServiceOptions options, const Clock& clock);

  // stage: "experts". From the loading thread.
  void SetLoadProgress(const std::string& stage, uint64_t done, uint64_t total);
  // Answers what was held, on this thread.
  void SetModel(std::shared_ptr<engine::Engine> engine, std::shared_ptr<const dialog::Codec> codec,
                ServingFacts facts);
  // New requests are refused, and so are those that are held.
  void BeginDrain();

  // The table of routes. REQUIRES that the service outlives the router.
  Router MakeRouter();

 private:
  struct Model {
    std::shared_ptr<engine::Engine> engine;
    std::shared_ptr<const dialog::Codec> codec;
    std::string fingerprint;
    int64_t created = 0;
    ServingFacts facts;
  };
  enum class State : unsigned char { kLoading, kReady, kDraining };
  struct LoadProgress {
    std::string stage = "start";
    double done = 0;   // 0 to 1
    double eta_s = 0;  // 0: unknown
  };
  // Called once at most: it gives away what it holds.
  using StartFunction = std::function<HandlerResult(const Model& model)>;

  // ---- service.cc ----
  std::shared_ptr<const Model> model() const;
  State state() const;
  LoadProgress load_progress() const;
  std::optional<ApiError> Unavailable() const;
  ApiError UnavailableError(State state) const;
  // Of the error, with the progress of a load beside it too, where probes look for it.
  static HttpResponse UnavailableResponse(const ApiError& error);
  HandlerResult OpenApiDocument(const HttpRequest& request, const std::string& tail) const;

  // ---- model_endpoints.cc ----
  HandlerResult Models(const HttpRequest& request, const std::string& tail) const;
  HandlerResult OneModel(const HttpRequest& request, const std::string& tail) const;
  HandlerResult Props(const HttpRequest& request, const std::string& tail) const;
  json::Object DescribeModel(const Model& model) const;
  bool IsModelName(const Model& model, const std::string& name) const;

  // ---- generate_endpoints.cc ----
  HandlerResult Chat(const HttpRequest& request, const std::string& tail) const;
  HandlerResult Complete(const HttpRequest& request, const std::string& tail) const;
  HandlerResult Embeddings(const HttpRequest& request, const std::string& tail) const;
  HandlerResult WhenReady(const std::string& id, const GenerationRequest& request,
                          const StartFunction& start) const;
  HandlerResult StartChat(const std::string& id, GenerationRequest request, const Model& model,
                          const std::atomic<bool>* cancel) const;
  HandlerResult StartCompletion(const std::string& id, GenerationRequest request,
                                const Model& model, const std::atomic<bool>* cancel) const;
  std::optional<ApiError> CheckModelName(const GenerationRequest& request,
                                         const Model& model) const;
  GenerationReplyOptions ReplyOptions(GenerationRequest request,
                                      std::vector<dialog::Prompt> prompts, const std::string& id,
                                      const Model& model) const;

  // ---- text_endpoints.cc ----
  HandlerResult Tokenize(const HttpRequest& request, const std::string& tail) const;
  HandlerResult Detokenize(const HttpRequest& request, const std::string& tail) const;
  HandlerResult ApplyTemplate(const HttpRequest& request, const std::string& tail) const;

  // ---- prefix_endpoints.cc ----
  void CountNonce(const dialog::ChatInput& chat) const;
  HandlerResult WarmPrefix(const HttpRequest& request, const std::string& tail) const;
  HandlerResult ListPrefixes(const HttpRequest& request, const std::string& tail) const;
  HandlerResult ClearPrefixes(const HttpRequest& request, const std::string& tail) const;

  // ---- status_endpoints.cc ----
  HandlerResult Live(const HttpRequest& request, const std::string& tail) const;
  HandlerResult Health(const HttpRequest& request, const std::string& tail) const;
  HandlerResult Version(const HttpRequest& request, const std::string& tail) const;
  HandlerResult Stats(const HttpRequest& request, const std::string& tail) const;
  HandlerResult CacheStats(const HttpRequest& request, const std::string& tail) const;
  HandlerResult Metrics(const HttpRequest& request, const std::string& tail) const;
  HandlerResult Requests(const HttpRequest& request, const std::string& tail) const;
  HandlerResult CancelRequest(const HttpRequest& request, const std::string& tail) const;
  static engine::EngineStats StatsOf(const Model* model);
  ServingView View(const Model* model) const;

  const ServiceOptions options_;
  const Clock& clock_;
  const int64_t started_ns_;
  mutable LoadingHold hold_;
  mutable std::atomic<uint64_t> nonces_stripped_{0};  // prompts
  std::string openapi_;                               // constant after MakeRouter

  mutable Mutex mu_;
  std::shared_ptr<const Model> model_ GUARDED_BY(mu_);
  State state_ GUARDED_BY(mu_) = State::kLoading;
  LoadProgress progress_ GUARDED_BY(mu_);
  double load_seconds_ GUARDED_BY(mu_) = 0;
};

}  // namespace mach::server
