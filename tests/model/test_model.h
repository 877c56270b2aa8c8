// A loaded model and what a test wants of it, in few calls.
#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "residency/loaded_model.h"

namespace mach::test {

class TestModel {
 public:
  static std::unique_ptr<TestModel> Load(residency::LoadOptions options) {
    if (options.threads == 0) options.threads = 2;
    auto loaded = residency::LoadedModel::Load(io::PosixFileSystem(), options);
    EXPECT_TRUE(loaded.ok()) << loaded.error().message;
    return std::unique_ptr<TestModel>(new TestModel(*std::move(loaded)));
  }

  residency::LoadedModel& loaded() { return *loaded_; }
  const model::ModelConfig& config() const { return loaded_->config(); }
  std::unique_ptr<cache::SequenceState> NewState() {
    auto state = loaded_->NewState();
    EXPECT_TRUE(state.ok()) << state.error().message;
    return *std::move(state);
  }

  // Final hidden states of tokens that follow the state's, in chunks of at most `chunk`.
  std::vector<float> Hidden(std::span<const TokenId> tokens, cache::SequenceState& state,
                            size_t chunk, model::ForwardObserver* observer = nullptr) {
    const size_t width = config().hidden;
    std::vector<float> hidden(tokens.size() * width);
    for (size_t at = 0; at < tokens.size(); at += chunk) {
      const auto part = tokens.subspan(at, std::min(chunk, tokens.size() - at));
      const Status status =
          loaded_->model().Forward(loaded_->workspace(), {.tokens = part, .observer = observer},
                                   state, hidden.data() + at * width);
      EXPECT_TRUE(status.ok()) << status.error().message;
    }
    return hidden;
  }

  std::vector<float> Logits(std::span<const float> hidden) {
    const size_t width = config().hidden;
    const size_t rows = hidden.size() / width;
    std::vector<float> logits(rows * config().vocab);
    const size_t most = loaded_->workspace().max_rows();
    for (size_t at = 0; at < rows; at += most) {
      const Status status =
          loaded_->model().Logits(loaded_->workspace(), hidden.data() + at * width,
                                  std::min(most, rows - at), logits.data() + at * config().vocab);
      EXPECT_TRUE(status.ok()) << status.error().message;
    }
    return logits;
  }

  std::vector<float> Logits(std::span<const TokenId> tokens, cache::SequenceState& state,
                            size_t chunk) {
    return Logits(Hidden(tokens, state, chunk));
  }

 private:
  explicit TestModel(std::unique_ptr<residency::LoadedModel> loaded) : loaded_(std::move(loaded)) {}
  std::unique_ptr<residency::LoadedModel> loaded_;
};

inline TokenId Argmax(std::span<const float> logits) {
  return static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

// Keeps everything that a forward pass shows.
class Recorder final : public model::ForwardObserver {
 public:
  Recorder(size_t layers, size_t hidden)
      : hidden_states(layers + 1), experts(layers), hidden_(hidden) {}
  void OnHidden(size_t layer, const float* rows, size_t count) override {
    hidden_states[layer].insert(hidden_states[layer].end(), rows, rows + count * hidden_);
  }
  void OnExperts(size_t layer, const ExpertId* ids, size_t count, size_t top_k) override {
    for (size_t i = 0; i < count * top_k; ++i) {
      experts[layer].push_back(static_cast<int32_t>(Index(ids[i])));
    }
  }
  std::vector<std::vector<float>> hidden_states;  // [layers + 1][rows * hidden]
  std::vector<std::vector<int32_t>> experts;      // [layers][rows * top_k]

 private:
  size_t hidden_;
};

inline float MaxDifference(std::span<const float> a, std::span<const float> b) {
  EXPECT_EQ(a.size(), b.size());
  float most = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    most = std::max(most, std::abs(a[i] - b[i]));
  return most;
}

}  // namespace mach::test
