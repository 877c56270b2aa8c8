#include "text/decoder.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"
#include "base/utf8.h"
#include "text/decode_stream.h"
#include "text/small_tokenizers.h"
#include "text/stream_decoder.h"
#include "text/tokenizer.h"

namespace mach::text {
namespace {

using small::Json;
using Ids = std::vector<TokenId>;
using Strings = std::vector<std::string>;

std::string Decode(std::string_view decoder, Strings tokens) {
  const auto parsed = Decoder::FromJson(Json(decoder));
  EXPECT_TRUE(parsed.ok()) << parsed.error().message;
  WorkBudget budget(0);
  DecodeStream stream(*parsed, budget);
  for (const std::string& token : tokens) stream.Push(token);
  stream.Finish();
  return stream.Take();
}

TEST(Decoder, ByteLevelReplacesInvalidParts) {
  const char* decoder = R"({"type":"ByteLevel"})";
  EXPECT_EQ(Decode(decoder, {"Ġthe", "Ã", "©"}), " theé");
  EXPECT_EQ(Decode(decoder, {"Ã", "Ġx"}), "\uFFFD x");
  EXPECT_EQ(Decode(decoder, {"café"}), "caf\uFFFD");  // all in the alphabet: bytes
  EXPECT_EQ(Decode(decoder, {"東京"}), "東京");       // not: text as it is
  EXPECT_EQ(Decode(decoder, {}), "");
}

TEST(Decoder, ByteFallbackRunsAreValidAsAWholeOrNotAtAll) {
  const char* decoder = R"({"type":"ByteFallback"})";
  EXPECT_EQ(Decode(decoder, {"<0xE6>", "<0x9D>", "<0xB1>", "a"}), "東a");
  EXPECT_EQ(Decode(decoder, {"<0x41>", "<0xE6>"}), "\uFFFD\uFFFD");
  EXPECT_EQ(Decode(decoder, {"<0x41>", "b", "<0xE6>", "<0x4>", "<0xzz>"}), "Ab\uFFFD<0x4><0xzz>");
}

TEST(Decoder, StripReplaceAndMetaspaceWorkOnEachToken) {
  EXPECT_EQ(
      Decode(R"({"type":"Strip","content":"_","start":1,"stop":2})", {"__a___", "_", "__", "b"}),
      "_a_b");
  EXPECT_EQ(Decode(R"({"type":"Replace","pattern":{"Regex":"a+"},"content":"x"})", {"aa", "ab"}),
            "xxb");
  const char* always = R"({"type":"Metaspace","replacement":"_","prepend_scheme":"always"})";
  EXPECT_EQ(Decode(always, {"_a_", "_b"}), "a b");
  const char* never = R"({"type":"Metaspace","replacement":"_","prepend_scheme":"never"})";
  EXPECT_EQ(Decode(never, {"_a_", "_b"}), " a  b");
}

TEST(Decoder, NoneJoinsWithSpaces) { EXPECT_EQ(Decode("null", {"a", "b"}), "a b"); }

std::string RandomToken(uint64_t seed, uint64_t i) {
  static constexpr std::string_view kTokens[] = {
      "Ġthe",   "Ã",      "©",      "æ",      "Ŀ", "±",   "▁", "▁▁", "▁a",     "a",
      "<0xE6>", "<0x9D>", "<0xB1>", "<0x41>", " ", "  a", "é", "東", "<|end|>"};
  return std::string(kTokens[static_cast<size_t>(UniformAt(seed, i) * std::size(kTokens))]);
}

// What the steps make of lists of strings, one after the other over the whole list, as the
// reference does it.
std::string ByLists(const Decoder& decoder, Strings list) {
  using Kind = DecoderStep::Kind;
  const auto join = [](const Strings& strings, std::string_view separator) {
    std::string out;
    for (size_t i = 0; i < strings.size(); ++i) {
      if (i > 0) out += separator;
      out += strings[i];
    }
    return out;
  };
  if (decoder.joins_with_spaces()) return join(list, " ");
  WorkBudget budget(1 << 20);
  for (const DecoderStep& step : decoder.steps()) {
    Strings out;
    std::string run;
    const auto flush = [&] {
      if (!run.empty()) out.push_back(FallbackText(run));
      run.clear();
    };
    for (const std::string& s : list) {
      if (step.kind == Kind::kByteLevel) run += ByteLevelBytes(s);
      if (step.kind == Kind::kFuse) run += s;
      if (step.kind == Kind::kReplace) out.push_back(step.Replaced(s, budget));
      if (step.kind == Kind::kStrip) out.push_back(step.Stripped(s));
      if (step.kind == Kind::kMetaspace) out.push_back(step.Spaced(s, out.empty()));
      if (step.kind != Kind::kByteFallback) continue;
      if (const auto byte = FallbackByte(s)) {
        run += *byte;
      } else {
        flush();
        out.push_back(s);
      }
    }
    if (step.kind == Kind::kByteFallback) flush();
    if (step.kind == Kind::kByteLevel) out = {utf8::Repair(run)};
    if (step.kind == Kind::kFuse) out = {run};
    list = std::move(out);
  }
  return join(list, "");
}

// A tokenizer whose vocabulary is the tokens above, with this decoder.
std::unique_ptr<Tokenizer> WithDecoder(std::string_view decoder) {
  small::File file;
  for (uint64_t i = 0; i < 400; ++i) {
    const std::string token = RandomToken(0, i);
    if (std::find(file.vocab.begin(), file.vocab.end(), token) == file.vocab.end()) {
      file.vocab.push_back(token);
    }
  }
  const auto end = std::find(file.vocab.begin(), file.vocab.end(), "<|end|>");
  file.added = {small::Added("<|end|>", static_cast<int>(end - file.vocab.begin()), "special")};
  file.decoder = Json(decoder);
  auto loaded = Tokenizer::FromJson(file.Text());
  EXPECT_TRUE(loaded.ok()) << loaded.error().message;
  return *std::move(loaded);
}

TEST(StreamDecoder, GivesTheTextOfDecodeForEveryDecoder) {
  for (const char* decoder :
       {"null", R"({"type":"ByteLevel"})", R"({"type":"ByteFallback"})", R"({"type":"Fuse"})",
        R"({"type":"Strip","content":" ","start":1,"stop":1})",
        R"({"type":"Metaspace","replacement":"▁","prepend_scheme":"first"})",
        R"({"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},
            {"type":"ByteFallback"},{"type":"Fuse"},
            {"type":"Strip","content":" ","start":2,"stop":0}]})",
        R"({"type":"Sequence","decoders":[{"type":"ByteFallback"},{"type":"Fuse"},
            {"type":"Strip","content":"▁","start":1,"stop":2},{"type":"ByteFallback"}]})",
        R"({"type":"Sequence","decoders":[{"type":"ByteFallback"},
            {"type":"Metaspace","replacement":"▁"},{"type":"ByteLevel"},
            {"type":"Metaspace","replacement":"a"}]})",
        R"({"type":"Sequence","decoders":[{"type":"Fuse"},
            {"type":"Replace","pattern":{"Regex":"the.?"},"content":"x"},{"type":"ByteLevel"}]})"}) {
    const auto tokenizer = WithDecoder(decoder);
    for (uint64_t seed = 1; seed < 200; ++seed) {
      Ids ids;
      for (uint64_t i = 0; i < seed % 20; ++i) {
        ids.push_back(*tokenizer->Find(RandomToken(seed, i)));
      }
      ids.push_back(100'000);  // skipped
      for (const bool skip : {false, true}) {
        StreamDecoder stream(*tokenizer, skip);
        std::string streamed;
        for (const TokenId id : ids) {
          const std::string part = stream.Push(id);
          EXPECT_TRUE(utf8::IsValid(part));
          streamed += part;
        }
        streamed += stream.Finish();
        Strings tokens;
        for (const TokenId id : ids) {
          const std::string token = tokenizer->Token(id);
          if (!token.empty() && !(skip && tokenizer->IsSpecial(id))) tokens.push_back(token);
        }
        EXPECT_EQ(streamed, ByLists(*Decoder::FromJson(Json(decoder)), tokens)) << decoder;
        EXPECT_EQ(tokenizer->Decode(ids, skip), streamed) << decoder;
      }
    }
  }
}

TEST(StreamDecoder, WhatWasGivenOutIsAPrefixAtEverySplit) {
  auto loaded = Tokenizer::FromJson(small::ByteLevel().Text());
  ASSERT_TRUE(loaded.ok());
  const Tokenizer& tokenizer = **loaded;
  const std::string text = "the 東京 🏳️‍🌈 thing<|end|> é";
  const Ids ids = tokenizer.Encode(text);
  for (size_t split = 0; split <= ids.size(); ++split) {
    StreamDecoder stream(tokenizer, false);
    std::string given;
    for (size_t i = 0; i < split; ++i) given += stream.Push(ids[i]);
    EXPECT_TRUE(text.starts_with(given));
    const std::span<const TokenId> before(ids.data(), split);
    EXPECT_EQ(given + stream.Finish(), tokenizer.Decode(before, false));
  }
}

TEST(StreamDecoder, HoldsBackOnlyWhatMayChange) {
  auto loaded = Tokenizer::FromJson(small::ByteLevel().Text());
  ASSERT_TRUE(loaded.ok());
  StreamDecoder stream(**loaded, true);
  EXPECT_EQ(stream.Push(*(*loaded)->Find("Ġthe")), " the");
  EXPECT_EQ(stream.Push(*(*loaded)->Find("Ã")), "");
  EXPECT_EQ(stream.Push(*(*loaded)->Find("©")), "é");
  EXPECT_EQ(stream.Push(*(*loaded)->Find("<|end|>")), "");
  EXPECT_EQ(stream.Push(*(*loaded)->Find("Ã")), "");
  EXPECT_EQ(stream.Push(*(*loaded)->Find("a")), "\uFFFDa");
  EXPECT_EQ(stream.Finish(), "");
}

TEST(TokenBytes, MayBePartOfACharacter) {
  auto bytes = Tokenizer::FromJson(small::ByteLevel().Text());
  ASSERT_TRUE(bytes.ok());
  EXPECT_EQ((*bytes)->TokenBytes(*(*bytes)->Find("Ã")), "\xC3");
  EXPECT_EQ((*bytes)->TokenBytes(*(*bytes)->Find("Ġthe")), " the");
  EXPECT_EQ((*bytes)->TokenBytes(*(*bytes)->Find("<|end|>")), "<|end|>");
  EXPECT_EQ((*bytes)->TokenBytes(-1), "");
  EXPECT_EQ((*bytes)->Token(1 << 20), "");
  auto fallback = Tokenizer::FromJson(small::ByteFallback().Text());
  ASSERT_TRUE(fallback.ok());
  EXPECT_EQ((*fallback)->TokenBytes(*(*fallback)->Find("<0xE6>")), "\xE6");
  EXPECT_EQ((*fallback)->TokenBytes(*(*fallback)->Find("▁the")), " the");
}

}  // namespace
}  // namespace mach::text
