// How certain the target is of its text: tells before a draft how much of it will be accepted.
#pragma once

#include <algorithm>
#include <array>
#include <span>

#include "base/ids.h"

namespace mach::spec {

// How far the logit of `token` lies above all others; negative where another one is higher.
float LogitMargin(std::span<const float> logits, TokenId token);

// Follows the margins of an answer's tokens. With least_t = min(m_t, m_(t-1), m_(t-2)) over the
// margins m of the last three tokens, each at most kMaxMargin, the value is
//
//   0.2 * least_t + 0.8 * mean,   mean = sum_i 0.95^(t-i) least_i / sum_i 0.95^(t-i)
//
// The least margin counts because a draft fails at its first uncertain token; its mean over the
// answer, because kinds of text (a tool call, a definition) differ more than tokens do. The weights
// are measured: docs/decisions/003. Owned by one thread.
class Certainty {
 public:
  // An answer begins.
  void Begin() {
    margins_.fill(kMaxMargin);
    sum_ = weight_ = 0;
  }
  // The target chose the next token, with this LogitMargin.
  void Observe(float margin) {
    margins_ = {std::min(margin, kMaxMargin), margins_[0], margins_[1]};
    sum_ = sum_ * kDecay + Least();
    weight_ = weight_ * kDecay + 1;
  }
  // In logits, at most kMaxMargin; kMaxMargin before any token.
  float Value() const {
    return weight_ == 0 ? kMaxMargin : kNewest * Least() + (1 - kNewest) * sum_ / weight_;
  }

 private:
  static constexpr float kMaxMargin = 20;  // larger margins say nothing more
  static constexpr float kDecay = 0.95f;   // of the mean, a token
  static constexpr float kNewest = 0.2f;   // share of the newest least margin in the value
  float Least() const { return *std::min_element(margins_.begin(), margins_.end()); }

  std::array<float, 3> margins_ = {kMaxMargin, kMaxMargin, kMaxMargin};  // newest first
  float sum_ = 0;     // decayed, of least margins
  float weight_ = 0;  // decayed number of them
};

}  // namespace mach::spec
