// The golden texts of mach-tiny as requests, and what a model answers to them.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "golden_files.h"
#include "sample/sampler.h"
#include "test_model.h"

namespace mach::test {

inline constexpr size_t kStreamingContext = 1024;
inline constexpr size_t kMostChunk = 512;

inline residency::LoadOptions MachTiny(size_t threads, ops::Compute compute = ops::Compute::kInt8) {
  return {.checkpoint = SourcePath("models/mach-tiny"),
          .context_tokens = kStreamingContext,
          .threads = threads,
          .max_rows = kMostChunk,
          .compute = compute};
}

// Outputs of a run, for Corpus: to the end of the turn, or so many where a sampled text has none.
inline constexpr size_t kWhole = 64;

struct Question {
  std::vector<TokenId> prompt;
  size_t most;
  sample::Params params;
  bool stop = true;  // at the end of the turn
  std::vector<TokenId> golden = {};
};

// Twelve texts: each greedy, to the length of its golden, and sampled. most: of outputs.
inline std::vector<Question> Corpus(size_t most) {
  std::vector<Question> runs;
  const json::Value texts = GoldenJson("tests/goldens/mach-tiny/golden-4bit.json");
  for (const json::Value& text : texts.AsArray()) {
    std::vector<TokenId> golden = TokenIds(*text.Find("greedy"));
    if (golden.empty()) continue;
    golden.resize(std::min(most, golden.size()));
    const std::vector<TokenId> prompt = TokenIds(*text.Find("input_ids"));
    const size_t length = golden.size();
    runs.push_back({.prompt = prompt, .most = length, .params = {.temperature = 0}});
    runs.back().golden = std::move(golden);
    runs.push_back(
        {.prompt = prompt, .most = most, .params = {.temperature = 1, .seed = 100 + runs.size()}});
  }
  EXPECT_EQ(runs.size(), 24u);
  return runs;
}

// The shortest prompt, and 32 tokens.
inline Question ShortQuestion() {
  std::vector<Question> corpus = Corpus(32);
  std::ranges::sort(corpus, {}, [](const Question& q) { return q.prompt.size(); });
  return {.prompt = corpus.front().prompt,
          .most = 32,
          .params = {.temperature = 1, .seed = 5},
          .stop = false};
}

inline Result<std::vector<TokenId>> Generate(TestModel& model, const Question& run, size_t chunk) {
  constexpr TokenId kEndOfTurn = 2;
  const size_t width = model.config().hidden;
  MACH_TRY(const auto state, model.loaded().NewState());
  sample::Sampler sampler(run.params, model.config().vocab);
  sampler.AcceptPrompt(run.prompt);
  std::vector<float> hidden(kMostChunk * width);
  std::span<const TokenId> next = run.prompt;
  std::vector<TokenId> out;
  while (out.size() < run.most) {
    size_t rows = 0;
    for (; !next.empty(); next = next.subspan(rows)) {
      rows = std::min(chunk, next.size());
      MACH_RETURN_IF_ERROR(model.loaded().model().Forward(
          model.loaded().workspace(), {.tokens = next.first(rows)}, *state, hidden.data()));
    }
    const auto last = std::span<const float>(hidden).subspan((rows - 1) * width, width);
    out.push_back(sampler.Choose(model.Logits(last), run.prompt.size() + out.size()));
    if (run.stop && out.back() == kEndOfTurn) break;
    sampler.Accept(out.back());
    next = {&out.back(), 1};
  }
  return out;
}

inline std::vector<std::vector<TokenId>> GenerateAll(TestModel& model,
                                                     const std::vector<Question>& corpus,
                                                     size_t chunk) {
  std::vector<std::vector<TokenId>> all;
  for (const Question& run : corpus) {
    auto tokens = Generate(model, run, chunk);
    EXPECT_TRUE(tokens.ok()) << tokens.error().message;
    all.push_back(tokens.ok() ? *tokens : std::vector<TokenId>{});
  }
  return all;
}

}  // namespace mach::test
