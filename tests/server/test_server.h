// A server over a scripted engine, on a port of its own, for tests.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "engine/testing/scripted_engine.h"
#include "server/endpoints/service.h"
#include "server/http/http_server.h"

namespace mach::server {

struct TestServerOptions {
  HttpServerOptions http;
  ServiceOptions service;
  engine::ScriptedOptions engine;
  ServingFacts facts;
  bool loaded = true;
  bool function_tags = true;  // of the codec
};

class TestServer {
 public:
  // Answers "Hello!" unless the options have a script.
  explicit TestServer(TestServerOptions options = {}) {
    if (!options.engine.script) {
      options.engine.script = [](const engine::Request&) { return engine::ScriptTokens("Hello!"); };
    }
    codec_ = std::make_shared<engine::ScriptedCodec>(options.function_tags);
    engine_ = std::make_shared<engine::ScriptedEngine>(std::move(options.engine));
    options.service.limits = options.http.limits;
    options.service.version = "1.2.3";
    options.service.counters = options.http.counters;
    facts_ = std::move(options.facts);
    service_ = std::make_unique<Service>(std::move(options.service), clock_);
    if (options.loaded) Load();
    router_ = service_->MakeRouter();
    options.http.port = 0;
    options.http.on_drain = [this] { service_->BeginDrain(); };
    auto server = HttpServer::Listen(std::move(options.http), router_);
    MACH_CHECK(server.ok());
    server_ = *std::move(server);
    thread_ = std::thread([this] { clean_ = server_->Run(); });
  }
  ~TestServer() {
    if (!thread_.joinable()) return;
    server_->StopNow();
    thread_.join();
  }

  void Load() { service_->SetModel(engine_, codec_, facts_); }
  // Waits for a shutdown that has begun; whether it let every answer finish.
  bool Join() {
    thread_.join();
    return clean_;
  }

  uint16_t port() const { return server_->port(); }
  Service& service() { return *service_; }
  HttpServer& http() { return *server_; }
  engine::ScriptedEngine& engine() { return *engine_; }
  const engine::ScriptedCodec& codec() const { return *codec_; }

 private:
  SystemClock clock_;
  std::shared_ptr<const engine::ScriptedCodec> codec_;
  std::shared_ptr<engine::ScriptedEngine> engine_;
  ServingFacts facts_;
  std::unique_ptr<Service> service_;
  Router router_;
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
  bool clean_ = false;
};

// Waits for the condition; false when it does not come about.
template <class Condition>
bool Eventually(const Condition& condition) {
  for (int i = 0; i < 4000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

}  // namespace mach::server
