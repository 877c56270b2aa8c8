// DESIGN promise 1 of speculation: the tokens, and the logits they were chosen from, are those of
// decoding one by one.
#include "generator.h"

namespace mach::test {
namespace {

constexpr size_t kMost = 40;

class Identity : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    generator_ = std::make_unique<Generator>();
    prompts_ = GoldenPrompts();
  }
  static void TearDownTestSuite() { generator_.reset(); }
  void SetUp() override {
    generator_->keep_logits = false;
    generator_->stops = {kEndOfTurn};
  }

  static sample::Params At(float temperature) {
    return {.temperature = temperature, .top_p = temperature == 0 ? 1.0f : 0.95f, .seed = 1234};
  }

  static std::unique_ptr<Generator> generator_;
  static std::vector<std::vector<TokenId>> prompts_;
  spec::Statistics statistics_;
};
std::unique_ptr<Generator> Identity::generator_;
std::vector<std::vector<TokenId>> Identity::prompts_;

TEST_F(Identity, EveryModeAndTemperature) {
  const auto adaptive = generator_->NewModes("opencode-sampled-v1");
  const auto fixed = generator_->NewModes("fixed-16");
  for (const float temperature : {0.0f, 0.7f, 1.0f}) {
    for (const size_t i : {0u, 4u, 8u, 11u, 13u}) {
      SCOPED_TRACE("prompt " + std::to_string(i) + " at " + std::to_string(temperature));
      const sample::Params params = At(temperature);
      const Answer plain = generator_->Run(prompts_[i], params, kMost, nullptr);
      for (const auto* modes : {&adaptive, &fixed}) {
        for (const char* mode : {"auto", "dflash", "ngram", "classification"}) {
          const auto speculator = (*modes)->For(*spec::ModeFromName(mode));
          ASSERT_TRUE(speculator.ok());
          const Answer answer = generator_->Run(prompts_[i], params, kMost, *speculator);
          ASSERT_EQ(answer.tokens, plain.tokens) << mode;
          EXPECT_EQ(answer.end, plain.end);
        }
      }
    }
  }
  const spec::StatisticsSnapshot s = fixed->statistics().Snapshot();
  EXPECT_GT(s.accepted, 50u);
  EXPECT_GT(s.drafted, s.accepted);
}

TEST_F(Identity, EveryBlockLengthWithPenaltiesAndLogprobs) {
  generator_->keep_logits = true;
  sample::Params params = At(0.8f);
  params.repetition_penalty = 1.2f;
  params.presence_penalty = 0.3f;
  params.frequency_penalty = 0.2f;
  params.logit_bias = {{5, 2.0f}, {300, -4.0f}};
  for (const size_t i : {1u, 9u}) {
    const Answer plain = generator_->Run(prompts_[i], params, kMost, nullptr);
    // Every length on a tool call, some on a definition.
    for (size_t block = 2; block <= spec::kMaxBlock; block += i == 9 ? 1 : 5) {
      SCOPED_TRACE("blocks of " + std::to_string(block));
      const auto modes = generator_->NewModes("fixed-" + std::to_string(block));
      const Answer answer =
          generator_->Run(prompts_[i], params, kMost, *modes->For(spec::Mode::kAuto));
      ASSERT_EQ(answer.tokens, plain.tokens);
      EXPECT_EQ(answer.logits, plain.logits);
    }
  }
}

TEST_F(Identity, AnOracleFillsItsBlocks) {
  const std::vector<TokenId>& prompt = prompts_[8];
  generator_->stops.clear();
  for (const float temperature : {0.0f, 1.0f}) {
    const Answer plain = generator_->Run(prompt, At(temperature), 128, nullptr);
    ASSERT_EQ(plain.tokens.size(), 128u);
    for (const size_t block : {2u, 3u, 8u, 16u}) {
      ScriptedProposer oracle;
      oracle.known = prompt;
      oracle.known.insert(oracle.known.end(), plain.tokens.begin(), plain.tokens.end());
      spec::Statistics statistics;
      spec::Speculator speculator(oracle, {.fixed = block}, generator_->clock(), statistics);
      const Answer answer = generator_->Run(prompt, At(temperature), 128, &speculator);
      EXPECT_EQ(answer.tokens, plain.tokens);
      const spec::StatisticsSnapshot s = statistics.Snapshot();
      EXPECT_EQ(s.accepted, s.drafted);
      // The first token comes with the prompt, the last cycle may be shorter.
      EXPECT_EQ(s.observed_cycles, (127 + block - 1) / block);
    }
  }
}

TEST_F(Identity, RandomDrafts) {
  RandomProposer random;
  spec::Speculator speculator(random, {.fixed = 16}, generator_->clock(), statistics_);
  for (const size_t i : {0u, 10u, 12u}) {
    const Answer plain = generator_->Run(prompts_[i], At(0.7f), kMost, nullptr);
    EXPECT_EQ(generator_->Run(prompts_[i], At(0.7f), kMost, &speculator).tokens, plain.tokens);
  }
  EXPECT_LT(statistics_.Snapshot().accepted, 5u);
}

// Limits and stop tokens at every offset of a block, with drafts that are right and wrong there.
TEST_F(Identity, CutsAtEveryOffset) {
  const std::vector<TokenId>& prompt = prompts_[9];
  generator_->stops.clear();
  const Answer whole = generator_->Run(prompt, At(0), 24, nullptr);
  ASSERT_EQ(whole.tokens.size(), 24u);
  ScriptedProposer proposer;
  proposer.known = prompt;
  proposer.known.insert(proposer.known.end(), whole.tokens.begin(), whole.tokens.end());
  for (const size_t wrong_every : {0u, 5u}) {
    proposer.wrong_every = wrong_every;
    spec::Speculator speculator(proposer, {.fixed = 16}, generator_->clock(), statistics_);
    for (size_t most = 0; most <= 24; ++most) {
      SCOPED_TRACE("at most " + std::to_string(most));
      generator_->stops.clear();
      const Answer cut = generator_->Run(prompt, At(0), most, &speculator);
      EXPECT_EQ(cut.tokens,
                std::vector<TokenId>(whole.tokens.begin(),
                                     whole.tokens.begin() + static_cast<std::ptrdiff_t>(most)));
      EXPECT_EQ(cut.end, spec::DecodeEnd::kLimit);
      EXPECT_EQ(cut.length, prompt.size() + most - (most == 0 ? 0 : 1));
      if (most == 24) continue;

      const TokenId stop = whole.tokens[most];
      generator_->stops = {stop};
      const auto first = std::ranges::find(whole.tokens, stop);
      const Answer stopped = generator_->Run(prompt, At(0), 24, &speculator);
      EXPECT_EQ(stopped.tokens, std::vector<TokenId>(whole.tokens.begin(), first));
      EXPECT_EQ(stopped.end, spec::DecodeEnd::kStopped);
      EXPECT_EQ(stopped.length, prompt.size() + stopped.tokens.size());
    }
  }
}

// Bits of everything that a state remembers of its tokens.
uint64_t HashOf(cache::SequenceState& state) {
  uint64_t hash = 0xcbf29ce484222325u;
  const auto add = [&](const void* data, size_t bytes) {
    const auto* p = static_cast<const unsigned char*>(data);
    for (size_t i = 0; i < bytes; ++i) hash = (hash ^ p[i]) * 0x100000001b3u;
  };
  const cache::StateShape& shape = state.shape();
  for (size_t i = 0; i < shape.recurrent.size(); ++i) {
    const auto& r = state.recurrent(i);
    EXPECT_EQ(r.pending, 0u);
    add(r.state, r.shape.state_floats() * sizeof(float));
    add(r.history, r.shape.history_floats() * sizeof(float));
  }
  const size_t element = shape.kv_f16 ? 2 : 4;
  for (size_t i = 0; i < shape.kv.size(); ++i) {
    const size_t d = shape.kv[i].head_dim;
    for (size_t h = 0; h < shape.kv[i].heads; ++h) {
      for (size_t p = 0; p < state.length(); ++p) {
        const size_t block = p / cache::kBlockTokens;
        const size_t at = p % cache::kBlockTokens;
        for (size_t k = 0; k < d; ++k) {
          add(state.Keys(i, h, block) + (k * cache::kBlockTokens + at) * element, element);
        }
        add(state.Values(i, h, block) + at * d * element, d * element);
      }
    }
  }
  return hash;
}

TEST_F(Identity, CommittedStateEqualsSingleSteps) {
  const std::vector<TokenId>& ids = prompts_[12];
  constexpr size_t kPrompt = 70;
  TestModel& model = generator_->model();
  auto verifier = spec::Verifier::Create(model.loaded().model(), model.loaded().workspace(), 0,
                                         model.loaded().ledger());
  ASSERT_TRUE(verifier.ok());
  for (size_t kept = 1; kept <= spec::kMaxBlock; ++kept) {
    SCOPED_TRACE("kept " + std::to_string(kept));
    const auto plain = model.NewState();
    const auto marked = model.NewState();
    model.Hidden(std::span(ids).first(kPrompt), *plain, 64);
    model.Hidden(std::span(ids).first(kPrompt), *marked, 64);
    model.Hidden(std::span(ids).subspan(kPrompt, kept), *plain, 1);

    std::vector<TokenId> block(ids.begin() + kPrompt, ids.begin() + kPrompt + spec::kMaxBlock);
    for (size_t i = kept; i < block.size(); ++i) block[i] = (block[i] + 11) % 8192;
    ASSERT_TRUE((*verifier)->Verify(block, {}, nullptr, *marked).ok());
    (*verifier)->Commit(kept, *marked);
    EXPECT_EQ(marked->length(), plain->length());
    // One more token, so that the kept steps are replayed.
    model.Hidden(std::span(ids).subspan(kPrompt + kept, 1), *plain, 1);
    model.Hidden(std::span(ids).subspan(kPrompt + kept, 1), *marked, 1);
    EXPECT_EQ(HashOf(*marked), HashOf(*plain));
  }
}

}  // namespace
}  // namespace mach::test
