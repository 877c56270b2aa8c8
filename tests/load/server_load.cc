// Load and abuse of a server over a scripted engine, in one process:
//   server_load [--seconds N] [--clients N] [--timing]
//   1. clients that ask, a third of which leave at a random moment: every answer is 200 or 429, the
//      queue drains, the counters add up;
//   2. slow clients, huge bodies, ten thousand headers, garbage: refused, in bounded memory;
//   3. idle keep-alive connections: what they cost;
//   4. time to the first byte of an answer (reported; judged with --timing).
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>
#include <thread>
#include <vector>

#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "server/test_client.h"
#include "server/test_server.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MACH_SANITIZED 1
#else
#define MACH_SANITIZED 0
#endif

namespace mach::server {
namespace {

using SteadyClock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::string_view kChat = "/v1/chat/completions";
constexpr size_t kQueue = 64;

struct Options {
  int seconds = 60;
  int clients = 200;
  bool timing = false;
};

std::atomic<int> failures{0};

void Expect(bool condition, const std::string& what) {
  if (condition) return;
  if (++failures <= 20) std::printf("FAIL  %s\n", what.c_str());
}

size_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  size_t pages = 0;
  statm >> pages >> pages;
  return pages * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

std::string ChatBody(bool stream, bool long_answer) {
  return std::string(R"({"messages":[{"role":"user","content":")") +
         (long_answer ? "long" : "short") + "\"}],\"stream\":" + (stream ? "true" : "false") + "}";
}

TestServerOptions ServerOptions() {
  TestServerOptions options;
  options.http.limits.connections = 4096;
  options.engine.max_queue = kQueue;
  options.engine.token_delay = std::chrono::microseconds(10);
  options.engine.script = [](const engine::Request& request) {
    const bool is_long = !request.prompt.empty() && request.prompt[0] == 'l';
    return engine::ScriptTokens(std::string(is_long ? 120 : 20, 'x'));
  };
  return options;
}

struct Tally {
  std::atomic<uint64_t> answered{0}, refused{0}, left{0};
};

// One client's requests until the time is over.
void BeClient(uint16_t port, unsigned seed, SteadyClock::time_point end, Tally& tally) {
  std::minstd_rand random(seed);
  const auto chance = [&](int percent) { return static_cast<int>(random() % 100) < percent; };
  while (SteadyClock::now() < end) {
    TestClient client(port);
    const bool stream = chance(60);
    const bool leaves = chance(33);
    client.Send(Post(kChat, ChatBody(stream, chance(30))));
    if (leaves) {
      const int how = static_cast<int>(random() % 3);
      if (how == 0) client.ReadUntil("HTTP/1.1");
      if (how == 1) std::this_thread::sleep_for(milliseconds(random() % 30));
      chance(50) ? client.Reset() : client.Close();
      ++tally.left;
      continue;
    }
    const RawResponse response = client.Read();
    if (response.status == 200) {
      ++tally.answered;
      Expect(response.complete, "an answer is cut off");
      if (stream) Expect(SseData(response.body).back() == "[DONE]", "a stream lacks its end");
    } else {
      ++tally.refused;
      Expect(response.status == 429, "status " + std::to_string(response.status));
      Expect(response.headers.contains("retry-after"), "a refusal lacks Retry-After");
      std::this_thread::sleep_for(milliseconds(random() % 200));
    }
  }
}

void Load(const Options& options) {
  TestServer server(ServerOptions());
  Tally tally;
  const auto end = SteadyClock::now() + std::chrono::seconds(options.seconds);
  std::vector<std::thread> clients;
  for (int i = 0; i < options.clients; ++i) {
    clients.emplace_back(
        [&, i] { BeClient(server.port(), static_cast<unsigned>(i + 1), end, tally); });
  }
  size_t most_queued = 0;
  while (SteadyClock::now() < end) {
    const RawResponse health = Ask(server.port(), Get("/health"));
    Expect(health.status == 200, "no health under load");
    most_queued = std::max<size_t>(most_queued, server.engine().stats().requests.queued);
    std::this_thread::sleep_for(milliseconds(20));
  }
  for (std::thread& client : clients) client.join();
  Expect(Eventually([&] {
           const engine::RequestStats s = server.engine().stats().requests;
           return s.queued + s.running == 0 && server.http().connections() == 0;
         }),
         "the queue does not drain");
  const engine::RequestStats s = server.engine().stats().requests;
  Expect(s.accepted == s.stopped + s.length + s.failed + s.cancelled_queued + s.cancelled_prefill +
                           s.cancelled_decode,
         "the counters do not add up");
  Expect(s.failed == 0, "requests failed");
  // One more while the engine is between two requests, see RequestQueue::Submit.
  Expect(most_queued <= kQueue + 1, "the queue grew beyond its bound");
  Expect(s.rejected >= tally.refused, "more refusals than rejections");
  Expect(s.stopped >= tally.answered, "more answers than ends");
  std::printf(
      "load: %llu answered, %llu refused with 429, %llu left; most queued %zu; "
      "cancelled %llu waiting, %llu running\n",
      static_cast<unsigned long long>(tally.answered),
      static_cast<unsigned long long>(tally.refused), static_cast<unsigned long long>(tally.left),
      most_queued, static_cast<unsigned long long>(s.cancelled_queued),
      static_cast<unsigned long long>(s.cancelled_prefill + s.cancelled_decode));
}

// Sends what is never to be taken, until the server answers or ends the connection.
int StatusOfEndlessBody(uint16_t port) {
  TestClient client(port);
  client.Send(
      "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
      "application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string chunk = "100000\r\n" + std::string(1 << 20, ' ') + "\r\n";
  for (int i = 0; i < 1024; ++i) client.Send(chunk);
  return client.Read().status;
}

void Abuse() {
  TestServerOptions options = ServerOptions();
  options.http.limits.header_timeout = milliseconds(500);
  options.http.limits.body_timeout = milliseconds(500);
  options.http.limits.linger = milliseconds(100);
  TestServer server(std::move(options));
  Ask(server.port(), Post(kChat, ChatBody(false, false)));
  const size_t before = ResidentBytes();

  std::vector<std::unique_ptr<TestClient>> slow;
  for (int i = 0; i < 300; ++i) {
    slow.push_back(std::make_unique<TestClient>(server.port()));
    slow.back()->Send(i % 2 == 0 ? "GET /health HT"
                                 : "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                                   "application/json\r\nContent-Length: 1000000\r\n\r\n{");
  }
  const auto until = SteadyClock::now() + milliseconds(300);
  while (SteadyClock::now() < until) {
    for (const auto& client : slow) client->Send("x");
    Expect(Ask(server.port(), Get("/health")).status == 200, "no health beside slow clients");
    std::this_thread::sleep_for(milliseconds(30));
  }
  for (const auto& client : slow) {
    const int status = client->Read().status;
    Expect(status == 408 || status == 400, "a slow client got " + std::to_string(status));
  }
  slow.clear();

  for (int i = 0; i < 20; ++i) {
    const RawResponse huge =
        Ask(server.port(),
            "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
            "application/json\r\nContent-Length: 1073741824\r\n\r\n{");
    Expect(huge.status == 413, "a body of 1 GiB got " + std::to_string(huge.status));
  }
  const int endless = StatusOfEndlessBody(server.port());
  Expect(endless == 413 || endless == 0, "an endless body got " + std::to_string(endless));
  std::string headers;
  for (int i = 0; i < 10'000; ++i) headers += "x-" + std::to_string(i) + ": 1\r\n";
  for (int i = 0; i < 20; ++i) {
    const int status = Ask(server.port(), Get("/health", headers)).status;
    Expect(status == 431, "10,000 headers got " + std::to_string(status));
  }
  std::minstd_rand random(7);
  for (int i = 0; i < 300; ++i) {
    std::string garbage(1 + random() % 3000, '\0');
    for (char& c : garbage) c = static_cast<char>(random());
    const int status = Ask(server.port(), garbage + "\r\n\r\n").status;
    Expect(status == 0 || (status >= 400 && status < 500), "garbage got " + std::to_string(status));
  }
  Expect(Ask(server.port(), Post(kChat, ChatBody(false, false))).status == 200,
         "the server does not work any more");
  Expect(Eventually([&] { return server.http().connections() == 0; }), "connections stay open");
  const size_t after = ResidentBytes();
  const double grown = (static_cast<double>(after) - static_cast<double>(before)) / (1 << 20);
  std::printf("abuse: resident memory grew by %.1f MiB\n", grown);
  // The one body that was read up to its limit may stay with the allocator.
  if (!MACH_SANITIZED) Expect(grown < 96, "memory grew under abuse");
}

void Idle() {
  constexpr int kConnections = 1000;
  TestServer server(ServerOptions());
  std::vector<std::unique_ptr<TestClient>> clients;
  for (int i = 0; i < 50; ++i) Ask(server.port(), Get("/health"));
  const size_t before = ResidentBytes();
  for (int i = 0; i < kConnections; ++i) {
    clients.push_back(std::make_unique<TestClient>(server.port()));
    clients.back()->Send(Get("/health"));
    Expect(clients.back()->Read().status == 200, "no answer before idling");
  }
  Expect(server.http().connections() == kConnections, "connections are missing");
  const double grown = (static_cast<double>(ResidentBytes()) - static_cast<double>(before)) / 1e6;
  std::printf("idle: %d keep-alive connections cost %.1f MB, clients included\n", kConnections,
              grown);
  if (!MACH_SANITIZED) Expect(grown < 20, "idle connections are dear");
}

void FirstByte(const Options& options) {
  TestServerOptions server_options = ServerOptions();
  server_options.engine.token_delay = std::chrono::microseconds(0);
  TestServer server(std::move(server_options));
  for (const bool stream : {false, true}) {
    std::vector<double> times;
    TestClient client(server.port());
    for (int i = 0; i < 2000; ++i) {
      const std::string request = Post(kChat, ChatBody(stream, false));
      const auto begin = SteadyClock::now();
      client.Send(request);
      client.ReadUntil("H");
      times.push_back(
          std::chrono::duration<double, std::milli>(SteadyClock::now() - begin).count());
      Expect(client.Read().status == 200, "no answer");
    }
    std::sort(times.begin(), times.end());
    const double median = times[times.size() / 2];
    std::printf("first byte, %s: median %.3f ms, 99th percentile %.3f ms\n",
                stream ? "stream" : "whole answer", median, times[times.size() * 99 / 100]);
    if (options.timing) Expect(median < 1, "the first byte takes a millisecond");
  }
}

int Main(const Options& options) {
  ConfigureLog({.level = LogLevel::kOff});
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  Idle();
  FirstByte(options);
  Abuse();
  Load(options);
  std::printf("%d failures\n", failures.load());
  return failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace mach::server

int main(int argc, char** argv) {
  mach::server::Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--timing") {
      options.timing = true;
    } else if (argument == "--seconds" && i + 1 < argc) {
      options.seconds = std::atoi(argv[++i]);
    } else if (argument == "--clients" && i + 1 < argc) {
      options.clients = std::atoi(argv[++i]);
    } else {
      std::fprintf(stderr, "usage: server_load [--seconds N] [--clients N] [--timing]\n");
      return 2;
    }
  }
  return mach::server::Main(options);
}
