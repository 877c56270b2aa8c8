#include "spec/decode_loop.h"

#include <gmock/gmock.h>

#include "spec/testing/chain_target.h"

namespace mach::spec {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::IsEmpty;
using testing::SizeIs;

// Drafts what the test says, cycle by cycle, and keeps what it is told.
class ScriptedDrafts final : public Proposer {
 public:
  explicit ScriptedDrafts(std::vector<std::vector<TokenId>> cycles) : cycles_(std::move(cycles)) {}

  std::span<const uint32_t> taps() const override { return taps_; }
  size_t max_drafts() const override { return kMaxBlock - 1; }
  void Reset() override {}
  void Observe(const float* features, size_t rows) override {
    for (size_t r = 0; r < rows; ++r) {
      observed.push_back(ChainTarget::TokenOf(features + r * ChainTarget::kVocab));
    }
  }
  size_t Propose(std::span<const TokenId> sequence, std::span<Draft> out,
                 const MoreDrafts&) override {
    requested.push_back(out.size());
    EXPECT_EQ(observed.size() + 1, sequence.size()) << "all but the anchor were observed";
    const size_t cycle = requested.size() - 1;
    if (cycle >= cycles_.size()) return 0;
    const size_t n = std::min(out.size(), cycles_[cycle].size());
    for (size_t i = 0; i < n; ++i) out[i] = {cycles_[cycle][i], 0.9f};
    return n;
  }

  std::vector<TokenId> observed;  // tokens of all rows whose features came
  std::vector<size_t> requested;  // drafts that were asked for, by cycle

 private:
  const std::vector<uint32_t> taps_ = {0};
  const std::vector<std::vector<TokenId>> cycles_;
};

class StandingClock final : public Clock {
 public:
  int64_t NowNs() const override { return 0; }
  int64_t UnixSeconds() const override { return 0; }
};

// Decodes after the prompt {5}. The target's own answer is 6, 7, 8 and so on.
class DecodeLoop : public testing::Test {
 protected:
  // Nothing where decoding fails; the code of its error is in `error`.
  std::optional<DecodeEnd> Run(size_t max_tokens, ScriptedDrafts* drafts = nullptr) {
    std::optional<Speculator> speculator;
    std::span<const uint32_t> taps;
    if (drafts != nullptr) {
      speculator.emplace(*drafts, PolicyOptions{.fixed = kMaxBlock}, clock_, statistics_);
      speculator->BeginRequest(stops, nullptr);
      taps = speculator->taps();
    }
    target_.emplace(ChainTarget::Options{.successor = successor, .context = context});
    EXPECT_TRUE(target_->verifier().Prefill(sequence, taps, nullptr, true, target_->state()).ok());
    if (speculator) speculator->ObservePrompt(target_->verifier().features(), sequence.size());
    target_->passes().clear();
    sample::Sampler sampler(params, ChainTarget::kVocab);
    sampler.AcceptPrompt(sequence);
    const Result<DecodeEnd> end =
        Decode({.verifier = target_->verifier(),
                .state = target_->state(),
                .sampler = sampler,
                .sequence = sequence,
                .speculator = speculator ? &*speculator : nullptr,
                .max_tokens = max_tokens,
                .cancelled = cancelled,
                .clock = clock_,
                .stall_ns = stall_ns},
               [&](TokenId token, std::span<const float> logits) {
                 EXPECT_THAT(logits, SizeIs(ChainTarget::kVocab));
                 EXPECT_EQ(sample::Argmax(logits), successor(sequence.back()))
                     << "logits of another position";
                 if (token == refused || std::ranges::find(stops, token) != stops.end()) {
                   return false;
                 }
                 answer.push_back(token);
                 if (answer.size() == cancel_after) cancelled = true;
                 return true;
               });
    if (end.ok()) return *end;
    error = end.error().code;
    return std::nullopt;
  }
  size_t length() { return target_->state().length(); }
  const std::string& passes() { return target_->passes(); }
  StatisticsSnapshot statistics() const { return statistics_.Snapshot(); }

  std::function<TokenId(TokenId)> successor = [](TokenId t) { return (t + 1) % 50; };
  sample::Params params = {.temperature = 0};
  std::vector<TokenId> stops;  // the speculator knows them
  TokenId refused = -1;        // by emit
  size_t context = 256;
  size_t cancel_after = SIZE_MAX;  // tokens
  std::atomic<bool> cancelled{false};
  std::function<uint64_t()> stall_ns;

  std::vector<TokenId> sequence = {5};
  std::vector<TokenId> answer;
  std::optional<Code> error;

 private:
  const StandingClock clock_;
  Statistics statistics_;
  std::optional<ChainTarget> target_;
};

TEST_F(DecodeLoop, PlainDecodingIsOneTokenAPass) {
  EXPECT_EQ(Run(4), DecodeEnd::kLimit);
  EXPECT_THAT(answer, ElementsAre(6, 7, 8, 9));
  EXPECT_THAT(sequence, ElementsAre(5, 6, 7, 8, 9));
  EXPECT_EQ(length(), 4u) << "all but the last token";
  EXPECT_EQ(passes(), "1=1 1=1 1=1") << "the first token comes from the prompt's logits";
}

TEST_F(DecodeLoop, AnAnswerOfNoTokens) {
  EXPECT_EQ(Run(0), DecodeEnd::kLimit);
  EXPECT_THAT(answer, IsEmpty());
  EXPECT_EQ(length(), 1u);
  EXPECT_EQ(passes(), "");
}

TEST_F(DecodeLoop, ABlockThatIsAllRightYieldsATokenMoreThanItsDrafts) {
  ScriptedDrafts drafts({{7, 8, 9}});
  EXPECT_EQ(Run(5, &drafts), DecodeEnd::kLimit);
  EXPECT_THAT(answer, ElementsAre(6, 7, 8, 9, 10));
  EXPECT_EQ(passes(), "4d=4");
  EXPECT_EQ(statistics().drafted, 3u);
  EXPECT_EQ(statistics().accepted, 3u);
}

// The target's token takes the place of the first wrong draft; what follows that draft is void,
// even where it equals the answer.
TEST_F(DecodeLoop, AWrongDraftAtEverySlot) {
  const std::vector<TokenId> right = {7, 8, 9, 10};
  for (size_t wrong = 0; wrong < right.size(); ++wrong) {
    SCOPED_TRACE(wrong);
    std::vector<TokenId> first = right;
    first[wrong] = 33;
    ScriptedDrafts drafts({first});
    sequence = {5};
    answer.clear();
    EXPECT_EQ(Run(8, &drafts), DecodeEnd::kLimit);
    EXPECT_THAT(answer, ElementsAre(6, 7, 8, 9, 10, 11, 12, 13));
    EXPECT_EQ(length(), 8u);
    const std::string first_pass = "5d=" + std::to_string(wrong + 1);
    EXPECT_EQ(passes().substr(0, first_pass.size()), first_pass);
  }
  const StatisticsSnapshot s = statistics();
  EXPECT_EQ(s.drafted, 16u);
  EXPECT_EQ(s.accepted, 0u + 1 + 2 + 3);
  EXPECT_EQ(s.reached[1], 4u);
  EXPECT_EQ(s.reached[4], 1u);
  EXPECT_EQ(s.accepted_at[3], 1u);
  EXPECT_EQ(s.accepted_at[4], 0u);
}

TEST_F(DecodeLoop, TheProposerObservesAcceptedRowsAlone) {
  ScriptedDrafts drafts({{7, 33, 9}, {}, {10, 11}, {44}});
  EXPECT_EQ(Run(9, &drafts), DecodeEnd::kLimit);
  EXPECT_EQ(passes(), "4d=2 1=1 3d=3 2d=1 1=1");
  EXPECT_THAT(drafts.observed, ElementsAre(5, 6, 7, 8, 9, 10, 11, 12, 13));
  EXPECT_THAT(sequence, ElementsAre(5, 6, 7, 8, 9, 10, 11, 12, 13, 14));
}

// A block of n rows yields n tokens, so the last token needs no row.
TEST_F(DecodeLoop, NoMoreRowsThanTokensThatAreLeft) {
  ScriptedDrafts drafts({{7, 8, 9, 10, 11}});
  EXPECT_EQ(Run(4, &drafts), DecodeEnd::kLimit);
  EXPECT_THAT(answer, ElementsAre(6, 7, 8, 9));
  EXPECT_THAT(drafts.requested, ElementsAre(2));
  EXPECT_EQ(passes(), "3d=3");
  EXPECT_EQ(length(), 4u);
}

TEST_F(DecodeLoop, AStopTokenEndsTheAnswerAtEveryRowOfABlock) {
  for (TokenId stop = 7; stop <= 11; ++stop) {
    SCOPED_TRACE(stop);
    // The stop token stands where the proposer expects another one, so that it is not cut off.
    std::vector<TokenId> drafted = {7, 8, 9, 10};
    if (stop <= 10) drafted[static_cast<size_t>(stop) - 7] = 33;
    ScriptedDrafts drafts({drafted});
    sequence = {5};
    answer.clear();
    stops = {stop};
    const StatisticsSnapshot before = statistics();
    EXPECT_EQ(Run(20, &drafts), DecodeEnd::kStopped);
    EXPECT_THAT(answer, SizeIs(static_cast<size_t>(stop) - 6));
    EXPECT_EQ(sequence.back(), stop - 1);
    EXPECT_EQ(length(), sequence.size()) << "the whole answer";
    const StatisticsSnapshot after = statistics();
    const size_t accepted = static_cast<size_t>(stop) - 7;
    EXPECT_EQ(after.accepted - before.accepted, accepted);
    if (accepted < 4) {
      EXPECT_EQ(after.reached[accepted + 1], before.reached[accepted + 1])
          << "the draft in its place was not judged";
    }
  }
}

// Emit refuses a token that was drafted, with further drafts behind it.
TEST_F(DecodeLoop, NothingFollowsARefusedTokenThoughItWasDrafted) {
  refused = 8;
  ScriptedDrafts drafts({{7, 8, 9}});
  EXPECT_EQ(Run(20, &drafts), DecodeEnd::kStopped);
  EXPECT_THAT(answer, ElementsAre(6, 7));
  EXPECT_THAT(sequence, ElementsAre(5, 6, 7));
  EXPECT_EQ(passes(), "4d=2");
  EXPECT_EQ(length(), 3u);
}

TEST_F(DecodeLoop, AStopTokenFirstLeavesThePrompt) {
  stops = {6};
  EXPECT_EQ(Run(20), DecodeEnd::kStopped);
  EXPECT_THAT(answer, IsEmpty());
  EXPECT_EQ(length(), 1u);
  EXPECT_EQ(passes(), "");
}

TEST_F(DecodeLoop, CancelledBetweenPasses) {
  cancel_after = 3;
  ScriptedDrafts drafts({{7, 8, 9}});
  EXPECT_EQ(Run(20, &drafts), DecodeEnd::kCancelled);
  EXPECT_THAT(answer, ElementsAre(6, 7, 8, 9, 10)) << "the pass's tokens are not lost";
  EXPECT_EQ(length(), 5u);
}

TEST_F(DecodeLoop, ErrorsOfAPassAreReturned) {
  successor = [](TokenId t) { return t == 7 ? ChainTarget::kPoison : t + 1; };
  EXPECT_EQ(Run(20), std::nullopt);
  EXPECT_EQ(error, Code::kNonFinite);
  EXPECT_THAT(answer, ElementsAre(6, 7, ChainTarget::kPoison));
}

// The chain 5, 6, 7, 6, 7 ... with a penalty that keeps 7 from coming twice: what is penalized are
// tokens of the answer, not rejected drafts.
TEST_F(DecodeLoop, RejectedDraftsAreNotPenalized) {
  successor = [](TokenId t) { return t == 7 ? 6 : t + 1; };
  params.frequency_penalty = 2;
  const auto decode = [&](ScriptedDrafts* drafts) {
    sequence = {5};
    answer.clear();
    EXPECT_EQ(Run(12, drafts), DecodeEnd::kLimit);
    return answer;
  };
  const std::vector<TokenId> plain = decode(nullptr);
  ScriptedDrafts wrong({{7, 7, 7}, {9, 9}, {6, 6, 6}, {7}});
  EXPECT_THAT(decode(&wrong), ElementsAreArray(plain));
  EXPECT_NE(std::ranges::count(plain, 6) + std::ranges::count(plain, 7), 12) << "it penalizes";
}

// The wait of a pass is the difference of two readings around it.
TEST_F(DecodeLoop, StallsAreReadBeforeAndAfterAPass) {
  size_t readings = 0;
  std::vector<std::string> at;
  stall_ns = [&] {
    at.push_back(passes());
    return uint64_t{++readings};
  };
  EXPECT_EQ(Run(3), DecodeEnd::kLimit);
  EXPECT_THAT(at, ElementsAre("", "1", "1=1", "1=1 1"));
}

}  // namespace
}  // namespace mach::spec
