#include "cache/prefix_index.h"

#include <algorithm>
#include <memory>

#include <gtest/gtest.h>

#include "base/random.h"

namespace mach::cache {
namespace {

std::unique_ptr<PrefixImage> Image(std::vector<TokenId> tokens) {
  auto image = std::make_unique<PrefixImage>();
  image->tokens = std::move(tokens);
  return image;
}

size_t Draw(uint64_t seed, uint64_t at, size_t n) {
  return static_cast<size_t>(UniformAt(seed, at) * static_cast<double>(n));
}

// Against looking at every image, on prompts that share beginnings of all lengths.
TEST(PrefixIndex, FindsWhatALinearSearchFinds) {
  for (const size_t block : {1u, 3u, 16u, 64u}) {
    for (const bool anywhere : {false, true}) {
      SCOPED_TRACE(std::to_string(block) + (anywhere ? " anywhere" : ""));
      PrefixIndex index(block, anywhere);
      std::vector<std::unique_ptr<PrefixImage>> images;
      uint64_t draw = 0;
      const auto next_prompt = [&] {
        std::vector<TokenId> prompt;
        if (!images.empty() && Draw(1, draw++, 4) != 0) {
          const auto& from = images[Draw(1, draw++, images.size())]->tokens;
          prompt.assign(from.begin(), from.begin() + static_cast<std::ptrdiff_t>(
                                                         Draw(1, draw++, from.size() + 1)));
        }
        const size_t more = Draw(1, draw++, 150);
        for (size_t i = 0; i < more; ++i) {
          prompt.push_back(static_cast<TokenId>(Draw(1, draw++, 2)));
        }
        if (prompt.empty()) prompt.push_back(1);
        return prompt;
      };
      for (int step = 0; step < 300; ++step) {
        const std::vector<TokenId> prompt = next_prompt();
        const PrefixIndex::Match match = index.Find(prompt, prompt.size() - 1);
        size_t best = 0;
        size_t common = 0;
        for (const auto& image : images) {
          const size_t c = CommonTokens(image->tokens, prompt);
          common = std::max(common, c);
          const size_t n = anywhere ? std::min(c, prompt.size() - 1) : image->tokens.size();
          if (anywhere || (c == n && n < prompt.size())) best = std::max(best, n);
        }
        ASSERT_EQ(match.tokens, best);
        ASSERT_EQ(match.common, common);
        ASSERT_EQ(match.image != nullptr, best != 0);
        if (match.image != nullptr) {
          ASSERT_GE(CommonTokens(match.image->tokens, prompt), best);
        }
        if (index.FindExact(prompt) == nullptr) {
          images.push_back(Image(prompt));
          index.Add(*images.back());
        }
        ASSERT_NE(index.FindExact(prompt), nullptr);
        if (step % 3 == 2) {
          const size_t gone = Draw(1, draw++, images.size());
          index.Remove(*images[gone]);
          images.erase(images.begin() + static_cast<std::ptrdiff_t>(gone));
        }
        ASSERT_EQ(index.size(), images.size());
      }
    }
  }
}

TEST(PrefixIndex, IsEmptyAtFirst) {
  const PrefixIndex index(16, false);
  const std::vector<TokenId> prompt(40, 7);
  const PrefixIndex::Match match = index.Find(prompt, 39);
  EXPECT_EQ(match.image, nullptr);
  EXPECT_EQ(match.nearest, nullptr);
  EXPECT_EQ(index.FindExact(prompt), nullptr);
}

}  // namespace
}  // namespace mach::cache
