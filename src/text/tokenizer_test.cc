#include "text/tokenizer.h"

#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "base/utf8.h"
#include "json/parse.h"
#include "text/small_tokenizers.h"
#include "text/stream_decoder.h"

namespace mach::text {
namespace {

using small::Added;
using small::Json;
using testing::HasSubstr;
using Ids = std::vector<TokenId>;
using Strings = std::vector<std::string>;

std::unique_ptr<Tokenizer> Load(const small::File& file) {
  auto loaded = Tokenizer::FromJson(file.Text());
  EXPECT_TRUE(loaded.ok()) << loaded.error().message;
  return loaded.ok() ? *std::move(loaded) : nullptr;
}

Strings Tokens(const Tokenizer& tokenizer, std::string_view text,
               const EncodeOptions& options = {}) {
  Strings out;
  for (const TokenId id : tokenizer.Encode(text, options)) out.push_back(tokenizer.Token(id));
  return out;
}

Strings TokensOf(const small::File& file, std::string_view text) {
  return Tokens(*Load(file), text);
}

std::string RandomText(uint64_t seed, uint64_t length) {
  static constexpr std::string_view kParts[] = {
      " ",      "  ",        "\n",      "the", " the",    "ing", "'s",
      "12",     "<|start|>", "<think>", "é",   "e\u0301", "東",  "🏳️‍🌈",
      "\u3000", "▁",         "<0x41>",  "l",   "\r\n",    "…"};
  std::string out;
  for (uint64_t i = 0; i < length; ++i) {
    const auto pick = static_cast<size_t>(UniformAt(seed, i) * 30);
    if (pick < std::size(kParts)) {
      out += kParts[pick];
    } else {
      utf8::Append(out, static_cast<uint32_t>(UniformAt(seed, i, 1) * 0x110000));
    }
  }
  return out;
}

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in) << path;
  return std::string(std::istreambuf_iterator<char>(in), {});
}

// ---- the project's model

TEST(MachTiny, EncodesTheGoldenTexts) {
  const auto tokenizer = Tokenizer::FromJson(
      ReadFile(std::string(MACH_SOURCE_DIR) + "/models/mach-tiny/tokenizer.json"));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  EXPECT_EQ((*tokenizer)->vocab_size(), 8192u);
  EXPECT_EQ((*tokenizer)->end_id(), 8192u);
  const auto golden = json::Parse(
      ReadFile(std::string(MACH_SOURCE_DIR) + "/tests/goldens/mach-tiny/golden-4bit.json"));
  ASSERT_TRUE(golden.ok());
  ASSERT_FALSE(golden->AsArray().empty());
  for (const json::Value& entry : golden->AsArray()) {
    const std::string& text = entry.Find("text")->AsString();
    Ids expected;
    for (const json::Value& id : entry.Find("input_ids")->AsArray()) {
      expected.push_back(static_cast<TokenId>(id.AsInt()));
    }
    EXPECT_EQ((*tokenizer)->Encode(text), expected) << text;
    EXPECT_EQ((*tokenizer)->Decode(expected, false), text);
  }
}

TEST(MachTiny, RoundTripsItsText) {
  const auto tokenizer = Tokenizer::FromJson(
      ReadFile(std::string(MACH_SOURCE_DIR) + "/models/mach-tiny/tokenizer.json"));
  ASSERT_TRUE(tokenizer.ok());
  const std::string text =
      ReadFile(std::string(MACH_SOURCE_DIR) + "/models/mach-tiny/chat_template.jinja");
  EXPECT_EQ((*tokenizer)->Decode((*tokenizer)->Encode(text), false), text);
}

// ---- encoding

TEST(Tokenizer, MergesByRankThenPlace) {
  const auto tokenizer = Load(small::ByteLevel());
  EXPECT_EQ(Tokens(*tokenizer, "the thing"), (Strings{"t", "he", "Ġt", "h", "ing"}));
  EXPECT_EQ(Tokens(*tokenizer, " the the"), (Strings{"Ġthe", "Ġthe"}));
  EXPECT_EQ(Tokens(*tokenizer, "lll"), (Strings{"ll", "l"}));
  EXPECT_EQ(Tokens(*tokenizer, ""), Strings{});
}

TEST(Tokenizer, LongPiecesMergeAsShortOnes) {
  // The heap takes over beyond 48 symbols.
  const auto tokenizer = Load(small::ByteLevel());
  for (const size_t n : {20u, 47u, 48u, 49u, 50u, 1001u}) {
    Strings expected(n / 2, "ll");
    if (n % 2 == 1) expected.push_back("l");
    EXPECT_EQ(Tokens(*tokenizer, std::string(n, 'l')), expected) << n;
    Strings mixed;
    std::string text;
    for (size_t i = 0; i < n; ++i) {
      text += "inghe";
      mixed.push_back("ing");
      mixed.push_back("he");
    }
    EXPECT_EQ(Tokens(*tokenizer, text), mixed) << n;
  }
}

TEST(Tokenizer, RepairsInvalidUtf8) {
  const auto tokenizer = Load(small::ByteLevel());
  EXPECT_EQ(tokenizer->Encode("a\xFF\xE2\x82z"), tokenizer->Encode("a\uFFFD\uFFFDz"));
}

TEST(Tokenizer, RoundTripsRandomUnicode) {
  const auto tokenizer = Load(small::ByteLevel());
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    const std::string text = RandomText(seed, 1 + seed % 40);
    EXPECT_EQ(tokenizer->Decode(tokenizer->Encode(text), false), text);
  }
}

TEST(Tokenizer, FallsBackToBytesAndFusesUnknowns) {
  EXPECT_EQ(TokensOf(small::ByteFallback(), "the é"), (Strings{"▁the", "▁", "<0xC3>", "<0xA9>"}));
  small::File fused = small::ByteFallback();
  fused.model_options.Set("byte_fallback", false);
  EXPECT_EQ(TokensOf(fused, "éèb"), (Strings{"▁", "<unk>", "b"}));
  fused.model_options.Set("fuse_unk", false);
  EXPECT_EQ(TokensOf(fused, "éèb"), (Strings{"▁", "<unk>", "<unk>", "b"}));
  fused.model_options.Erase("unk_token");
  EXPECT_EQ(TokensOf(fused, "éèb"), (Strings{"▁", "b"}));
}

TEST(Tokenizer, CuttingWholeTextsChangesNothing) {
  // With a suffix that occurs nowhere the model does not cut; ids must be those of the cut text.
  small::File cut = small::ByteFallback();
  small::File whole = cut;
  for (size_t i = 0, n = whole.vocab.size(); i < n; ++i) {
    // Every pair of characters occurs in some token now, so that nothing can be cut.
    if (i >= 259 && i < 286) {
      for (size_t k = 259; k < 286; ++k) {
        const std::string pair = whole.vocab[i] + whole.vocab[k];
        if (std::find(whole.vocab.begin(), whole.vocab.end(), pair) == whole.vocab.end()) {
          whole.vocab.push_back(pair);
        }
      }
    }
  }
  const auto a = Load(cut);
  const auto b = Load(whole);
  for (uint64_t seed = 0; seed < 500; ++seed) {
    const std::string text = RandomText(seed, 30);
    EXPECT_EQ(a->Encode(text), b->Encode(text)) << text;
  }
}

TEST(Tokenizer, IgnoresMergesForWholeTokens) {
  small::File file = small::ByteLevel();
  file.vocab.push_back("zzz");
  file.added.clear();
  EXPECT_EQ(TokensOf(file, "zzz zzz"), (Strings{"z", "z", "z", "Ġ", "z", "z", "z"}));
  file.model_options.Set("ignore_merges", true);
  EXPECT_EQ(TokensOf(file, "zzz zzz"), (Strings{"zzz", "Ġ", "z", "z", "z"}));
}

TEST(Tokenizer, PrefixesAndSuffixesOfWords) {
  const auto tokenizer = Load(small::Affixes());
  EXPECT_EQ(Tokens(*tokenizer, "aba ba a"), (Strings{"aba</w>", "b", "##a</w>", "a</w>"}));
  EXPECT_EQ(Tokens(*tokenizer, "axxb"), (Strings{"a", "<unk>", "<unk>", "##b</w>"}));
}

TEST(Tokenizer, AcceptsMergesAsStringsAndModelsWithoutType) {
  const auto tokenizer =
      Tokenizer::FromJson(R"({"model":{"vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}})");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  EXPECT_EQ((*tokenizer)->Encode("abb"), (Ids{2, 1}));
  EXPECT_EQ((*tokenizer)->Decode(Ids{2, 1}, false), "ab b");  // no decoder: joined by spaces
}

TEST(Tokenizer, EncodesFromManyThreads) {
  const auto tokenizer = Load(small::ByteLevel());
  const auto alone = Load(small::ByteLevel());
  std::vector<std::string> texts;
  std::vector<Ids> expected;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    texts.push_back(RandomText(seed, 50));
    expected.push_back(alone->Encode(texts.back()));
  }
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (size_t i = 0; i < texts.size(); ++i) {
        EXPECT_EQ(tokenizer->Encode(texts[i]), expected[i]);
      }
    });
  }
  for (std::thread& t : threads) t.join();
}

// ---- pre-tokenizers: pieces are told apart by a vocabulary of characters only

Strings PiecesOf(json::Value pre_tokenizer, std::string_view text) {
  // Joins characters of a piece: every merge of what the text holds exists by ignore_merges.
  small::File file;
  for (size_t i = 0; i < text.size(); ++i) {
    for (size_t n = 1; i + n <= text.size(); ++n) {
      const std::string part(text.substr(i, n));
      if (utf8::IsValid(part) &&
          std::find(file.vocab.begin(), file.vocab.end(), part) == file.vocab.end()) {
        file.vocab.push_back(part);
      }
    }
  }
  file.model_options.Set("ignore_merges", true);
  file.pre_tokenizer = std::move(pre_tokenizer);
  return TokensOf(file, text);
}

json::Value Split(std::string_view pattern, std::string_view behavior, bool invert = false) {
  return json::Object{{"type", "Split"},
                      {"pattern", json::Object{{"Regex", pattern}}},
                      {"behavior", behavior},
                      {"invert", invert}};
}

TEST(PreTokenizer, SplitsWithEveryBehavior) {
  EXPECT_EQ(PiecesOf(Split("-", "Removed"), "a--b-"), (Strings{"a", "b"}));
  EXPECT_EQ(PiecesOf(Split("-", "Isolated"), "a--b-"), (Strings{"a", "-", "-", "b", "-"}));
  EXPECT_EQ(PiecesOf(Split("-", "Contiguous"), "a--b-"), (Strings{"a", "--", "b", "-"}));
  EXPECT_EQ(PiecesOf(Split("-", "MergedWithPrevious"), "a--b-"), (Strings{"a-", "-", "b-"}));
  EXPECT_EQ(PiecesOf(Split("-", "MergedWithNext"), "a--b-"), (Strings{"a", "-", "-b", "-"}));
  EXPECT_EQ(PiecesOf(Split("[ab]", "Isolated", true), "a--b-"), (Strings{"a", "--", "b", "-"}));
  EXPECT_EQ(PiecesOf(Split("[ab]", "Removed", true), "a--b-"), (Strings{"a", "b"}));
  EXPECT_EQ(PiecesOf(Split("[ab]+", "MergedWithPrevious", true), "a--b-"), (Strings{"a--", "b-"}));
  EXPECT_EQ(
      PiecesOf(Json(R"({"type":"Split","pattern":{"String":"."},"behavior":"Isolated"})"), "a.b"),
      (Strings{"a", ".", "b"}));
}

TEST(PreTokenizer, SimpleOnes) {
  EXPECT_EQ(PiecesOf(Json(R"({"type":"Digits","individual_digits":true})"), "a12½"),
            (Strings{"a", "1", "2", "½"}));
  EXPECT_EQ(PiecesOf(Json(R"({"type":"Digits","individual_digits":false})"), "a12½b"),
            (Strings{"a", "12½", "b"}));
  EXPECT_EQ(PiecesOf(Json(R"({"type":"Punctuation"})"), "a,$b"), (Strings{"a", ",", "$", "b"}));
  EXPECT_EQ(PiecesOf(Json(R"({"type":"Whitespace"})"), "ab, c$ d"),
            (Strings{"ab", ",", "c", "$", "d"}));
  EXPECT_EQ(PiecesOf(Json(R"({"type":"WhitespaceSplit"})"), " a,\u3000b"), (Strings{"a,", "b"}));
  EXPECT_EQ(PiecesOf(Json(R"({"type":"CharDelimiterSplit","delimiter":"x"})"), "axxb"),
            (Strings{"a", "b"}));
  EXPECT_EQ(PiecesOf(nullptr, "a b"), (Strings{"a b"}));
}

TEST(PreTokenizer, ByteLevelWithItsOwnPatternAndPrefix) {
  small::File file = small::ByteLevel();
  file.added.clear();
  file.pre_tokenizer = Json(R"({"type":"ByteLevel","add_prefix_space":true})");
  EXPECT_EQ(TokensOf(file, "the the's"), (Strings{"Ġthe", "Ġthe", "'", "s"}));
  EXPECT_EQ(TokensOf(file, " the"), (Strings{"Ġthe"}));
  EXPECT_EQ(TokensOf(file, "é"), (Strings{"Ġ", "Ã", "©"}));
  // A byte map that is not the last step, or twice, still spells bytes.
  file.pre_tokenizer = Json(R"({"type":"Sequence","pretokenizers":[
      {"type":"ByteLevel","add_prefix_space":false,"use_regex":false},
      {"type":"Split","pattern":{"String":"Ġ"},"behavior":"MergedWithNext"}]})");
  EXPECT_EQ(TokensOf(file, "the the"), (Strings{"t", "he", "Ġthe"}));
}

TEST(PreTokenizer, Metaspace) {
  small::File file = small::Metaspace();
  EXPECT_EQ(TokensOf(file, "the  the"), (Strings{"▁the", "▁", "▁the"}));
  EXPECT_EQ(TokensOf(file, "a<s>the"), (Strings{"▁", "a", "<s>", "▁the"}));
  file.pre_tokenizer =
      Json(R"({"type":"Metaspace","replacement":"▁","prepend_scheme":"first","split":false})");
  EXPECT_EQ(TokensOf(file, "a  the<s>the"), (Strings{"▁", "a", "▁", "▁the", "<s>", "t", "he"}));
  file.pre_tokenizer = Json(R"({"type":"Metaspace","replacement":"▁","prepend_scheme":"never"})");
  EXPECT_EQ(TokensOf(file, "the the"), (Strings{"t", "he", "▁the"}));
}

// ---- normalizers

TEST(Normalizer, ThoseThatChangeTextBeforeTheModel) {
  const auto tokenizer = Load(small::Normalizing());
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode(" ÀÉ \n ﬁ12\u0301 "), false), " ae fi 12");
}

TEST(Normalizer, ReplaceByPatternAndGrowthIsBounded) {
  small::File file = small::ByteLevel();
  json::Array steps(40, Json(R"({"type":"Replace","pattern":{"Regex":"a"},"content":"aa"})"));
  file.normalizer = json::Object{{"type", "Sequence"}, {"normalizers", std::move(steps)}};
  const auto tokenizer = Load(file);
  EXPECT_LE(tokenizer->Encode("aaaa").size(), size_t{128} << 10);
}

// ---- added tokens

TEST(AddedTokens, LongestOfTheLeftmost) {
  small::File file = small::ByteLevel();
  file.added = {Added("<a", 264), Added("<ab>", 265), Added("b>c", 266)};
  EXPECT_EQ(TokensOf(file, "x<ab>c<ac"), (Strings{"x", "<ab>", "c", "<a", "c"}));
}

TEST(AddedTokens, StripsAndSingleWords) {
  small::File file = small::ByteLevel();
  file.added = {Added("<l>", 264, "lstrip"), Added("<r>", 265, "rstrip"),
                Added("word", 266, "single_word"), Added("<x>", 267)};
  EXPECT_EQ(TokensOf(file, "a \n<l> b<r>\u3000 c"), (Strings{"a", "<l>", "Ġ", "b", "<r>", "c"}));
  EXPECT_EQ(TokensOf(file, "word,word_"), (Strings{"word", ",", "w", "o", "r", "d", "_"}));
  EXPECT_EQ(TokensOf(file, "éword word"), (Strings{"Ã", "©", "w", "o", "r", "d", "Ġ", "word"}));
  EXPECT_EQ(TokensOf(file, "<r>  <l><x>"), (Strings{"<r>", "<l>", "<x>"}));
}

TEST(AddedTokens, NormalizedOnesAreFoundInNormalizedText) {
  const auto tokenizer = Load(small::Normalizing());
  EXPECT_EQ(Tokens(*tokenizer, "a CAFÉ"), (Strings{"Ġ", "a", "Ġ", "Café"}));
  EXPECT_EQ(Tokens(*tokenizer, "<|START|>").front(), "Ġ");
}

TEST(AddedTokens, IdsInTheVocabularyWinAndOthersCountOn) {
  small::File file = small::ByteLevel();
  file.added = {Added("ing", 9000), Added("<n>", 5000, "special")};
  const auto tokenizer = Load(file);
  EXPECT_EQ(tokenizer->Find("ing"), tokenizer->Encode("ing").front());
  EXPECT_EQ(tokenizer->Find("ing"), 260);
  EXPECT_EQ(tokenizer->Find("<n>"), 264);
  EXPECT_EQ(tokenizer->vocab_size(), 265u);
  EXPECT_TRUE(tokenizer->IsSpecial(264));
  EXPECT_TRUE(tokenizer->IsAdded(260) && !tokenizer->IsSpecial(260));
  EXPECT_FALSE(tokenizer->IsAdded(259) || tokenizer->IsAdded(-1) || tokenizer->IsAdded(1 << 30));
}

TEST(AddedTokens, PlainRangesHideGuardedTokens) {
  const auto tokenizer = Load(small::ByteLevel());
  tokenizer->MarkStructural("{%- if x %}{{ '<think>\\n' }}{% endif %}   {# <|none|> #}");
  const std::string text = "<|start|>a <|end|><think>   <|end|>";
  const Span ranges[] = {{text.size() - 1, 999}, {9, 12}};  // of each <|end|> a part
  EncodeOptions options;
  options.plain = ranges;
  const Strings tokens = Tokens(*tokenizer, text, options);
  EXPECT_EQ(tokens.front(), "<|start|>");
  EXPECT_EQ(std::count(tokens.begin(), tokens.end(), "<|end|>"), 0);
  EXPECT_EQ(std::count(tokens.begin(), tokens.end(), "<think>"), 1);
  EXPECT_EQ(std::count(tokens.begin(), tokens.end(), "   "), 1);
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode(text, options), true), text.substr(9));

  const Span everything[] = {{0, text.size()}};
  options.plain = everything;
  const Strings plain = Tokens(*tokenizer, text, options);
  EXPECT_EQ(std::count(plain.begin(), plain.end(), "<think>"), 0);  // structural, not special
  EXPECT_EQ(std::count(plain.begin(), plain.end(), "   "), 1);      // runs of spaces stay

  const Span beside[] = {{9, 11}, {18, 18}, {5, 2}};  // ranges that only touch edges, or are empty
  options.plain = beside;
  EXPECT_EQ(Tokens(*tokenizer, text, options), Tokens(*tokenizer, text));
}

TEST(AddedTokens, PlainRangesReferToTheTextAsGiven) {
  const auto tokenizer = Load(small::ByteLevel());
  const std::string text = "\xFF\xFF<|end|><|end|>";  // each invalid byte becomes three
  const Span first[] = {{2, 9}};
  EncodeOptions options;
  options.plain = first;
  const Strings tokens = Tokens(*tokenizer, text, options);
  EXPECT_EQ(tokens.back(), "<|end|>");
  EXPECT_EQ(std::count(tokens.begin(), tokens.end(), "<|end|>"), 1);
}

TEST(AddedTokens, PlainRangesReachNormalizedTokens) {
  small::File file = small::ByteLevel();
  file.normalizer = Json(R"({"type":"Sequence","normalizers":[{"type":"Prepend","prepend":">"},
                            {"type":"NFD"},{"type":"Lowercase"}]})");
  json::Value token = Added("<É>", 264, "normalized");
  token.AsObject().Set("special", true);
  file.added = {token};
  file.normalizer.AsObject()
      .Find("normalizers")
      ->AsArray()
      .erase(file.normalizer.AsObject().Find("normalizers")->AsArray().begin());
  const auto tokenizer = Load(file);
  const std::string text = "<É>x<e\u0301>";
  EXPECT_EQ(Tokens(*tokenizer, text), (Strings{"<É>", "x", "<É>"}));
  const Span mark[] = {{7, 9}};  // the combining mark alone
  EncodeOptions options;
  options.plain = mark;
  EXPECT_EQ(Tokens(*tokenizer, text, options), (Strings{"<É>", "x", "<", "e", "Ì", "ģ", ">"}));
}

// ---- post-processors

TEST(PostProcessor, AddsWhatTheTemplateSays) {
  const auto tokenizer = Load(small::ByteFallback());
  const EncodeOptions special{.add_special_tokens = true, .plain = {}};
  EXPECT_EQ(Tokens(*tokenizer, "the", special), (Strings{"<s>", "▁the"}));
  EXPECT_EQ(Tokens(*tokenizer, "", special), (Strings{"<s>"}));

  small::File file = small::ByteLevel();
  file.post_processor = Json(R"({"type":"Sequence","processors":[{"type":"ByteLevel"},
      {"type":"RobertaProcessing","sep":["<|end|>",265],"cls":["<|start|>",264]}]})");
  EXPECT_EQ(Tokens(*Load(file), "a", special), (Strings{"<|start|>", "a", "<|end|>"}));
  EXPECT_EQ(TokensOf(file, "a"), (Strings{"a"}));
}

// ---- errors

void ExpectError(const std::string& json, Code code, const std::string& part) {
  const auto loaded = Tokenizer::FromJson(json);
  ASSERT_FALSE(loaded.ok()) << json;
  EXPECT_EQ(loaded.error().code, code) << loaded.error().message;
  EXPECT_THAT(loaded.error().message, HasSubstr(part));
}

void ExpectErrorWith(std::string_view key, std::string_view value, Code code,
                     const std::string& part) {
  json::Value file = Json(R"({"model":{"type":"BPE","vocab":{"a":0,"b":1},"merges":[]}})");
  file.AsObject().Set(key, Json(value));
  ExpectError(json::Write(file), code, part);
}

TEST(LoadErrors, NameTheComponent) {
  ExpectErrorWith("model", R"({"type":"Unigram","vocab":[]})", Code::kUnsupported, "'Unigram'");
  ExpectErrorWith("model", R"({"type":"WordPiece","vocab":{}})", Code::kUnsupported, "'WordPiece'");
  ExpectErrorWith("normalizer", R"({"type":"Precompiled"})", Code::kUnsupported, "'Precompiled'");
  ExpectErrorWith("pre_tokenizer", R"({"type":"UnicodeScripts"})", Code::kUnsupported,
                  "'UnicodeScripts'");
  ExpectErrorWith("post_processor", R"({"type":"Odd"})", Code::kUnsupported, "'Odd'");
  ExpectErrorWith("decoder", R"({"type":"CTC"})", Code::kUnsupported, "'CTC'");
  ExpectErrorWith("pre_tokenizer",
                  R"({"type":"Split","pattern":{"Regex":"(a)\\1"},"behavior":"Isolated"})",
                  Code::kUnsupported, "\\1");
}

TEST(LoadErrors, HostileFiles) {
  constexpr Code kBad = Code::kInvalidArgument;
  for (const char* text : {"", "[]", "null", "{", "{}", R"({"model":[]})", R"({"model":{}})",
                           R"({"model":{"type":"BPE"}})"}) {
    EXPECT_FALSE(Tokenizer::FromJson(text).ok()) << text;
  }
  EXPECT_FALSE(Tokenizer::FromJson(std::string(100'000, '[')).ok());
  ExpectErrorWith("model", R"({"type":"BPE","vocab":{"a":-1},"merges":[]})", kBad, "-1");
  ExpectErrorWith("model", R"({"type":"BPE","vocab":{"a":4294967296},"merges":[]})", kBad,
                  "4294967296");
  ExpectErrorWith("model", R"({"type":"BPE","vocab":{"a":1.5},"merges":[]})", kBad, "number");
  ExpectErrorWith("model", R"({"type":"BPE","vocab":{"a":1,"b":1},"merges":[]})", kBad, "same id");
  ExpectErrorWith("model", R"({"type":"BPE","vocab":{"a":0},"merges":["a b"]})", kBad, "'b'");
  ExpectErrorWith("model", R"({"type":"BPE","vocab":{"a":0,"b":1},"merges":["a b"]})", kBad,
                  "'ab'");
  ExpectErrorWith("model", R"({"type":"BPE","vocab":{"a":0},"merges":["a a a"]})", kBad, "merge 0");
  ExpectErrorWith("model", R"({"type":"BPE","vocab":{"a":0},"merges":[7]})", kBad, "merge 0");
  ExpectErrorWith("model", R"({"type":"BPE","vocab":{"a":0},"merges":[],"dropout":0.5})",
                  Code::kUnsupported, "dropout");
  ExpectErrorWith("added_tokens", "{}", kBad, "added_tokens");
  ExpectErrorWith("added_tokens", "[3]", kBad, "added_tokens[0]");
  ExpectErrorWith("added_tokens", R"([{"content":"x"}])", kBad, "id of the token");
  ExpectErrorWith("added_tokens", R"([{"content":"x","id":-5}])", kBad, "-5");
  ExpectErrorWith("added_tokens", R"([{"content":"x","id":2},{"content":"x","id":3}])", kBad,
                  "before");
  ExpectErrorWith("added_tokens", R"([{"content":7,"id":2}])", kBad, "content");
  ExpectErrorWith("normalizer", R"({"type":"Sequence","normalizers":7})", kBad, "normalizers");
  ExpectErrorWith("normalizer", R"("NFC")", kBad, "normalizer");
  ExpectErrorWith("pre_tokenizer",
                  R"({"type":"Split","pattern":{"Regex":"("},"behavior":"Isolated"})", kBad, "'('");
  ExpectErrorWith("pre_tokenizer", R"({"type":"Split","pattern":{"String":"a"},"behavior":"Odd"})",
                  kBad, "'Odd'");
  ExpectErrorWith("pre_tokenizer", R"({"type":"Metaspace","replacement":"ab"})", kBad, "'ab'");
  ExpectErrorWith("decoder", R"({"type":"Strip","content":" ","start":-1,"stop":0})", kBad,
                  "start");
  ExpectErrorWith(
      "post_processor",
      R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x"}}],"pair":[]})", kBad,
      "'x'");
  ExpectErrorWith("post_processor", R"({"type":"TemplateProcessing","single":[],"pair":[]})", kBad,
                  "sequence A");
}

TEST(LoadErrors, HostilePatternsEnd) {
  small::File file = small::ByteLevel();
  file.pre_tokenizer = Split("(a|a?)+(b|aa)*$x", "Isolated");
  const auto tokenizer = Load(file);
  const std::string text(2000, 'a');
  EXPECT_FALSE(tokenizer->Encode(text).empty());
}

}  // namespace
}  // namespace mach::text
