// Tokenizers of every kind: texts of every kind, tokens back to text, and files.
#include "text/tokenizer.h"

#include <algorithm>
#include <memory>
#include <span>

#include <gtest/gtest.h>

#include "growth.h"
#include "text/small_tokenizers.h"
#include "text/stream_decoder.h"

namespace mach::growth {
namespace {

using Shared = std::shared_ptr<const text::Tokenizer>;

Shared Load(const text::small::File& file) {
  auto made = text::Tokenizer::FromJson(file.Text());
  MACH_CHECK(made.ok());
  return *std::move(made);
}

// A tokenizer with one normalizer, pre-tokenizer or decoder.
text::small::File With(text::small::File file, json::Value text::small::File::*part,
                       std::string_view component) {
  file.*part = text::small::Json(component);
  return file;
}

struct Kind {
  std::string_view name;
  text::small::File (*file)();
};

constexpr Kind kKinds[] = {
    {"byte level", text::small::ByteLevel}, {"byte fallback", text::small::ByteFallback},
    {"metaspace", text::small::Metaspace},  {"normalizing", text::small::Normalizing},
    {"affixes", text::small::Affixes},
};

// Letters in no order.
std::string Letters(size_t n) {
  std::string out;
  uint32_t state = 1;
  for (size_t i = 0; i < n; ++i) {
    state = state * 1664525 + 1013904223;
    out += static_cast<char>('a' + (state >> 24) % 26);
  }
  return out;
}

constexpr Input kTokenizerTexts[] = {
    {"words", [](size_t n) { return Times(n, "the thing in "); }},
    {"one word", [](size_t n) { return Times(n, "in"); }},
    {"letters", Letters},
    {"capitals", [](size_t n) { return Times(n, "A"); }},
    {"digits", [](size_t n) { return Times(n, "7"); }},
    {"punctuation", [](size_t n) { return Times(n, "-"); }},
    {"spaces", [](size_t n) { return Times(n, " "); }},
    {"spaces and a word", [](size_t n) { return Times(n, " ") + "the"; }},
    {"line breaks", [](size_t n) { return Times(n, "\n"); }},
    {"blank lines", [](size_t n) { return Times(n, " \r\n"); }},
    {"tabs and spaces", [](size_t n) { return Times(n, "\t "); }},
    {"apostrophes", [](size_t n) { return Times(n, "'s'"); }},
    {"combining marks", [](size_t n) { return "a" + Times(n, "\u0301"); }},
    {"combining marks of two classes", [](size_t n) { return "a" + Times(n, "\u0301\u0323"); }},
    {"marks in falling order",
     [](size_t n) { return "a" + Times(n, "\u0301") + Times(n, "\u0323"); }},
    {"composed letters", [](size_t n) { return Times(n, "é"); }},
    {"Hangul", [](size_t n) { return Times(n, "\u1100\u1161\u11a8"); }},
    {"ideographs", [](size_t n) { return Times(n, "漢字"); }},
    {"emoji", [](size_t n) { return Times(n, "👩\u200d👩"); }},
    {"invalid bytes", [](size_t n) { return Times(n, "\xff"); }},
    {"cut-off characters", [](size_t n) { return Times(n, "\xe2\x82"); }},
    {"added tokens", [](size_t n) { return Times(n, "<|start|>a <l> <r> word"); }},
    {"beginnings of added tokens", [](size_t n) { return Times(n, "<|star"); }},
    {"space around added tokens", [](size_t n) { return Times(n, "   <l>   <r>   "); }},
    {"zero bytes", [](size_t n) { return std::string(n, '\0'); }},
};

// Each text by itself, or a few at a time.
void ExpectLinearEncode(std::string_view name, const Shared& tokenizer, size_t at_a_time) {
  const std::span<const Input> all(kTokenizerTexts);
  for (size_t first = 0; first < all.size(); first += at_a_time) {
    const auto some = all.subspan(first, std::min(at_a_time, all.size() - first));
    const std::string row = std::string(name) + ": " + std::string(some.front().name) +
                            (some.size() == 1 ? "" : " to " + std::string(some.back().name));
    ExpectLinear(row, kManyParts, [&](size_t n) -> Work {
      std::vector<std::string> texts;
      for (const Input& one : some) texts.push_back(one.make(n));
      return [tokenizer, texts] {
        for (const std::string& text : texts) static_cast<void>(tokenizer->Encode(text));
        return true;
      };
    });
  }
}

TEST(TokenizerGrowth, Encode) {
  for (const Kind& kind : kKinds) ExpectLinearEncode(kind.name, Load(kind.file()), 3);
}

TEST(TokenizerGrowth, Normalizers) {
  for (const std::string_view normalizer :
       {R"({"type":"NFC"})", R"({"type":"NFD"})", R"({"type":"NFKC"})", R"({"type":"NFKD"})",
        R"re({"type":"Replace","pattern":{"Regex":"a+$|\\s+(?!\\S)"},"content":"b"})re",
        R"({"type":"Replace","pattern":{"String":""},"content":"b"})",
        R"({"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"a"},{"type":"Lowercase"},
            {"type":"StripAccents"},{"type":"Strip","strip_left":true,"strip_right":true}]})"}) {
    ExpectLinearEncode(
        normalizer,
        Load(With(text::small::ByteLevel(), &text::small::File::normalizer, normalizer)), 9);
  }
}

TEST(TokenizerGrowth, PreTokenizers) {
  for (const std::string_view pre :
       {R"({"type":"ByteLevel"})", R"({"type":"Digits","individual_digits":true})",
        R"({"type":"Punctuation","behavior":"MergedWithPrevious"})", R"({"type":"Whitespace"})",
        R"({"type":"WhitespaceSplit"})", R"({"type":"CharDelimiterSplit","delimiter":"-"})",
        R"({"type":"Split","pattern":{"String":" "},"behavior":"MergedWithNext"})",
        R"re({"type":"Split","behavior":"Isolated","pattern":{"Regex":"[^\\r\\n\\p{L}\\p{N}]?)re"
        R"re([\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|\\p{N}{1,3}|)re"
        R"re( ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}})re"}) {
    ExpectLinearEncode(
        pre, Load(With(text::small::ByteLevel(), &text::small::File::pre_tokenizer, pre)), 9);
  }
}

// Everything is plain: nothing in it is a special token.
TEST(TokenizerGrowth, PlainRanges) {
  for (const Kind& kind : {kKinds[0], kKinds[3]}) {
    const Shared tokenizer = Load(kind.file());
    ExpectLinear(std::string(kind.name) + ": one range", kManyParts, [&](size_t n) -> Work {
      return [tokenizer, text = Times(n, "<|start|> the ")] {
        const std::vector<Span> all{{0, text.size()}};
        return !tokenizer->Encode(text, {.plain = all}).empty();
      };
    });
    ExpectLinear(std::string(kind.name) + ": many ranges", kManyParts, [&](size_t n) -> Work {
      std::vector<Span> some;
      for (size_t i = 0; i < n; ++i) some.push_back({i * 14, i * 14 + 9});
      return [tokenizer, text = Times(n, "<|start|> the "), some] {
        return !tokenizer->Encode(text, {.plain = some}).empty();
      };
    });
  }
}

// n tokens, all at once and one by one.
void ExpectLinearDecode(const std::string& name, const Shared& tokenizer,
                        const std::vector<TokenId>& cycle) {
  const auto ids = [&](size_t n) {
    std::vector<TokenId> all;
    for (size_t i = 0; i < n; ++i) all.push_back(cycle[i % cycle.size()]);
    return all;
  };
  ExpectLinear(name + ": at once", kManyParts, [&](size_t n) -> Work {
    return [tokenizer, all = ids(n)] {
      static_cast<void>(tokenizer->Decode(all, false));
      return true;
    };
  });
  ExpectLinear(name + ": one by one", kManyParts, [&](size_t n) -> Work {
    return [tokenizer, all = ids(n)] {
      text::StreamDecoder decoder(*tokenizer, false);
      std::string text;
      for (const TokenId id : all) text += decoder.Push(id);
      text += decoder.Finish();
      return true;
    };
  });
}

TEST(TokenizerGrowth, Decode) {
  for (const Kind& kind : kKinds) {
    const Shared tokenizer = Load(kind.file());
    const std::string name(kind.name);
    const auto end = static_cast<TokenId>(tokenizer->end_id());
    ExpectLinearDecode(name + ": the last tokens", tokenizer, {end - 1, end - 2, end - 3});
    // Of byte level and byte fallback: bytes that continue no character, and ones that begin one.
    ExpectLinearDecode(name + ": continuing bytes", tokenizer, {0x80 % end});
    ExpectLinearDecode(name + ": beginning bytes", tokenizer, {0xE5 % end});
    ExpectLinearDecode(name + ": bytes of characters", tokenizer,
                       {0xE5 % end, 0x85 % end, 0x86 % end});
  }
  for (const std::string_view decoder : {R"({"type":"Sequence","decoders":[{"type":"Fuse"},
          {"type":"Replace","pattern":{"String":"e"},"content":"ee"}]})",
                                         R"({"type":"Sequence","decoders":[{"type":"Fuse"},
          {"type":"Strip","content":"h","start":3,"stop":3}]})",
                                         R"({"type":"Sequence","decoders":[{"type":"ByteFallback"},
          {"type":"Metaspace","replacement":"_"}]})"}) {
    ExpectLinearDecode(std::string(decoder),
                       Load(With(text::small::ByteLevel(), &text::small::File::decoder, decoder)),
                       {257, 258, 259});
  }
}

TEST(TokenizerGrowth, Load) {
  const auto loaded = [](std::string_view name, void (*grow)(text::small::File & file, size_t n),
                         size_t most = kManyParts) {
    ExpectLinear(name, most, [&](size_t n) -> Work {
      text::small::File file = text::small::ByteLevel();
      grow(file, n);
      return [json = file.Text()] { return text::Tokenizer::FromJson(json).ok(); };
    });
  };
  loaded("vocabulary", [](text::small::File& file, size_t n) {
    file.added = {};
    for (size_t i = 0; i < n; ++i) file.vocab.push_back("token" + std::to_string(i));
  });
  loaded("merges", [](text::small::File& file, size_t n) {
    file.added = {};
    for (size_t i = 0; i < n; ++i) {
      const std::string left = "x" + std::to_string(i);
      const std::string right = "y" + std::to_string(i);
      file.vocab.push_back(left);
      file.vocab.push_back(right);
      file.Merge(left, right);
    }
  });
  loaded("added tokens", [](text::small::File& file, size_t n) {
    for (size_t i = 0; i < n; ++i)
      file.added.push_back(
          text::small::Added("<added" + std::to_string(i) + ">", static_cast<int>(268 + i)));
  });
  loaded(
      "a long added token",
      [](text::small::File& file, size_t n) {
        file.added.push_back(text::small::Added(Times(n, "a"), 268));
      },
      1024);
}

TEST(TokenizerGrowth, MarkStructural) {
  ExpectLinear("a long template", kManyParts, [](size_t n) -> Work {
    auto made = text::Tokenizer::FromJson(text::small::ByteLevel().Text());
    MACH_CHECK(made.ok());
    return [tokenizer = std::shared_ptr<text::Tokenizer>(*std::move(made)),
            source = Times(n, "{{ '<|start|' }}<|en")] {
      tokenizer->MarkStructural(source);
      return true;
    };
  });
}

}  // namespace
}  // namespace mach::growth
