#include "sample/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "base/random.h"

namespace mach::sample {
namespace {

bool Adjusts(const Params& p) {
  return !p.logit_bias.empty() || p.repetition_penalty != 1.0f || p.presence_penalty != 0.0f ||
         p.frequency_penalty != 0.0f;
}

// More probable first; equals by id, so that the order is total.
constexpr auto kBefore = [](const auto& a, const auto& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
};

}  // namespace

Sampler::Sampler(Params params, size_t vocab)
    : params_(std::move(params)), adjusts_(Adjusts(params_)), logits_(vocab) {}

void Sampler::AcceptPrompt(std::span<const TokenId> prompt) {
  if (!adjusts_) return;
  for (const TokenId t : prompt) ++seen_[t].prompt;
}

void Sampler::Accept(TokenId token) {
  if (adjusts_) ++seen_[token].output;
}

void Sampler::Adjust(std::span<const float> logits) {
  std::copy(logits.begin(), logits.end(), logits_.begin());
  for (const auto& [token, bias] : params_.logit_bias) logits_[static_cast<size_t>(token)] += bias;
  for (const auto& [token, seen] : seen_) {
    float& logit = logits_[static_cast<size_t>(token)];
    logit = logit > 0 ? logit / params_.repetition_penalty : logit * params_.repetition_penalty;
    if (seen.output != 0) {
      logit -=
          params_.presence_penalty + params_.frequency_penalty * static_cast<float>(seen.output);
    }
  }
}

TokenId Sampler::Choose(std::span<const float> logits, uint64_t position) {
  MACH_CHECK(logits.size() == logits_.size());
  if (params_.temperature == 0 && !adjusts_) return Argmax(logits);
  Adjust(logits);
  return params_.temperature == 0 ? Argmax(logits_) : Draw(position);
}

TokenId Sampler::Draw(uint64_t position) {
  candidates_.clear();
  for (size_t i = 0; i < logits_.size(); ++i) {
    if (!std::isnan(logits_[i])) candidates_.push_back({logits_[i], static_cast<TokenId>(i), 0});
  }
  if (candidates_.empty()) return 0;
  const auto k = static_cast<size_t>(params_.top_k);
  if (k != 0 && k < candidates_.size()) {
    std::nth_element(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(k) - 1,
                     candidates_.end(), kBefore);
    candidates_.resize(k);
  }
  const float most = std::min_element(candidates_.begin(), candidates_.end(), kBefore)->logit;
  const double inverse = 1.0 / static_cast<double>(params_.temperature);
  double total = 0;
  for (Candidate& c : candidates_) {
    // A logit of +infinity takes all, as it would in the limit.
    c.weight = c.logit == most
                   ? 1.0
                   : std::exp((static_cast<double>(c.logit) - static_cast<double>(most)) * inverse);
    total += c.weight;
  }
  if (params_.top_p < 1) {
    // The heap gives the most probable ones in order without sorting the rest.
    const auto after = [](const Candidate& a, const Candidate& b) { return kBefore(b, a); };
    std::make_heap(candidates_.begin(), candidates_.end(), after);
    double kept = 0;
    auto end = candidates_.end();
    while (end != candidates_.begin() && kept < static_cast<double>(params_.top_p) * total) {
      std::pop_heap(candidates_.begin(), end, after);
      --end;
      kept += end->weight;
    }
    candidates_.erase(candidates_.begin(), end);
  }
  if (params_.min_p > 0) {
    std::erase_if(candidates_, [&](const Candidate& c) {
      return c.weight < static_cast<double>(params_.min_p);
    });
  }

  // The draw goes through them by id, as they were before top-k or top-p.
  constexpr auto kById = [](const Candidate& a, const Candidate& b) { return a.token < b.token; };
  if (!std::is_sorted(candidates_.begin(), candidates_.end(), kById)) {
    std::sort(candidates_.begin(), candidates_.end(), kById);
  }
  total = 0;
  for (const Candidate& c : candidates_) total += c.weight;
  const double target = UniformAt(params_.seed, position) * total;
  double sum = 0;
  for (const Candidate& c : candidates_) {
    sum += c.weight;
    if (sum > target) return c.token;
  }
  return candidates_.back().token;  // rounding
}

TokenId Argmax(std::span<const float> logits) {
  // Independent maxima, which the compiler keeps in vectors; a NaN is greater than none.
  constexpr size_t kLanes = 16;
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  float lanes[kLanes];
  std::fill_n(lanes, kLanes, kLowest);
  size_t i = 0;
  for (; i + kLanes <= logits.size(); i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const float l = logits[i + lane];
      lanes[lane] = l > lanes[lane] ? l : lanes[lane];
    }
  }
  float most = kLowest;
  for (; i < logits.size(); ++i) most = logits[i] > most ? logits[i] : most;
  for (const float l : lanes) most = l > most ? l : most;
  if (most == kLowest) return 0;
  return static_cast<TokenId>(std::find(logits.begin(), logits.end(), most) - logits.begin());
}

LogProbs ComputeLogProbs(std::span<const float> logits, TokenId token, size_t top) {
  const double most = static_cast<double>(logits[static_cast<size_t>(Argmax(logits))]);
  double sum = 0;
  for (const float l : logits) {
    if (!std::isnan(l)) sum += std::exp(static_cast<double>(l) - most);
  }
  const double norm = most + std::log(sum);
  const auto at = [&](TokenId t) {
    return static_cast<float>(static_cast<double>(logits[static_cast<size_t>(t)]) - norm);
  };
  LogProbs out;
  out.chosen = at(token);
  std::vector<TokenId> ids(logits.size());
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<TokenId>(i);
  top = std::min(top, ids.size());
  std::partial_sort(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(top), ids.end(),
                    [&](TokenId a, TokenId b) {
                      const float x = logits[static_cast<size_t>(a)];
                      const float y = logits[static_cast<size_t>(b)];
                      return x != y ? x > y : a < b;
                    });
  for (size_t i = 0; i < top; ++i) out.top.push_back({ids[i], at(ids[i])});
  return out;
}

}  // namespace mach::sample
