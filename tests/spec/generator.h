// Runs prompts through mach-tiny with or without speculation.
#pragma once

#include "golden_files.h"
#include "spec/decode_loop.h"
#include "spec/speculation_modes.h"
#include "test_model.h"

namespace mach::test {

inline constexpr TokenId kEndOfTurn = 2;

struct Answer {
  std::vector<TokenId> tokens;
  std::vector<float> logits;  // of every token, when kept
  spec::DecodeEnd end = spec::DecodeEnd::kLimit;
  size_t length = 0;  // of the state
};

// Proposes what it is told: the rest of a known answer, changed from some offset on.
class ScriptedProposer final : public spec::Proposer {
 public:
  size_t max_drafts() const override { return spec::kMaxBlock - 1; }
  void Reset() override {}
  void Observe(const float*, size_t) override {}
  size_t Propose(std::span<const TokenId> sequence, std::span<spec::Draft> out,
                 const spec::MoreDrafts&) override {
    size_t n = 0;
    for (size_t at = sequence.size(); n < out.size() && at < known.size(); ++at, ++n) {
      const bool wrong = wrong_every != 0 && at % wrong_every == 0;
      out[n] = {wrong ? (known[at] + 1) % 8192 : known[at], 0.9f};
    }
    return n;
  }
  std::vector<TokenId> known;  // prompt and answer
  size_t wrong_every = 0;      // 0: never
};

// Proposes tokens at random, from the positions alone.
class RandomProposer final : public spec::Proposer {
 public:
  size_t max_drafts() const override { return spec::kMaxBlock - 1; }
  void Reset() override {}
  void Observe(const float*, size_t) override {}
  size_t Propose(std::span<const TokenId> sequence, std::span<spec::Draft> out,
                 const spec::MoreDrafts&) override {
    for (size_t i = 0; i < out.size(); ++i) {
      out[i] = {static_cast<TokenId>((sequence.size() * 2654435761u + i * 40503u) % 8192), 0.5f};
    }
    return out.size();
  }
};

class Generator {
 public:
  explicit Generator(size_t threads = 1, int draft_bits = 8) {
    model_ = TestModel::Load(
        {.checkpoint = SourcePath("models/mach-tiny"), .context_tokens = 2048, .threads = threads});
    residency::LoadedModel& m = model_->loaded();
    auto draft = spec::DraftModel::Load(io::PosixFileSystem(),
                                        {SourcePath("models/mach-tiny-dflash"), draft_bits},
                                        m.config(), m.ledger());
    EXPECT_TRUE(draft.ok()) << draft.error().message;
    draft_ = *std::move(draft);
    state_ = model_->NewState();
    auto verifier = spec::Verifier::Create(m.model(), m.workspace(), 8, m.ledger());
    EXPECT_TRUE(verifier.ok()) << verifier.error().message;
    verifier_ = *std::move(verifier);
  }

  TestModel& model() { return *model_; }
  cache::SequenceState& state() { return *state_; }
  const Clock& clock() const { return clock_; }

  std::unique_ptr<spec::Drafter> NewDrafter() {
    residency::LoadedModel& m = model_->loaded();
    auto drafter = spec::Drafter::Create(*draft_, m.model(), m.kernels(), m.pool(), m.compute(),
                                         m.context_tokens(), m.ledger());
    EXPECT_TRUE(drafter.ok()) << drafter.error().message;
    return *std::move(drafter);
  }
  std::unique_ptr<spec::SpeculationModes> NewModes(const std::string& policy) {
    auto options = spec::ParsePolicy(policy);
    EXPECT_TRUE(options.ok()) << options.error().message;
    return std::make_unique<spec::SpeculationModes>(NewDrafter(), *options, clock_);
  }

  bool keep_logits = false;
  std::vector<TokenId> stops = {kEndOfTurn};

  Answer Run(std::span<const TokenId> prompt, const sample::Params& params, size_t most,
             spec::Speculator* speculator) {
    std::span<const uint32_t> taps;
    if (speculator != nullptr) {
      speculator->BeginRequest(stops, nullptr);
      taps = speculator->taps();
    }
    state_->Reset();
    for (size_t at = 0; at < prompt.size();) {
      const size_t n = std::min(verifier_->max_rows(), prompt.size() - at);
      const Status status = verifier_->Prefill(prompt.subspan(at, n), taps, nullptr,
                                               at + n == prompt.size(), *state_);
      EXPECT_TRUE(status.ok()) << status.error().message;
      if (speculator != nullptr) speculator->ObservePrompt(verifier_->features(), n);
      at += n;
    }
    sample::Sampler sampler(params, model_->config().vocab);
    sampler.AcceptPrompt(prompt);
    std::vector<TokenId> sequence(prompt.begin(), prompt.end());
    const std::atomic<bool> cancelled{false};
    Answer answer;
    const auto end =
        spec::Decode({.verifier = *verifier_,
                      .state = *state_,
                      .sampler = sampler,
                      .sequence = sequence,
                      .speculator = speculator,
                      .max_tokens = most,
                      .cancelled = cancelled,
                      .clock = clock_},
                     [&](TokenId token, std::span<const float> logits) {
                       if (std::ranges::find(stops, token) != stops.end()) return false;
                       answer.tokens.push_back(token);
                       if (keep_logits) {
                         answer.logits.insert(answer.logits.end(), logits.begin(), logits.end());
                       }
                       return true;
                     });
    EXPECT_TRUE(end.ok()) << end.error().message;
    answer.end = *end;
    answer.length = state_->length();
    return answer;
  }

 private:
  SystemClock clock_;
  std::unique_ptr<TestModel> model_;
  std::unique_ptr<spec::DraftModel> draft_;
  std::unique_ptr<cache::SequenceState> state_;
  std::unique_ptr<spec::Verifier> verifier_;
};

// Prompts of the golden texts: questions, tools, JSON, plain text.
inline std::vector<std::vector<TokenId>> GoldenPrompts() {
  std::vector<std::vector<TokenId>> prompts;
  const json::Value texts = GoldenJson("tests/goldens/mach-tiny/golden-4bit.json");
  for (const json::Value& text : texts.AsArray()) {
    prompts.push_back(TokenIds(*text.Find("input_ids")));
    if (prompts.back().size() > 600) prompts.back().resize(600);
  }
  return prompts;
}

}  // namespace mach::test
