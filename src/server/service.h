// What the server serves: the routes, over one engine.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/engine.h"
#include "server/chat_reply.h"
#include "server/codec.h"
#include "server/limits.h"
#include "server/router.h"

namespace mach::server {

struct ServiceOptions {
  Limits limits;
  std::string version;               // of the program
  std::vector<std::string> aliases;  // further names of the model
  bool strict_model = false;         // other names are refused, not answered
  ReasoningFields reasoning_fields;
  bool inline_reasoning = false;  // for all requests
};

// Begins in the state "loading": requests for generations get 503 until SetModel. Thread-safe.
class Service {
 public:
  Service(ServiceOptions options, const Clock& clock);

  void SetModel(std::shared_ptr<engine::Engine> engine, std::shared_ptr<const Codec> codec);
  void BeginDrain();

  // The table of routes. REQUIRES that the service outlives the router.
  Router MakeRouter();

 private:
  struct Model {
    std::shared_ptr<engine::Engine> engine;
    std::shared_ptr<const Codec> codec;
    std::string fingerprint;
    int64_t created = 0;
  };
  enum class State : unsigned char { kLoading, kReady, kDraining };

  std::shared_ptr<const Model> model() const;
  State state() const;
  std::optional<ApiError> Unavailable() const;

  HandlerResult Live(const HttpRequest& request, const std::string& tail) const;
  HandlerResult Health(const HttpRequest& request, const std::string& tail) const;
  HandlerResult Version(const HttpRequest& request, const std::string& tail) const;
  HandlerResult Models(const HttpRequest& request, const std::string& tail) const;
  HandlerResult OneModel(const HttpRequest& request, const std::string& tail) const;
  HandlerResult Chat(const HttpRequest& request, const std::string& tail) const;

  json::Object DescribeModel(const Model& model) const;
  bool IsModelName(const Model& model, const std::string& name) const;

  const ServiceOptions options_;
  const Clock& clock_;
  mutable std::mutex mu_;
  std::shared_ptr<const Model> model_;  // guarded by mu_
  State state_ = State::kLoading;       // guarded by mu_
};

}  // namespace mach::server
