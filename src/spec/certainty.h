// How certain the target is of its text, in logits: what tells before a draft how much of it will
// be accepted.
#pragma once

#include <algorithm>
#include <array>

namespace mach::spec {

// Of each token the margin counts: how far its logit lies above all others, less than 0 where
// another's is higher. A draft of 16 tokens fails at the first uncertain one, so the least margin
// of the last tokens says much; but texts differ in kind (a call of a tool, a definition), so its
// mean over the answer, the recent more, says more than its last value.
class Certainty {
 public:
  void Begin() {
    margins_.fill(kMost);
    sum_ = weight_ = 0;
  }
  // The target chose the next token.
  void Observe(float margin) {
    margins_ = {std::min(margin, kMost), margins_[0], margins_[1]};
    sum_ = sum_ * kKept + Least();
    weight_ = weight_ * kKept + 1;
  }
  // At most kMost; before any token kMost.
  float Value() const {
    return weight_ == 0 ? kMost : kOfNow * Least() + (1 - kOfNow) * sum_ / weight_;
  }

 private:
  static constexpr float kMost = 20;  // beyond, nothing more follows from it
  static constexpr float kKept = 0.95f;
  static constexpr float kOfNow = 0.2f;
  float Least() const { return *std::min_element(margins_.begin(), margins_.end()); }

  std::array<float, 3> margins_ = {kMost, kMost, kMost};  // of the last tokens, the newest first
  float sum_ = 0;
  float weight_ = 0;
};

}  // namespace mach::spec
