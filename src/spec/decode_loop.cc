#include "spec/decode_loop.h"

#include <algorithm>

namespace mach::spec {
namespace {

// Invariants between two cycles: sequence holds the prompt and the answer so far; state holds all
// of it but the last token, which is the anchor of the next block; the sampler has accepted all of
// it.
class DecodeLoop {
 public:
  DecodeLoop(const DecodeArgs& args, const EmitToken& emit)
      : a_(args), emit_(emit), end_(args.sequence.size() + args.max_tokens) {}

  Result<DecodeEnd> Run() {
    if (a_.max_tokens == 0) return DecodeEnd::kLimit;
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
    if (a_.speculator != nullptr) a_.speculator->ObserveChoice(LogitMargin(logits, token));
    if (!emit_(token, logits)) return false;
    a_.sampler.Accept(token);
    a_.sequence.push_back(token);
    return true;
  }

  // The block to verify, at most max_rows. Valid until the next call.
  std::span<const TokenId> NextBlock(size_t max_rows) {
    if (a_.speculator != nullptr) return a_.speculator->NextBlock(a_.sequence, max_rows);
    anchor_ = a_.sequence.back();
    return {&anchor_, 1};
  }

  // One pass, and the tokens that its rows yield. False: emit ended the answer.
  Result<bool> Cycle() {
    // A block of n rows yields at most n tokens.
    const size_t max_rows = std::min(end_ - a_.sequence.size(), a_.verifier.max_block());
    const std::span<const TokenId> block = NextBlock(max_rows);
    const std::span<const uint32_t> taps =
        a_.speculator != nullptr ? a_.speculator->taps() : std::span<const uint32_t>();
    const int64_t start = a_.clock.NowNs();
    const uint64_t stalled = a_.stall_ns ? a_.stall_ns() : 0;
    MACH_RETURN_IF_ERROR(a_.verifier.Verify(block, taps, &a_.cancelled, a_.state));
    const int64_t verify_ns = a_.clock.NowNs() - start;
    const auto stall_ns = static_cast<int64_t>(a_.stall_ns ? a_.stall_ns() - stalled : 0);

    // A row is accepted when the token in it is in the answer: the anchor is, and a draft is when
    // the row before chose it.
    size_t accepted_rows = 0;
    bool goes_on = true;
    bool agrees = true;
    while (agrees && accepted_rows < block.size()) {
      TokenId token;
      goes_on = Next(accepted_rows, token);
      ++accepted_rows;
      agrees = goes_on && accepted_rows < block.size() && token == block[accepted_rows];
    }
    a_.verifier.Commit(accepted_rows, a_.state);
    if (a_.speculator != nullptr) {
      // Where the answer ends, the draft at the position of the stop token is not counted as
      // rejected.
      const bool cut = !goes_on;
      a_.speculator->Finish(accepted_rows - 1, cut, {verify_ns, stall_ns}, a_.verifier.features());
    }
    return goes_on;
  }

  const DecodeArgs& a_;
  const EmitToken& emit_;
  const size_t end_;    // length of the sequence at the limit
  TokenId anchor_ = 0;  // the block, where there is no speculator
};

}  // namespace

Result<DecodeEnd> Decode(const DecodeArgs& args, const EmitToken& emit) {
  return DecodeLoop(args, emit).Run();
}

}  // namespace mach::spec
