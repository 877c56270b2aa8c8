#include "text/stream_decoder.h"

namespace mach::text {

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool skip_special_tokens)
    : tokenizer_(tokenizer),
      skip_special_tokens_(skip_special_tokens),
      budget_(0),
      stream_(tokenizer.decoder(), budget_) {}

std::string StreamDecoder::Push(TokenId id) {
  const auto token = tokenizer_.DecodedToken(id, skip_special_tokens_);
  if (!token) return {};
  stream_.Push(*token);
  return stream_.Take();
}

std::string StreamDecoder::Finish() {
  stream_.Finish();
  return stream_.Take();
}

}  // namespace mach::text
