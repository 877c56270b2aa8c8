// A server over a scripted engine, as a program: for clients in other languages.
//   scripted_server serve FILE [--port N] [--max-queue N] [--context N] [--token-delay-us N]
//                              [--load-ms N] [--connections N]
// FILE: a JSON array of {"when": TEXT, "say": TEXT}. The first rule whose "when" is in the prompt
// answers; a rule without "when" always does. Prints "serving on URL" when it listens.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <thread>

#include "base/log.h"
#include "engine/testing/scripted_engine.h"
#include "json/parse.h"
#include "server/endpoints/service.h"
#include "server/http/http_server.h"

namespace mach::server {
namespace {

struct Rule {
  std::string when;
  std::string say;
};

Result<std::vector<Rule>> ReadRules(const std::string& path) {
  std::ifstream in(path);
  if (!in) return Error{Code::kNotFound, path + " cannot be read"};
  std::stringstream text;
  text << in.rdbuf();
  MACH_TRY(const json::Value value, json::Parse(text.str()));
  if (!value.is_array()) return Error{Code::kInvalidArgument, path + " holds no array"};
  std::vector<Rule> rules;
  for (const json::Value& entry : value.AsArray()) {
    Rule rule;
    MACH_TRY(rule.when, json::GetString(entry, "when", ""));
    MACH_TRY(rule.say, json::GetString(entry, "say"));
    rules.push_back(std::move(rule));
  }
  return rules;
}

std::vector<TokenId> Answer(const std::vector<Rule>& rules, const engine::Request& request) {
  const std::string prompt = engine::ScriptedCodec().DecodeTokens(request.prompt, nullptr);
  for (const Rule& rule : rules) {
    if (prompt.find(rule.when) != std::string::npos) return engine::ScriptTokens(rule.say);
  }
  return {};
}

int Serve(const std::string& file, std::map<std::string, int> numbers) {
  auto rules = ReadRules(file);
  if (!rules) {
    std::fprintf(stderr, "scripted_server: %s\n", rules.error().message.c_str());
    return 1;
  }
  const SystemClock clock;
  engine::ScriptedOptions engine;
  engine.model_id = "scripted";
  engine.script = [rules = *std::move(rules)](const engine::Request& request) {
    return Answer(rules, request);
  };
  engine.max_queue = static_cast<size_t>(numbers["max-queue"]);
  engine.context_tokens = static_cast<size_t>(numbers["context"]);
  engine.token_delay = std::chrono::microseconds(numbers["token-delay-us"]);

  HttpServerOptions http;
  http.port = static_cast<uint16_t>(numbers["port"]);
  http.handle_signals = true;
  http.limits.connections = static_cast<size_t>(numbers["connections"]);
  ServiceOptions options;
  options.version = "scripted";
  options.counters = http.counters;
  Service service(std::move(options), clock);
  http.on_drain = [&] { service.BeginDrain(); };
  const Router router = service.MakeRouter();
  auto server = HttpServer::Listen(std::move(http), router);
  if (!server) {
    std::fprintf(stderr, "scripted_server: %s\n", server.error().message.c_str());
    return 1;
  }
  std::thread loader([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(numbers["load-ms"]));
    service.SetModel(std::make_shared<engine::ScriptedEngine>(std::move(engine)),
                     std::make_shared<engine::ScriptedCodec>(), {});
  });
  std::printf("serving on http://127.0.0.1:%d/v1\n", (*server)->port());
  std::fflush(stdout);
  const bool clean = (*server)->Run();
  loader.join();
  return clean ? 0 : 143;
}

}  // namespace
}  // namespace mach::server

int main(int argc, char** argv) {
  std::map<std::string, int> numbers{{"port", 0},       {"max-queue", 64},
                                     {"context", 4096}, {"token-delay-us", 0},
                                     {"load-ms", 0},    {"connections", 512}};
  const std::vector<std::string> args(argv + 1, argv + argc);
  bool right = args.size() >= 2 && args.size() % 2 == 0 && args[0] == "serve";
  for (size_t i = 2; right && i < args.size(); i += 2) {
    right = args[i].starts_with("--") && numbers.contains(args[i].substr(2));
    if (right) numbers[args[i].substr(2)] = std::atoi(args[i + 1].c_str());
  }
  if (!right) {
    std::fprintf(stderr, "usage: scripted_server serve FILE [--OPTION NUMBER]...\n");
    return 2;
  }
  mach::ConfigureLog({.level = mach::LogLevel::kWarning});
  return mach::server::Serve(args[1], numbers);
}
