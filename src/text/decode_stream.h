// The steps of a decoder over token strings that come one by one.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/decoder.h"
#include "text/work_budget.h"

namespace mach::text {

// It holds back only what later strings may still change: an unfinished character, a run of byte
// tokens, and all text where a step after fusing must see the end. Where the budget is spent, the
// text is as if the steps stopped there. One thread.
class DecodeStream {
 public:
  // REQUIRES that both outlive this object.
  DecodeStream(const Decoder& decoder, WorkBudget& budget);

  void Push(std::string_view token);
  // Gives out what was held back. Nothing may follow.
  void Finish();
  // The text since the last call.
  std::string Take() { return std::exchange(out_, {}); }

 private:
  struct StepState {
    bool fused = false;    // its input is one string that comes in parts
    bool buffers = false;  // and it must see the whole of it
    bool first = true;     // no string has come in yet
    size_t stripped = 0;
    std::string held;
  };
  void Feed(size_t step, std::string token);
  void FeedStrip(size_t step, std::string_view token);
  void Flush(size_t step);
  std::string Whole(const DecoderStep& step, std::string text);

  const Decoder& decoder_;
  WorkBudget& budget_;
  bool any_ = false;
  std::vector<StepState> states_;
  std::string out_;
};

}  // namespace mach::text
