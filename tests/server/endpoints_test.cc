// The endpoints beside generation: text and tokens, statistics, listings.
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/api_test.h"

namespace mach::server {
namespace {

using testing::HasSubstr;
using testing::Not;

class EndpointsTest : public ApiTest {
 protected:
  static json::Value GetJson(TestServer& server, std::string_view path) {
    const RawResponse response = Ask(server.port(), Get(path));
    EXPECT_EQ(response.status, 200) << path << response.body;
    return response.Json();
  }
};

TEST_F(EndpointsTest, TokenizesInBothDialects) {
  TestServer server;
  const auto tokens = [&](std::string_view body) {
    return Text(At(Answer(server, "/tokenize", body), {"tokens"}));
  };
  EXPECT_EQ(tokens(R"({"content":"hi"})"), "[104,105]");
  EXPECT_EQ(tokens(R"({"content":"hi","add_special":true})"), "[260,104,105]");
  EXPECT_EQ(tokens(R"({"prompt":"hi"})"), "[260,104,105]");
  EXPECT_EQ(tokens(R"({"prompt":"hi","add_special_tokens":false})"), "[104,105]");
  EXPECT_EQ(tokens(R"({"content":"<think>"})"), "[256]");
  EXPECT_EQ(tokens(R"({"content":"<t","parse_special":false})"), "[60,116]");
  EXPECT_EQ(tokens(R"({"content":"<think>","parse_special":false})"),
            "[60,116,104,105,110,107,62]");
  EXPECT_EQ(tokens(R"({"content":"aé","with_pieces":true})"),
            R"([{"id":97,"piece":"a"},{"id":195,"piece":[195]},{"id":169,"piece":[169]}])");
  const json::Value body =
      Answer(server, "/tokenize",
             R"({"messages":[{"role":"user","content":"ab"}],"return_token_strs":true})");
  EXPECT_EQ(Text(body), R"({"tokens":[97,98,10],"count":3,"max_model_len":4096,)"
                        R"("token_strs":["a","b","\n"]})");
  for (const auto& [bad, param] : {std::pair{"{}", "content"},
                                   {R"({"content":1})", "content"},
                                   {R"({"content":"a","prompt":"b"})", "prompt"},
                                   {R"({"content":"a","messages":[]})", "messages"}}) {
    const RawResponse response = Ask(server.port(), Post("/tokenize", bad));
    EXPECT_EQ(response.status, 400) << bad;
    EXPECT_EQ(response.ErrorParam(), param) << bad;
  }
}

TEST_F(EndpointsTest, DetokenizesAndAppliesTheTemplate) {
  TestServer server;
  EXPECT_EQ(Text(Answer(server, "/detokenize", R"({"tokens":[104,105,260,195]})")),
            R"({"content":"hi<end>�","prompt":"hi<end>�"})");
  for (const char* bad : {R"({"tokens":[261]})", R"({"tokens":[-1]})", R"({"tokens":["a"]})",
                          R"({"tokens":1})", "{}"}) {
    EXPECT_EQ(Ask(server.port(), Post("/detokenize", bad)).status, 400) << bad;
  }
  EXPECT_EQ(Text(Answer(server, "/apply-template", kHi)),
            R"({"prompt":"hi\n","tokens":[104,105,10],"n_tokens":3,"stop":["<end>"],)"
            R"("reasoning_state":"closed"})");
}

TEST_F(EndpointsTest, DescribesItself) {
  TestServerOptions options;
  options.service.model_path = "/models/x";
  TestServer server(std::move(options));
  const json::Value props = GetJson(server, "/props");
  EXPECT_EQ(Text(At(props, {"total_slots"})), "1");
  EXPECT_EQ(Text(At(props, {"model_path"})), "\"/models/x\"");
  EXPECT_EQ(Text(At(props, {"default_generation_settings", "n_ctx"})), "4096");
  EXPECT_EQ(Text(At(props, {"default_generation_settings", "params", "temperature"})), "0.5");
  EXPECT_EQ(Text(At(props, {"chat_template"})), "\"{{ messages }}\"");
  TestServer plain;
  EXPECT_TRUE(At(GetJson(plain, "/props"), {"model_path"}).is_null());
}

TEST_F(EndpointsTest, StatsHaveTheDocumentedNames) {
  TestServerOptions options;
  options.engine.eviction_policy = "lookahead";
  options.engine.providers.bank = [] {
    experts::BankStats e;
    e.hits = 3;
    e.misses = 1;
    e.resident = 6;
    e.uses = 9;
    e.sizes = {{.slots = 2, .bank_bytes = 8, .memory_bytes = 12, .hits = 5}};
    return e;
  };
  options.facts = {.profile = "diagnostic",
                   .fallback_policy = "diagnostic-python",
                   .expert_residency = "streaming",
                   .slow_paths = {"f32_compute"},
                   .direct_expected = true,
                   .direct_active = true,
                   .direct_mode = "io_uring",
                   .sidecar_valid = true,
                   .wired_bytes = 1000,
                   .memory = {{"weights", 600}, {"experts", 300}}};
  options.engine.block_policy = "opencode-sampled-v1";
  options.engine.providers.speculation = [] {
    spec::StatisticsSnapshot s;
    s.drafted = 10;
    s.accepted = 7;
    return s;
  };
  options.engine.hold_at = 2;
  TestServer server(std::move(options));
  json::Value stats = GetJson(server, "/v1/stats");
  EXPECT_EQ(Text(At(stats, {"adaptive_block_policy"})), "\"opencode-sampled-v1\"");
  EXPECT_EQ(Text(At(stats, {"specdec_drafted"})), "10");
  EXPECT_EQ(Text(At(stats, {"specdec_accepted"})), "7");
  for (const char* name : {"recent_alpha", "observed_cycles", "low_cycles"}) {
    EXPECT_EQ(At(stats, {name}).AsDouble(), 0) << name;
  }
  EXPECT_EQ(Text(At(stats, {"decode_path"})), "\"specdec-v7\"");
  EXPECT_EQ(Text(At(stats, {"profile"})), "\"diagnostic\"");
  EXPECT_EQ(Text(At(stats, {"effective_backend"})), "\"production\"");
  EXPECT_EQ(Text(At(stats, {"fallback_policy"})), "\"diagnostic-python\"");
  EXPECT_EQ(Text(At(stats, {"expert_residency"})), "\"streaming\"");
  EXPECT_EQ(Text(At(stats, {"slow_paths"})), R"(["f32_compute"])");
  EXPECT_EQ(Text(At(stats, {"state"})), "\"ready\"");
  json::Value cache = GetJson(server, "/v1/cache/stats");
  std::string keys;
  const json::Value m_list = At(cache, {"streaming_summary"});
  for (const json::Member& m : m_list.AsObject()) keys += m.key + " ";
  EXPECT_EQ(keys,
            "direct_pread fallback_policy sidecar_valid hits misses hit_rate evictions "
            "resident_experts bank_slots bank_bytes memory_bytes bytes_read stall_ms "
            "eviction_policy prefetch reuse ");
  EXPECT_EQ(Text(At(cache, {"streaming_summary", "direct_pread"})),
            R"({"active":1,"mode":"io_uring","expected":1})");
  EXPECT_EQ(Text(At(cache, {"streaming_summary", "fallback_policy"})), "\"diagnostic-python\"");
  EXPECT_EQ(Text(At(cache, {"streaming_summary", "sidecar_valid"})), "1");
  EXPECT_EQ(Text(At(cache, {"streaming_summary", "reuse"})),
            R"({"uses":9,"first_uses":0,"by_size":)"
            R"([{"bank_slots":2,"bank_bytes":8,"memory_bytes":12,"hits":5}]})");
  EXPECT_EQ(Text(At(cache, {"memory"})), R"({"wired_bytes":1000,"weights":600,"experts":300})");
  EXPECT_EQ(Text(At(cache, {"state"})), "\"ready\"");
  EXPECT_EQ(Text(At(cache, {"streaming_summary", "hit_rate"})), "0.75");
  EXPECT_EQ(Text(At(cache, {"streaming_summary", "resident_experts"})), "6");
  EXPECT_EQ(Text(At(cache, {"streaming_summary", "eviction_policy"})), "\"lookahead\"");
  EXPECT_EQ(Text(At(cache, {"prefix_cache", "enabled"})), "false");
  EXPECT_EQ(Text(At(cache, {"generation_in_flight"})), "false");
  EXPECT_EQ(Text(At(cache, {"stale_generation_in_flight"})), "false");

  // The metrics have the same words.
  const std::string metrics = Ask(server.port(), Get("/metrics")).body;
  EXPECT_THAT(metrics,
              HasSubstr("mach_serving_info{profile=\"diagnostic\",effective_backend=\"production\","
                        "fallback_policy=\"diagnostic-python\",expert_residency=\"streaming\","
                        "decode_path=\"specdec-v7\"} 1\n"));
  EXPECT_THAT(metrics, HasSubstr("mach_direct_pread_active{mode=\"io_uring\"} 1\n"));
  EXPECT_THAT(metrics, HasSubstr("mach_direct_pread_expected 1\n"));
  EXPECT_THAT(metrics, HasSubstr("mach_sidecar_valid 1\n"));

  // Under a generation that does not move, they answer all the same.
  TestClient busy(server.port());
  busy.Send(Post(kChat, kHiStream));
  const std::string head = busy.ReadUntil(R"("content":"H)");
  ASSERT_THAT(head, HasSubstr("X-Decode-Mode: specdec"));
  cache = GetJson(server, "/v1/cache/stats");
  EXPECT_EQ(Text(At(cache, {"generation_in_flight"})), "true");
  EXPECT_EQ(Text(At(cache, {"stale_generation_in_flight"})), "false");
  stats = GetJson(server, "/v1/stats");
  EXPECT_EQ(Text(At(stats, {"queue", "running"})), "1");
  EXPECT_EQ(Text(At(stats, {"tokens", "output"})), "2");
  EXPECT_EQ(Text(At(GetJson(server, "/health"), {"running"})), "1");
}

// What this request does, whatever the server can do.
TEST_F(EndpointsTest, TheDecodeModeIsTheRequests) {
  TestServer plain;
  TestServerOptions options;
  options.engine.block_policy = "opencode-sampled-v1";
  TestServer drafting(std::move(options));
  struct Row {
    const char* mode;
    const char* plain;
    const char* drafting;
  };
  for (const Row& row :
       {Row{"auto", "target-only", "specdec"}, Row{"off", "target-only", "target-only"},
        Row{"ngram", "ngram", "ngram"}, Row{"summarisation", "ngram", "ngram"},
        Row{"classification", "ngram", "ngram"}, Row{"dflash", "target-only", "specdec"}}) {
    const std::string speculation =
        std::string(R"("max_tokens":2,"speculation":{"mode":")") + row.mode + R"("},)";
    for (const auto& [path, body] :
         {std::pair(kChat, R"("messages":[{"role":"user","content":"hi"}]})"),
          std::pair(std::string_view("/v1/completions"), R"("prompt":"hi"})")}) {
      for (const char* stream : {R"({"stream":true,)", R"({"stream":false,)"}) {
        const std::string request = Post(path, stream + speculation + body);
        EXPECT_EQ(Ask(plain.port(), request).headers.at("x-decode-mode"), row.plain) << request;
        EXPECT_EQ(Ask(drafting.port(), request).headers.at("x-decode-mode"), row.drafting)
            << request;
      }
    }
  }
  EXPECT_EQ(Ask(plain.port(), Post(kChat, kHi)).headers.at("x-decode-mode"), "target-only");
  EXPECT_EQ(Ask(drafting.port(), Post(kChat, kHi)).headers.at("x-decode-mode"), "specdec");
  // No request has asked for the statistics.
  EXPECT_EQ(plain.engine().statistics_asked() + drafting.engine().statistics_asked(), 0u);
}

TEST_F(EndpointsTest, MetricsAreWellFormed) {
  TestServer server;
  Answer(server, kChat, kHi);
  Ask(server.port(), Get("/nothing"));
  const RawResponse response = Ask(server.port(), Get("/metrics"));
  EXPECT_EQ(response.headers.at("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_THAT(response.body, HasSubstr("mach_output_tokens_total 6\n"));
  EXPECT_THAT(response.body, HasSubstr("mach_requests_finished_total{reason=\"stop\"} 1\n"));
  EXPECT_THAT(response.body, HasSubstr("mach_http_responses_total{code=\"404\"} 1\n"));
  EXPECT_THAT(response.body, HasSubstr("mach_time_to_first_token_seconds_count 1\n"));
  EXPECT_THAT(response.body, HasSubstr("_bucket{le=\"+Inf\"} 1\n"));
  // Each sample belongs to a metric that was announced, once.
  std::set<std::string> announced;
  std::string name;
  size_t samples = 0;
  for (size_t at = 0; at < response.body.size();) {
    const size_t end = response.body.find('\n', at);
    const std::string line = response.body.substr(at, end - at);
    at = end + 1;
    if (line.starts_with("# TYPE ")) {
      name = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_TRUE(announced.insert(name).second) << name;
    } else if (!line.starts_with("# HELP ")) {
      EXPECT_TRUE(line.starts_with(name)) << line;
      ++samples;
    }
  }
  EXPECT_GT(samples, 60u);
}

TEST_F(EndpointsTest, ListsAndCancelsRequests) {
  TestServerOptions options;
  options.engine.hold_at = 2;
  TestServer server(std::move(options));
  TestClient running(server.port());
  running.Send(Post(kChat, kHiStream, "x-request-id: one\r\nx-session-id: s1\r\n"));
  ASSERT_NE(running.ReadUntil(R"("content":"H)"), "");
  TestClient waiting(server.port());
  waiting.Send(Post(kChat, R"({"user":"u","messages":[{"role":"user","content":"secret"}]})",
                    "x-request-id: two\r\n"));
  ASSERT_TRUE(Eventually([&] { return server.engine().submitted() == 2; }));
  const RawResponse listed = Ask(server.port(), Get("/mach/requests"));
  const json::Value data = At(listed.Json(), {"data"});
  ASSERT_EQ(data.AsArray().size(), 2u);
  EXPECT_EQ(Text(At(data, {"0", "id"})), "\"one\"");
  EXPECT_EQ(Text(At(data, {"0", "session"})), "\"s1\"");
  EXPECT_EQ(Text(At(data, {"0", "state"})), "\"decode\"");
  EXPECT_EQ(Text(At(data, {"0", "output_tokens"})), "2");
  EXPECT_EQ(Text(At(data, {"1", "id"})), "\"two\"");
  EXPECT_EQ(Text(At(data, {"1", "session"})), "\"u\"");
  EXPECT_EQ(Text(At(data, {"1", "queue_position"})), "1");
  EXPECT_THAT(listed.body, Not(HasSubstr("secret")));

  // What waits ends at once, while the first still runs.
  EXPECT_EQ(
      Ask(server.port(), "DELETE /mach/requests/two HTTP/1.1\r\nHost: localhost\r\n\r\n").body,
      R"({"id":"two","cancelled":1})");
  EXPECT_EQ(waiting.Read().status, 503);
  EXPECT_EQ(server.engine().running(), 1u);
  EXPECT_EQ(Ask(server.port(), "POST /mach/requests/one/cancel HTTP/1.1\r\nHost: localhost\r\n\r\n")
                .status,
            200);
  const std::vector<std::string> events = SseData(running.Read().body);
  EXPECT_THAT(events[events.size() - 2], HasSubstr("\"cancelled\""));
  EXPECT_EQ(events.back(), "[DONE]");
  const RawResponse gone =
      Ask(server.port(), "DELETE /mach/requests/one HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(gone.status, 404);
  EXPECT_EQ(gone.ErrorCode(), "request_not_found");
}

TEST_F(EndpointsTest, OpenApiComesFromTheTables) {
  TestServer server;
  const json::Value api = GetJson(server, "/openapi.json");
  EXPECT_EQ(Text(At(api, {"openapi"})), "\"3.1.0\"");
  const json::Value schema = At(api, {"paths", "/v1/chat/completions", "post", "requestBody",
                                      "content", "application/json", "schema"});
  EXPECT_EQ(Text(At(schema, {"required"})), R"(["messages"])");
  EXPECT_EQ(Text(At(schema, {"properties", "top_logprobs", "maximum"})), "20.0");
  EXPECT_EQ(Text(At(schema, {"properties", "grammar", "deprecated"})), "true");
  std::set<std::string> ids;
  const json::Value path_list = At(api, {"paths"});
  for (const json::Member& path : path_list.AsObject()) {
    for (const json::Member& operation : path.value.AsObject()) {
      EXPECT_TRUE(ids.insert(At(operation.value, {"operationId"}).AsString()).second) << path.key;
    }
  }
  EXPECT_GT(ids.size(), 18u);
}

TEST_F(EndpointsTest, WarmsPrefixes) {
  TestServerOptions options;
  options.engine.providers.prefix_cache = [] {
    cache::PrefixCounters counters;
    counters.bytes = 4096;
    counters.last_misses.push_back({.reason = cache::MissReason::kDiverged,
                                    .prompt_tokens = 9,
                                    .common_tokens = 3,
                                    .wanted = engine::ScriptTokens("b"),
                                    .cached = engine::ScriptTokens("a")});
    return counters;
  };
  TestServer server(std::move(options));
  RawResponse warmed =
      Ask(server.port(), Post("/v1/cache/warm_prefix", R"({"session_id":"s","messages":[
      {"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}]})"));
  ASSERT_EQ(warmed.status, 200) << warmed.body;
  EXPECT_EQ(Text(At(warmed.Json(), {"tokens"})), "13");
  EXPECT_EQ(Text(At(warmed.Json(), {"cached"})), "0");
  EXPECT_EQ(Text(At(warmed.Json(), {"bytes"})), "4096");
  EXPECT_GE(At(warmed.Json(), {"ms"}).AsDouble(), 0);
  EXPECT_TRUE(server.engine().last_request().warm);
  EXPECT_EQ(server.engine().last_request().max_tokens, 0u);
  EXPECT_EQ(server.engine().last_request().session, "s");
  warmed = Ask(server.port(), Post("/v1/cache/warm_prefix", R"({"text":"abc"})"));
  EXPECT_EQ(Text(At(warmed.Json(), {"tokens"})), "4");  // with what completions put in front
  warmed = Ask(server.port(), Post("/v1/cache/warm_prefix", "{}"));
  EXPECT_EQ(warmed.status, 400);
  EXPECT_EQ(warmed.ErrorCode(), "missing_required_parameter");
  EXPECT_EQ(Text(At(GetJson(server, "/v1/cache/warm_prefix"), {"data"})), "[]");
  EXPECT_EQ(
      Ask(server.port(), "DELETE /v1/cache/warm_prefix HTTP/1.1\r\nHost: localhost\r\n\r\n").body,
      R"({"cleared":0})");
  json::Value stats = GetJson(server, "/v1/cache/stats");
  EXPECT_EQ(
      Text(At(stats, {"prefix_cache", "last_misses"})),
      R"([{"reason":"diverged","prompt_tokens":9,"common_tokens":3,"wanted":"b","cached":"a"}])");
  // What would keep the rest from being cached is left out, and counted.
  EXPECT_EQ(Text(At(stats, {"prefix_cache", "nonces_stripped"})), "0");
  const std::string nonce =
      R"({"max_tokens":1,"messages":[{"role":"system","content":"x-anthropic-billing-header: cch=1;\n)"
      R"(Be brief."},{"role":"user","content":"Hi"}]})";
  EXPECT_EQ(Ask(server.port(), Post(kChat, nonce)).status, 200);
  EXPECT_EQ(Ask(server.port(), Post("/v1/cache/warm_prefix", nonce)).status, 200);
  stats = GetJson(server, "/v1/cache/stats");
  EXPECT_EQ(Text(At(stats, {"prefix_cache", "nonces_stripped"})), "2");
}

// A client that leaves takes its work with it.
TEST_F(EndpointsTest, WarmingIsCancelledWithItsConnection) {
  TestServerOptions options;
  options.engine.providers.prefix_cache = [] { return cache::PrefixCounters(); };
  options.engine.hold_at = 0;
  TestServer server(std::move(options));
  {
    TestClient client(server.port());
    client.Send(Post("/v1/cache/warm_prefix", R"({"text":"abc"})"));
    ASSERT_TRUE(Eventually([&] { return server.engine().submitted() == 1; }));
  }
  EXPECT_TRUE(Eventually([&] { return server.engine().running() == 0; }));
}

TEST_F(EndpointsTest, WhatIsNotThereYetSaysSo) {
  TestServer server;
  for (const auto& [path, body] :
       {std::pair("/v1/cache/warm_prefix", R"({"text":"a"})"), std::pair("/v1/embeddings", "{}")}) {
    const RawResponse response = Ask(server.port(), Post(path, body));
    EXPECT_EQ(response.status, 501) << path;
    EXPECT_EQ(At(response.Json(), {"error", "type"}).AsString(), "not_supported_error");
    EXPECT_EQ(response.headers.at("x-should-retry"), "false");
  }
}

// ---- while the model is being loaded ----

TEST_F(EndpointsTest, ClaimsNothingBeforeTheModelIsThere) {
  TestServerOptions options;
  options.loaded = false;
  options.service.configured = {.decode_path = "specdec-v7",
                                .adaptive_block_policy = "opencode-sampled-v1",
                                .fallback_policy = "diagnostic",
                                .expert_residency = "streaming"};
  options.facts.direct_mode = "io_uring";
  TestServer server(std::move(options));
  server.service().SetLoadProgress("experts", 43, 100);
  // Listings are what clients wait for: they answer as /health does.
  const RawResponse health = Ask(server.port(), Get("/health"));
  for (const char* path : {"/v1/models", "/models", "/v1/models/scripted/model", "/readyz"}) {
    const RawResponse response = Ask(server.port(), Get(path));
    EXPECT_EQ(response.status, 503) << path;
    EXPECT_EQ(response.ErrorCode(), "loading") << path;
    EXPECT_TRUE(response.headers.contains("retry-after")) << path;
    const json::Value body = response.Json();
    EXPECT_EQ(Text(At(body, {"progress"})), "0.43") << path;
    EXPECT_EQ(Text(At(body, {"stage"})), "\"experts\"") << path;
    EXPECT_EQ(Text(At(body, {"error", "progress"})), "0.43") << path;
    EXPECT_EQ(Text(At(body, {"error", "message"})), Text(At(health.Json(), {"error", "message"})));
  }
  TestClient head(server.port());
  head.Send("HEAD /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(head.Read(true).status, 503);

  // Statistics tell what was asked for, and null where nothing is known.
  const json::Value stats = GetJson(server, "/v1/stats");
  EXPECT_EQ(Text(At(stats, {"state"})), "\"loading\"");
  EXPECT_EQ(Text(At(stats, {"decode_path"})), "\"specdec-v7\"");
  EXPECT_EQ(Text(At(stats, {"adaptive_block_policy"})), "\"opencode-sampled-v1\"");
  EXPECT_EQ(Text(At(stats, {"fallback_policy"})), "\"diagnostic\"");
  EXPECT_EQ(Text(At(stats, {"expert_residency"})), "\"streaming\"");
  for (const char* name : {"profile", "effective_backend", "slow_paths"}) {
    ASSERT_NE(stats.Find(name), nullptr) << name;
    EXPECT_TRUE(stats.Find(name)->is_null()) << name;
  }
  const json::Value cache = GetJson(server, "/v1/cache/stats");
  EXPECT_EQ(Text(At(cache, {"state"})), "\"loading\"");
  EXPECT_EQ(Text(At(cache, {"streaming_summary", "direct_pread"})),
            R"({"active":null,"mode":null,"expected":1})");
  EXPECT_EQ(Text(At(cache, {"streaming_summary", "fallback_policy"})), "\"diagnostic\"");
  const json::Value summary = At(cache, {"streaming_summary"});
  for (const json::Member& member : summary.AsObject()) {
    if (member.key == "direct_pread" || member.key == "fallback_policy") continue;
    EXPECT_TRUE(member.value.is_null()) << member.key;
  }
  EXPECT_EQ(Text(At(cache, {"prefix_cache", "enabled"})), "null");
  const std::string metrics = Ask(server.port(), Get("/metrics")).body;
  for (const char* name : {"mach_serving_info", "mach_direct_pread", "mach_sidecar_valid"}) {
    EXPECT_THAT(metrics, Not(HasSubstr(name)));
  }

  server.Load();
  EXPECT_EQ(Text(At(GetJson(server, "/v1/models"), {"data", "0", "id"})), "\"scripted/model\"");
  EXPECT_EQ(Text(At(GetJson(server, "/v1/stats"), {"profile"})), "\"production\"");
  // Without a sidecar that is used there is nothing to be valid.
  EXPECT_EQ(Text(At(GetJson(server, "/v1/cache/stats"), {"streaming_summary", "sidecar_valid"})),
            "null");
  EXPECT_EQ(Ask(server.port(), Get("/v1/models/other")).status, 404);
}

TEST_F(EndpointsTest, HoldsRequestsUntilTheModelIsThere) {
  TestServerOptions options;
  options.loaded = false;
  options.http.limits.ping_interval = std::chrono::milliseconds(10);
  TestServer server(std::move(options));
  server.service().SetLoadProgress("experts", 43, 100);
  TestClient whole(server.port());
  whole.Send(Post(kChat, kHi));
  TestClient streaming(server.port());
  streaming.Send(Post(kChat, kHiStream));
  EXPECT_THAT(streaming.ReadUntil(": loading 43 %\n\n"), HasSubstr("200 OK"));
  TestClient text(server.port());
  text.Send(Post("/v1/completions", R"({"prompt":"a"})"));
  TestClient leaves(server.port());
  leaves.Send(Post(kChat, kHiStream));
  ASSERT_NE(leaves.ReadUntil(": loading"), "");
  leaves.Close();
  // What needs no model, or is wrong anyway, is answered at once.
  EXPECT_EQ(Ask(server.port(), Post(kChat, "{}")).status, 400);
  EXPECT_EQ(Ask(server.port(), Post("/tokenize", R"({"content":"a"})")).status, 503);
  ASSERT_TRUE(Eventually([&] { return At(GetJson(server, "/v1/stats"), {"held"}).AsInt() == 3; }));
  server.Load();
  EXPECT_EQ(Text(At(whole.Read().Json(), {"choices", "0", "message", "content"})), "\"Hello!\"");
  EXPECT_EQ(Text(At(text.Read().Json(), {"choices", "0", "text"})), "\"Hello!\"");
  const RawResponse streamed = streaming.Read();
  const std::vector<std::string> events = SseData(streamed.body);
  EXPECT_EQ(events.back(), "[DONE]");
  EXPECT_THAT(streamed.body, HasSubstr("\"finish_reason\":\"stop\""));
  EXPECT_EQ(server.engine().submitted(), 3u);
}

TEST_F(EndpointsTest, ErrorsOfHeldStreamsComeInTheStream) {
  TestServerOptions options;
  options.loaded = false;
  TestServer server(std::move(options));
  TestClient streaming(server.port());
  streaming.Send(Post(kChat, R"({"stream":true,"messages":[{"role":"user","content":"REFUSE"}]})"));
  ASSERT_NE(streaming.ReadUntil(": loading"), "");
  TestClient whole(server.port());
  whole.Send(Post(kChat, R"({"messages":[{"role":"user","content":"REFUSE"}]})"));
  ASSERT_TRUE(Eventually([&] { return At(GetJson(server, "/v1/stats"), {"held"}).AsInt() == 2; }));
  server.Load();
  const std::vector<std::string> events = SseData(streaming.Read().body);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_THAT(events[0], HasSubstr("refused the conversation"));
  EXPECT_EQ(events[1], "[DONE]");
  EXPECT_EQ(whole.Read().status, 400);
}

TEST_F(EndpointsTest, HoldsOnlySoManyForSoLong) {
  TestServerOptions options;
  options.loaded = false;
  options.service.hold.most = 1;
  options.service.hold.timeout = std::chrono::milliseconds(80);
  TestServer server(std::move(options));
  TestClient held(server.port());
  held.Send(Post(kChat, kHi));
  ASSERT_TRUE(Eventually([&] { return At(GetJson(server, "/v1/stats"), {"held"}).AsInt() == 1; }));
  const RawResponse refused = Ask(server.port(), Post(kChat, kHi));
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.ErrorCode(), "loading");
  const RawResponse late = held.Read();
  EXPECT_EQ(late.status, 503);
  EXPECT_EQ(late.ErrorCode(), "loading");
  EXPECT_TRUE(late.headers.contains("retry-after"));
}

TEST_F(EndpointsTest, AShutdownWhileLoadingAnswersWhatIsHeld) {
  TestServerOptions options;
  options.loaded = false;
  TestServer server(std::move(options));
  TestClient streaming(server.port());
  streaming.Send(Post(kChat, kHiStream));
  ASSERT_NE(streaming.ReadUntil(": loading"), "");
  TestClient whole(server.port());
  whole.Send(Post(kChat, kHi));
  ASSERT_TRUE(Eventually([&] { return At(GetJson(server, "/v1/stats"), {"held"}).AsInt() == 2; }));
  server.http().BeginShutdown();
  const RawResponse refused = whole.Read();
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.ErrorCode(), "draining");
  const std::vector<std::string> events = SseData(streaming.Read().body);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_THAT(events[0], HasSubstr("\"draining\""));
  EXPECT_TRUE(server.Join());
}

TEST_F(EndpointsTest, GivesUpOnATurnThatDoesNotCome) {
  TestServerOptions options;
  options.engine.hold_at = 1;
  options.service.max_queue_wait = std::chrono::milliseconds(40);
  TestServer server(std::move(options));
  TestClient running(server.port());
  running.Send(Post(kChat, kHi));
  ASSERT_TRUE(Eventually([&] { return server.engine().running() == 1; }));
  const RawResponse waited = Ask(server.port(), Post(kChat, kHi));
  EXPECT_EQ(waited.status, 429);
  EXPECT_EQ(waited.ErrorCode(), "queue_full");
  EXPECT_THAT(waited.body, HasSubstr("0.04 s"));
  EXPECT_EQ(server.engine().cancelled(), 1u);
  server.engine().Release();  // the one that runs is not concerned
  EXPECT_EQ(running.Read().status, 200);
}

}  // namespace
}  // namespace mach::server
