// Any text through small tokenizers of several kinds. The first bytes choose plain ranges and ids.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/utf8.h"
#include "text/small_tokenizers.h"
#include "text/stream_decoder.h"
#include "text/tokenizer.h"

using mach::Span;
using mach::TokenId;
using mach::text::StreamDecoder;
using mach::text::Tokenizer;

namespace {

std::unique_ptr<Tokenizer> Load(const mach::text::small::File& file) {
  auto loaded = Tokenizer::FromJson(file.Text());
  MACH_CHECK(loaded.ok());
  (*loaded)->MarkStructural("{{ '<think>' }}");
  return *std::move(loaded);
}

const std::vector<std::unique_ptr<Tokenizer>>& Tokenizers() {
  static const auto& tokenizers = *[] {
    using namespace mach::text::small;
    auto* out = new std::vector<std::unique_ptr<Tokenizer>>;
    for (const File& file : {ByteLevel(), ByteFallback(), Metaspace(), Normalizing(), Affixes()}) {
      out->push_back(Load(file));
    }
    return out;
  }();
  return tokenizers;
}

void CheckDecoding(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  for (const bool skip : {false, true}) {
    StreamDecoder stream(tokenizer, skip);
    std::string streamed;
    for (const TokenId id : ids) {
      const std::string part = stream.Push(id);
      MACH_CHECK(mach::utf8::IsValid(part));
      streamed += part;
    }
    streamed += stream.Finish();
    MACH_CHECK(streamed == tokenizer.Decode(ids, skip));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  const Span some[] = {{data[0], size_t{data[0]} + data[1]}};
  const Span all[] = {{0, text.size()}};
  const std::string repaired = mach::utf8::Repair(text);
  for (size_t i = 0; i < Tokenizers().size(); ++i) {
    const Tokenizer& tokenizer = *Tokenizers()[i];
    const std::vector<TokenId> ids = tokenizer.Encode(text);
    MACH_CHECK(ids == tokenizer.Encode(repaired));
    CheckDecoding(tokenizer, ids);
    if (i == 0) MACH_CHECK(tokenizer.Decode(ids, false) == repaired);
    CheckDecoding(tokenizer, tokenizer.Encode(text, {.add_special_tokens = true, .plain = some}));
    const auto plain = tokenizer.Encode(text, {.add_special_tokens = false, .plain = all});
    if (i == 0) MACH_CHECK(tokenizer.Decode(plain, true) == repaired);
    // In models whose characters never become an unknown token, no special id is left.
    if (i == 0 || i == 1) {
      MACH_CHECK(std::ranges::none_of(plain, [&](TokenId id) { return tokenizer.IsSpecial(id); }));
    }
    // The bytes as ids that no text gives.
    std::vector<TokenId> odd;
    for (size_t k = 0; k + 1 < size; k += 2) odd.push_back(data[k] | (data[k + 1] & 1) << 8);
    CheckDecoding(tokenizer, odd);
  }
  return 0;
}
