#include "spec/decode_loop.h"

#include <algorithm>
#include <limits>

namespace mach::spec {
namespace {

// In lanes, which a compiler turns into vectors.
float Most(const float* x, size_t n) {
  constexpr size_t kLanes = 32;
  float most[kLanes];
  std::fill_n(most, kLanes, -std::numeric_limits<float>::infinity());
  size_t at = 0;
  for (; at + kLanes <= n; at += kLanes) {
    for (size_t i = 0; i < kLanes; ++i) most[i] = x[at + i] > most[i] ? x[at + i] : most[i];
  }
  for (; at < n; ++at) most[0] = std::max(most[0], x[at]);
  return *std::max_element(most, most + kLanes);
}

// How far the logit of a token lies above all others; negative when it does not.
float Margin(std::span<const float> logits, TokenId token) {
  const auto at = static_cast<size_t>(token);
  const float* after = logits.data() + at + 1;
  return logits[at] - std::max(Most(logits.data(), at), Most(after, logits.size() - at - 1));
}

class Loop {
 public:
  Loop(const DecodeArgs& args, const EmitToken& emit)
      : a_(args), emit_(emit), end_(args.sequence.size() + args.most) {}

  Result<DecodeEnd> Run() {
    if (a_.most == 0) return DecodeEnd::kLimit;
    TokenId token;
    if (!Next(0, token)) return DecodeEnd::kStopped;
    while (a_.sequence.size() < end_) {
      if (a_.cancelled.load(std::memory_order_relaxed)) return DecodeEnd::kCancelled;
      MACH_TRY(const bool goes_on, Cycle());
      if (!goes_on) return DecodeEnd::kStopped;
    }
    return DecodeEnd::kLimit;
  }

 private:
  // Chooses the next token from a row of the last pass. False: emit ended the answer.
  bool Next(size_t row, TokenId& token) {
    const std::span<const float> logits = a_.verifier.logits(row);
    token = a_.sampler.Choose(logits, a_.sequence.size());
    if (a_.speculator != nullptr) a_.speculator->ObserveChoice(Margin(logits, token));
    if (!emit_(token, logits)) return false;
    a_.sampler.Accept(token);
    a_.sequence.push_back(token);
    return true;
  }

  Result<bool> Cycle() {
    // n rows yield at most n tokens.
    const size_t most = std::min(end_ - a_.sequence.size(), a_.verifier.max_block());
    const std::span<const TokenId> block = a_.speculator != nullptr
                                               ? a_.speculator->NextBlock(a_.sequence, most)
                                               : std::span(a_.sequence).last(1);
    const std::span<const uint32_t> taps =
        a_.speculator != nullptr ? a_.speculator->taps() : std::span<const uint32_t>();
    const int64_t start = a_.clock.NowNs();
    const uint64_t stalled = a_.stall_ns ? a_.stall_ns() : 0;
    MACH_RETURN_IF_ERROR(a_.verifier.Verify(block, taps, &a_.cancelled, a_.state));
    const int64_t verify_ns = a_.clock.NowNs() - start;
    const auto stall_ns = static_cast<int64_t>(a_.stall_ns ? a_.stall_ns() - stalled : 0);

    // Where there is no speculator the block is part of the sequence, which grows: only its size
    // may be looked at from here on.
    const size_t rows = block.size();
    size_t kept = 0;
    bool goes_on = true;
    bool agrees = true;
    while (agrees && kept < rows) {
      TokenId token;
      goes_on = Next(kept, token);
      ++kept;
      agrees = goes_on && kept < rows && token == block[kept];
    }
    a_.verifier.Commit(kept, a_.state);
    if (a_.speculator != nullptr) {
      // A stop token where a draft was expected is no sign against the drafter.
      const bool cut = !goes_on;
      a_.speculator->Finish(kept - 1, cut, {verify_ns, stall_ns}, a_.verifier.features());
    }
    return goes_on;
  }

  const DecodeArgs& a_;
  const EmitToken& emit_;
  const size_t end_;
};

}  // namespace

Result<DecodeEnd> Decode(const DecodeArgs& args, const EmitToken& emit) {
  return Loop(args, emit).Run();
}

}  // namespace mach::spec
