// Decoding token by token, while they are being generated.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "text/tokenizer.h"

namespace mach::text {

// What it has given out never changes and never ends in half a character; all of it and Finish()
// together are what Decode makes of all ids. It holds back only what later tokens may still change:
// an unfinished character, a run of byte tokens, and all text where a decoder has a step after
// fusing that must see the end. One stream, one thread.
class StreamDecoder {
 public:
  // REQUIRES that the tokenizer outlives this object.
  StreamDecoder(const Tokenizer& tokenizer, bool skip_special_tokens);

  std::string Push(TokenId id);
  // What was held back. Nothing may follow.
  std::string Finish();

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
  std::string Take() { return std::exchange(out_, {}); }

  const Tokenizer& tokenizer_;
  const bool skip_special_tokens_;
  bool any_ = false;
  std::vector<StepState> states_;
  std::string out_;
};

}  // namespace mach::text
