// The residency probe against servers that tell it what is wrong.
#include "cli/probe/probe.h"

#include <array>
#include <optional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/api_test.h"

namespace mach::server {
namespace {

using testing::HasSubstr;

// Statistics that say what a test tells them.
struct Told {
  experts::BankStats bank;
  ServingFacts facts;
};

class ProbeTest : public ApiTest {
 protected:
  static Result<cli::ProbeReport> Probe(TestServerOptions options) {
    options.engine.token_delay = std::chrono::microseconds(200);
    TestServer server(std::move(options));
    const auto client =
        cli::HttpClient::ForUrl("http://127.0.0.1:" + std::to_string(server.port()) + "/v1", "");
    EXPECT_TRUE(client.ok());
    return cli::RunProbe(*client, {.requests = 2, .max_tokens = 5, .stats_limit_ms = 1e6});
  }
  // The verdicts of all checks; "worst" of the whole.
  static std::string Judge(TestServerOptions options) {
    const auto report = Probe(std::move(options));
    if (!report) return report.error().message;
    std::string verdicts;
    for (const cli::ProbeCheck& check : report->checks) {
      verdicts += check.name + "=" + std::string(cli::VerdictName(check.verdict)) + " ";
      EXPECT_FALSE(check.found.empty());
      if (check.verdict == cli::ProbeVerdict::kWarning ||
          check.verdict == cli::ProbeVerdict::kFailure) {
        EXPECT_FALSE(check.advice.empty()) << check.name;
      }
    }
    return verdicts + "worst=" + std::string(cli::VerdictName(report->verdict()));
  }
  static ServingFacts Streaming() {
    ServingFacts facts;
    facts.expert_residency = "streaming";
    facts.direct_expected = facts.direct_active = true;
    facts.direct_mode = "pread";
    facts.sidecar_valid = true;
    return facts;
  }
  static TestServerOptions Telling(Told told) {
    told.bank.slots = 10;
    TestServerOptions options;
    options.facts = std::move(told.facts);
    options.engine.providers.bank = [bank = std::move(told.bank)] { return bank; };
    return options;
  }
  // Hits and misses that grow by so much with each look.
  static TestServerOptions Counting(uint64_t hits, uint64_t misses) {
    TestServerOptions options;
    options.facts = Streaming();
    options.engine.providers.bank = [hits, misses, n = std::make_shared<std::atomic<uint64_t>>(0)] {
      experts::BankStats stats;
      stats.slots = 10;
      const uint64_t looks = ++*n;
      stats.hits = looks * hits;
      stats.misses = looks * misses;
      return stats;
    };
    return options;
  }
};

TEST_F(ProbeTest, JudgesServers) {
  // The scripted engine reports no time for its prompts, so that its prefill looks slow.
  EXPECT_EQ(Judge({}), "direct-pread=n/a churn=n/a prefill=warn stats=ok fallback=ok worst=warn");
  EXPECT_EQ(Judge(Counting(9, 1)),
            "direct-pread=ok churn=ok prefill=warn stats=ok fallback=ok worst=warn");
  EXPECT_EQ(Judge(Counting(1, 9)),
            "direct-pread=ok churn=warn prefill=warn stats=ok fallback=ok worst=warn");
  Told slow{.facts = Streaming()};
  slow.facts.direct_active = false;
  slow.facts.direct_mode = "buffered";
  slow.facts.profile = "diagnostic";
  slow.facts.slow_paths = {"buffered_reads"};
  EXPECT_EQ(Judge(Telling(slow)),
            "direct-pread=FAIL churn=n/a prefill=warn stats=ok fallback=FAIL worst=FAIL");
  Told bare{.facts = Streaming()};
  bare.facts.sidecar_valid = false;
  bare.facts.slow_paths = {"checkpoint_experts"};
  EXPECT_EQ(Judge(Telling(bare)),
            "direct-pread=FAIL churn=n/a prefill=warn stats=ok fallback=FAIL worst=FAIL");
  Told asked{.facts = Streaming()};
  asked.facts.sidecar_valid = std::nullopt;
  asked.facts.slow_paths = {"bf16_streaming"};
  EXPECT_EQ(Judge(Telling(asked)),
            "direct-pread=ok churn=n/a prefill=warn stats=ok fallback=warn worst=warn");
}

TEST_F(ProbeTest, SaysWhyItCannotJudge) {
  TestServerOptions failing;
  failing.engine.fails = true;
  EXPECT_THAT(Judge(std::move(failing)),
              HasSubstr("status 500: a file that the answer needs could not be read"));
  TestServerOptions locked;
  locked.http.security.keys.Add("secret");
  EXPECT_THAT(Judge(std::move(locked)), HasSubstr("status 401: no API key was sent"));
  TestServerOptions strange;
  strange.http.security.keys.Add("secret");
  EXPECT_THAT(Judge(std::move(strange)), HasSubstr("--api-key-file FILE"));
  TestServerOptions loading;
  loading.loaded = false;
  EXPECT_THAT(Judge(std::move(loading)), HasSubstr("is loading its model"));
}

// GET /v1/cache/stats of a bank of 4 slots of 1 MiB, under a ceiling of 100 MiB; sizes of 4, 8 and
// 12 slots.
json::Value CacheStats(double uses, double first, std::array<double, 3> hits, double prefix) {
  constexpr double kMiB = 1 << 20;
  json::Array sizes;
  for (size_t i = 0; i < 3; ++i) {
    const double slots = 4.0 * static_cast<double>(i + 1);
    sizes.push_back(json::Object{{"bank_slots", slots},
                                 {"bank_bytes", slots * kMiB},
                                 {"memory_bytes", (slots + 1) * kMiB},
                                 {"hits", hits[i]}});
  }
  return json::Object{
      {"streaming_summary", json::Object{{"bank_slots", 4},
                                         {"memory_bytes", 5 * kMiB},
                                         {"reuse", json::Object{{"uses", uses},
                                                                {"first_uses", first},
                                                                {"by_size", std::move(sizes)}}}}},
      {"memory", json::Object{{"wired_bytes", 100 * kMiB},
                              {"weights", 80 * kMiB - prefix},
                              {"prefix", prefix},
                              {"experts", 4 * kMiB},
                              {"staging", 1 * kMiB}}}};
}

TEST(BankAdvice, IsTheLeastBankThatHasMostOfWhatComesAgain) {
  constexpr double kGiB = 1 << 30;
  const json::Value before = CacheStats(10, 5, {1, 2, 3}, 0);
  // 100 uses since then, 20 of them the first ever: of the other 80 the second size has 76.
  cli::ReuseReport report = cli::CompareReuse(before, CacheStats(110, 25, {41, 78, 83}, 0));
  EXPECT_EQ(report.uses, 100);
  EXPECT_EQ(report.first_uses, 20);
  ASSERT_TRUE(report.advice.has_value());
  EXPECT_DOUBLE_EQ(report.advice->hit_rate, 0.95);
  // Rounded up by less than a hundredth.
  EXPECT_GE(report.advice->expert_cache_gb * kGiB, 8 << 20);
  EXPECT_LE(report.advice->expert_cache_gb * kGiB, 1.01 * (8 << 20));
  // 85 MiB are reserved now, four slots more make 89.
  EXPECT_GE(report.advice->wired_gb * kGiB, 89 << 20);
  EXPECT_LE(report.advice->wired_gb * kGiB, 1.01 * (89 << 20));
  EXPECT_THAT(report.advice->Options(),
              testing::MatchesRegex("--expert-cache-gb 0\\.[0-9]+ --wired-gb 0\\.[0-9]+"));

  // The prefix cache gets a share of the larger ceiling: a seventh of 9 MiB, of which it has 1.
  report = cli::CompareReuse(before, CacheStats(110, 25, {41, 78, 83}, 1 << 20));
  EXPECT_GE(report.advice->wired_gb * kGiB, (89 << 20) + (2 << 20) / 7);
  EXPECT_LE(report.advice->wired_gb * kGiB, 1.01 * (90 << 20));
  // The bank has it already: what misses is new.
  EXPECT_FALSE(cli::CompareReuse(before, CacheStats(110, 25, {80, 81, 83}, 0)).advice.has_value());
  // Nothing came again, or nothing tells.
  EXPECT_FALSE(cli::CompareReuse(before, CacheStats(110, 105, {1, 2, 3}, 0)).advice.has_value());
  EXPECT_FALSE(cli::CompareReuse(json::Object(), json::Object()).advice.has_value());
  EXPECT_FALSE(cli::CompareReuse(before, json::Object()).advice.has_value());
  EXPECT_FALSE(cli::CompareReuse(json::Object(), before).advice.has_value());
}

TEST(HttpClient, TakesBaseUrlsAndRefusesOthers) {
  for (const char* url : {"http://localhost:8080", "http://localhost:8080/", "http://h/v1",
                          "http://[::1]:80/v1/", "http://h:1"}) {
    EXPECT_TRUE(cli::HttpClient::ForUrl(url, "").ok()) << url;
  }
  for (const char* url :
       {"", "localhost:8080", "https://h", "http://", "http://:80", "http://h:", "http://h/x",
        "http://[::1]x", "http://[::1", "http://h:80:80", "http://h:x", "http://u@h"}) {
    EXPECT_FALSE(cli::HttpClient::ForUrl(url, "").ok()) << url;
  }
}

TEST(HttpClient, ReadsAnswers) {
  EXPECT_EQ(cli::ParseHttpAnswer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")->body, "hi");
  EXPECT_EQ(cli::ParseHttpAnswer("HTTP/1.1 404 X\r\n\r\n")->status, 404);
  EXPECT_EQ(
      cli::ParseHttpAnswer("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n3\r\n"
                           " ho\r\n0\r\n\r\n")
          ->body,
      "hi ho");
  for (const char* bad :
       {"", "HTTP/1.1 200", "SSH-2.0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhi",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhi"}) {
    EXPECT_FALSE(cli::ParseHttpAnswer(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace mach::server
