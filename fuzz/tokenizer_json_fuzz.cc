// Any bytes as a tokenizer.json; what loads must encode and decode without harm.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/log.h"
#include "text/stream_decoder.h"
#include "text/tokenizer.h"

using mach::Span;
using mach::TokenId;
using mach::text::StreamDecoder;
using mach::text::Tokenizer;

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  mach::ConfigureLog({.level = mach::LogLevel::kOff});
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  const auto loaded = Tokenizer::FromJson(json);
  if (!loaded.ok()) {
    MACH_CHECK(!loaded.error().message.empty());
    return 0;
  }
  const Tokenizer& tokenizer = **loaded;
  // The file itself holds the strings that its parts look for.
  const std::string_view texts[] = {"", " The quick  brown\n fox's 123 caf\xC3\xA9 \xE6\x9D\xB1",
                                    "\xFF\xE2\x96\x81<0x41>aaaaaaaaaaaaaaaa", json.substr(0, 512)};
  for (const std::string_view text : texts) {
    const Span plain[] = {{1, text.size() / 2}};
    for (const bool special : {false, true}) {
      const std::vector<TokenId> ids = tokenizer.Encode(
          text, {.add_special_tokens = special,
                 .plain = special ? std::span<const Span>(plain) : std::span<const Span>()});
      StreamDecoder stream(tokenizer, special);
      std::string streamed;
      for (const TokenId id : ids) streamed += stream.Push(id);
      streamed += stream.Finish();
      MACH_CHECK(streamed == tokenizer.Decode(ids, special));
    }
  }
  for (TokenId id = -1; id < 8; ++id) {
    const std::string token = tokenizer.Token(id);
    MACH_CHECK(token.empty() || tokenizer.Find(token).has_value());
    static_cast<void>(tokenizer.TokenBytes(id));
  }
  return 0;
}
