// The drafter of mach-tiny in float32, against the reference implementation's proposals.
#include <cmath>
#include <limits>

#include "golden_files.h"
#include "spec/drafter.h"
#include "test_model.h"

namespace mach::test {
namespace {

class DraftGolden : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    target_ = TestModel::Load(
        {.checkpoint = SourcePath("models/mach-tiny"), .compute = ops::Compute::kF32});
  }
  static void TearDownTestSuite() { target_.reset(); }

  static std::unique_ptr<spec::DraftModel> LoadDraft(int bits) {
    auto draft =
        spec::DraftModel::Load(io::PosixFileSystem(), {SourcePath("models/mach-tiny-dflash"), bits},
                               target_->config(), target_->loaded().ledger());
    EXPECT_TRUE(draft.ok()) << draft.error().message;
    return *std::move(draft);
  }
  static std::unique_ptr<spec::Drafter> NewDrafter(const spec::DraftModel& draft,
                                                   ops::Compute compute) {
    residency::LoadedModel& loaded = target_->loaded();
    auto drafter = spec::Drafter::Create(draft, loaded.model(), loaded.kernels(), loaded.pool(),
                                         compute, loaded.context_tokens(), loaded.ledger());
    EXPECT_TRUE(drafter.ok()) << drafter.error().message;
    return *std::move(drafter);
  }
  // Tapped rows of a prompt, [tokens, taps * hidden].
  static std::vector<float> Features(std::span<const TokenId> ids, const spec::DraftConfig& c) {
    const auto state = target_->NewState();
    const size_t width = c.taps.size() * c.hidden;
    std::vector<float> taps(ids.size() * width);
    std::vector<float> hidden(256 * c.hidden);
    for (size_t at = 0; at < ids.size(); at += 256) {
      const auto part = ids.subspan(at, std::min<size_t>(256, ids.size() - at));
      EXPECT_TRUE(
          target_->loaded()
              .model()
              .Forward(target_->loaded().workspace(),
                       {.tokens = part, .taps = c.taps, .tap_rows = taps.data() + at * width},
                       *state, hidden.data())
              .ok());
    }
    return taps;
  }

  // ln softmax(logits)[token], in double.
  static double LogProbability(std::span<const float> logits, TokenId token) {
    double most = -std::numeric_limits<double>::infinity();
    for (const float x : logits) most = std::max(most, static_cast<double>(x));
    double sum = 0;
    for (const float x : logits) sum += std::exp(static_cast<double>(x) - most);
    return static_cast<double>(logits[static_cast<size_t>(token)]) - most - std::log(sum);
  }

  static std::unique_ptr<TestModel> target_;
};
std::unique_ptr<TestModel> DraftGolden::target_;

struct Agreement {
  size_t proposals = 0;
  size_t equal = 0;
  float features = 0;      // largest difference
  double probability = 0;  // largest difference of logarithms
};

TEST_F(DraftGolden, FeaturesProposalsAndProbabilities) {
  const GoldenFile golden("tests/goldens/mach-tiny/golden-draft.safetensors");
  const json::Value texts = GoldenJson("tests/goldens/mach-tiny/golden-4bit.json");
  const auto exact = LoadDraft(0);
  const auto quantized = LoadDraft(8);
  EXPECT_LT(quantized->bytes(), exact->bytes());
  const auto drafter = NewDrafter(*exact, ops::Compute::kF32);
  const auto fast = NewDrafter(*quantized, ops::Compute::kInt8);
  const size_t width = drafter->features();
  Agreement all;
  size_t fast_equal = 0;
  for (size_t i = 0; i < texts.AsArray().size(); ++i) {
    SCOPED_TRACE("text " + std::to_string(i));
    const std::string prefix = std::to_string(i) + ".";
    const auto ids = TokenIds(*texts.AsArray()[i].Find("input_ids"));
    const auto taps = Features(ids, exact->config());
    all.features = std::max(all.features, MaxDifference(std::span(taps).last(width),
                                                        golden.Floats(prefix + "features_last")));
    const std::vector<int32_t> expected = golden.Ints(prefix + "draft");
    std::vector<TokenId> proposals(15);
    std::vector<float> probability(15);

    drafter->Reset();
    drafter->Append(taps.data(), ids.size());
    drafter->Draft(expected[0], proposals, probability.data());
    const size_t vocab = exact->config().vocab;
    const std::vector<float> logits = golden.Floats(prefix + "draft_logits");  // of two slots
    for (size_t s = 0; s < logits.size() / vocab; ++s) {
      const double reference =
          LogProbability(std::span(logits).subspan(s * vocab, vocab), proposals[s]);
      const double difference = std::log(static_cast<double>(probability[s])) - reference;
      all.probability = std::max(all.probability, std::abs(difference));
    }
    for (size_t s = 0; s < 15; ++s) {
      ++all.proposals;
      all.equal += proposals[s] == expected[s + 1] ? 1 : 0;
    }

    // Rows that come one by one, with drafts in between, make the same context.
    const std::vector<float> at_once = probability;
    drafter->Reset();
    for (size_t at = 0; at < ids.size();) {
      const size_t n = std::min<size_t>(at % 7 + 1, ids.size() - at);
      drafter->Append(taps.data() + at * width, n);
      at += n;
      if (at % 5 == 0) drafter->Draft(7, std::span(proposals).first(4));
    }
    drafter->Draft(expected[0], proposals, probability.data());
    EXPECT_EQ(probability, at_once);
    // In parts, and only the first of them.
    std::vector<float> parts(probability.size());
    std::vector<TokenId> again(15);
    size_t asked_after = 0;
    const auto more = [&](size_t n) {
      asked_after = n;
      return true;
    };
    EXPECT_EQ(drafter->Draft(expected[0], again, parts.data(), more), 15u);
    EXPECT_EQ(parts, at_once);
    EXPECT_EQ(again, proposals);
    EXPECT_GT(asked_after, 0u);
    EXPECT_EQ(drafter->Draft(expected[0], again, nullptr, [](size_t) { return false; }),
              asked_after);

    fast->Reset();
    fast->Append(taps.data(), ids.size());
    fast->Draft(expected[0], proposals, probability.data());
    for (size_t s = 0; s < 15; ++s) {
      fast_equal += proposals[s] == expected[s + 1] ? 1 : 0;
      EXPECT_GT(probability[s], 0);
      EXPECT_LE(probability[s], 1);
    }
  }
  std::printf("features %.2g  log-probabilities %.2g  proposals %zu of %zu; 8 bit: %zu\n",
              static_cast<double>(all.features), all.probability, all.equal, all.proposals,
              fast_equal);
  EXPECT_LE(all.features, 1e-3f);
  EXPECT_LE(all.probability, 1e-4);
  EXPECT_EQ(all.proposals, 210u);
  EXPECT_EQ(all.equal, all.proposals);
  EXPECT_GE(fast_equal, 195u);
}

}  // namespace
}  // namespace mach::test
