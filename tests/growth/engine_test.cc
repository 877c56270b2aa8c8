// What a token and a prompt cost beside the model: sampling, points, cached prefixes.
#include <deque>
#include <memory>

#include <gtest/gtest.h>

#include "cache/prefix_index.h"
#include "dialog/prefix_points.h"
#include "growth.h"
#include "sample/sampler.h"

namespace mach::growth {
namespace {

constexpr size_t kVocab = 512;

// n tokens are drawn after a prompt of n.
Work Sampling(const sample::Params& params, size_t n) {
  return [params, n] {
    sample::Sampler sampler(params, kVocab);
    std::vector<TokenId> prompt;
    for (size_t i = 0; i < n; ++i) prompt.push_back(static_cast<TokenId>(i % kVocab));
    sampler.AcceptPrompt(prompt);
    std::vector<float> logits(kVocab);
    for (size_t i = 0; i < kVocab; ++i) logits[i] = static_cast<float>(i % 17);
    for (size_t i = 0; i < n; ++i) sampler.Accept(sampler.Choose(logits, n + i));
    return true;
  };
}

TEST(EngineGrowth, Sampling) {
  ExpectLinear("penalties", kManyParts, [](size_t n) {
    sample::Params params;
    params.temperature = 1;
    params.repetition_penalty = 1.1f;
    params.presence_penalty = 0.5f;
    params.frequency_penalty = 0.5f;
    return Sampling(params, n);
  });
  ExpectLinear("bias", kManyParts, [](size_t n) {
    sample::Params params;
    params.temperature = 0;
    for (TokenId token = 0; token < 100; ++token) params.logit_bias.emplace_back(token, 1.0f);
    return Sampling(params, n);
  });
}

TEST(EngineGrowth, Anchors) {
  ExpectLinear("ends of turns", kManyParts, [](size_t n) -> Work {
    std::vector<TokenId> prompt;
    for (size_t i = 0; i < n; ++i) prompt.push_back(static_cast<TokenId>(i % 5));
    return [prompt] {
      const std::vector<TokenId> ends = {3, 4};
      return !dialog::PrefixPointsOf(prompt, ends, true).empty();
    };
  });
}

TEST(EngineGrowth, Prefixes) {
  const auto row = [](std::string_view name, bool anywhere, size_t images) {
    ExpectLinear(name, kManyParts, [=](size_t n) -> Work {
      return [=] {
        cache::PrefixIndex index(16, anywhere);
        std::deque<cache::PrefixImage> all(images);
        std::vector<TokenId> prompt;
        for (size_t i = 0; i < n * 16; ++i) prompt.push_back(static_cast<TokenId>(i % 977));
        for (size_t i = 0; i < images; ++i) {
          all[i].tokens.assign(prompt.begin(),
                               prompt.begin() + static_cast<std::ptrdiff_t>(n * 16 * i / images));
          index.Add(all[i]);
        }
        const bool found = index.Find(prompt, prompt.size()).nearest != nullptr;
        const bool exact = index.FindExact(all.back().tokens) != nullptr;
        for (const cache::PrefixImage& image : all) index.Remove(image);
        return found && exact && index.size() == 0;
      };
    });
  };
  row("blocks of a few images", false, 8);
  row("blocks of a few images, anywhere", true, 8);
}

}  // namespace
}  // namespace mach::growth
