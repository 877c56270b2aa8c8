// Decoding token by token, while they are being generated.
#pragma once

#include <string>

#include "base/ids.h"
#include "text/decode_stream.h"
#include "text/tokenizer.h"
#include "text/work_budget.h"

namespace mach::text {

// What it has given out never changes and never ends in half a character; all of it and Finish()
// together are what Decode makes of all ids. It holds back only what later tokens may still change.
// A token costs in proportion to its own string, whatever came before; all of them together have
// one budget. One stream, one thread.
class StreamDecoder {
 public:
  // REQUIRES that the tokenizer outlives this object.
  StreamDecoder(const Tokenizer& tokenizer, bool skip_special_tokens);
  StreamDecoder(const StreamDecoder&) = delete;
  StreamDecoder& operator=(const StreamDecoder&) = delete;

  std::string Push(TokenId id);
  // What was held back. Nothing may follow.
  std::string Finish();

 private:
  const Tokenizer& tokenizer_;
  const bool skip_special_tokens_;
  WorkBudget budget_;
  DecodeStream stream_;
};

}  // namespace mach::text
