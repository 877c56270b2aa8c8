#include "text/unicode.h"

#include <cstdlib>
#include <memory>
#include <string>

#include <gtest/gtest.h>
#include <utf8proc.h>

#include "base/random.h"
#include "base/utf8.h"
#include "json/value.h"
#include "text/normalizer.h"

namespace mach::text {
namespace {

TEST(Unicode, ClassesOfCharacters) {
  EXPECT_TRUE(IsWhiteSpace(0x85) && IsWhiteSpace(0x3000) && IsWhiteSpace(0x2028));
  EXPECT_FALSE(IsWhiteSpace(0x180E) || IsWhiteSpace(0x200B) || IsWhiteSpace(0x1C));
  EXPECT_TRUE(IsNumeric('7') && IsNumeric(0xBD) && IsNumeric(0x2160) && IsNumeric(0x661));
  EXPECT_FALSE(IsNumeric('a') || IsNumeric(0x4E00));
  EXPECT_TRUE(IsPunctuation('$') && IsPunctuation(0x3002) && IsPunctuation(0xAB));
  EXPECT_FALSE(IsPunctuation(0xA3) || IsPunctuation('a'));
  EXPECT_TRUE(IsWord('_') && IsWord(0x301) && IsWord(0x200D) && IsWord(0x2160) && IsWord(0x4E00));
  EXPECT_FALSE(IsWord('-') || IsWord(0x3002) || IsWord(' '));
}

TEST(Unicode, SpaceAtTheEnds) {
  EXPECT_EQ(LeadingSpace("\u3000 a "), 4u);
  EXPECT_EQ(TrailingSpace("\u3000 a \u2028"), 4u);
  EXPECT_EQ(LeadingSpace(" \t"), 2u);
  EXPECT_EQ(TrailingSpace(" \t"), 2u);
  EXPECT_EQ(TrailingSpace(""), 0u);
}

TEST(Unicode, LowerCaseGoesCharacterByCharacter) {
  std::string out;
  for (const uint32_t c : {0x130u, 0x3A3u, 0xC4u}) AppendLower(out, c);
  EXPECT_EQ(out, "i\u0307\u03C3\u00E4");
}

std::string Normalized(std::string_view text, NormalForm form) {
  WorkBudget budget(text.size());
  std::string out = Normalize(text, form, budget);
  EXPECT_FALSE(budget.spent());
  return out;
}

std::string Reference(std::string_view text, int options) {
  utf8proc_uint8_t* mapped = nullptr;
  const auto n = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                              static_cast<utf8proc_ssize_t>(text.size()), &mapped,
                              static_cast<utf8proc_option_t>(options | UTF8PROC_STABLE));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owned(mapped, &std::free);
  return std::string(reinterpret_cast<const char*>(mapped), static_cast<size_t>(n));
}

// Characters that combine in every way, and others.
std::string RandomText(uint64_t seed) {
  constexpr uint32_t kChosen[] = {'a',    'e',    ' ',    0x301,  0x323,   0x327,  0xE9,   0x1E69,
                                  0x1100, 0x1161, 0x11A8, 0xAC00, 0xAC01,  0x9C7,  0x9BE,  0x1025,
                                  0x102E, 0xFB01, 0xFDFA, 0xFF76, 0xFF9E,  0x3099, 0x304B, 0x212B,
                                  0x4E00, 0xBD,   0x345,  0x3B1,  0x1F600, 0x2126, 0xB5,   0x958};
  std::string out;
  for (uint64_t i = 0; i < 12; ++i) {
    const auto pick = static_cast<uint32_t>(UniformAt(seed, i) * 40);
    if (pick < std::size(kChosen)) {
      utf8::Append(out, kChosen[pick]);
    } else {
      utf8::Append(out, static_cast<uint32_t>(UniformAt(seed, i, 1) * 0x3000));
    }
  }
  return out;
}

TEST(Unicode, NormalFormsInPartsAreThoseOfTheWhole) {
  for (uint64_t seed = 0; seed < 5000; ++seed) {
    const std::string text = RandomText(seed);
    EXPECT_EQ(Normalized(text, NormalForm::kNfc), Reference(text, UTF8PROC_COMPOSE));
    EXPECT_EQ(Normalized(text, NormalForm::kNfd), Reference(text, UTF8PROC_DECOMPOSE));
    EXPECT_EQ(Normalized(text, NormalForm::kNfkc),
              Reference(text, UTF8PROC_COMPOSE | UTF8PROC_COMPAT));
    EXPECT_EQ(Normalized(text, NormalForm::kNfkd),
              Reference(text, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT));
  }
}

TEST(Unicode, LongRunsOfMarksAreOrderedAndTakeNoSquareOfTheirLength) {
  const auto run = [](size_t marks) {
    std::string text = "a";
    for (size_t i = 0; i < marks; ++i) {
      utf8::Append(text, 0x300 + static_cast<uint32_t>(UniformAt(7, i) * 0x4f));
    }
    return text + "b";
  };
  const std::string some = run(3000);
  EXPECT_EQ(Normalized(some, NormalForm::kNfc), Reference(some, UTF8PROC_COMPOSE));
  EXPECT_EQ(Normalized(some, NormalForm::kNfd), Reference(some, UTF8PROC_DECOMPOSE));
  // With the square of it these would take a quarter of an hour.
  const std::string many = run(500000);
  const std::string ordered = Normalized(many, NormalForm::kNfd);
  EXPECT_EQ(Normalized(ordered, NormalForm::kNfd), ordered);
  EXPECT_EQ(Normalized(many, NormalForm::kNfc), Normalized(ordered, NormalForm::kNfc));
}

TEST(Unicode, MarksOfPlainBytesFollowTheText) {
  json::Array steps;
  for (const char* type : {"NFKD", "StripAccents", "Lowercase", "NFC"}) {
    steps.push_back(json::Object{{"type", type}});
  }
  steps.push_back(json::Object{
      {"type", "Replace"}, {"pattern", json::Object{{"String", "ss"}}}, {"content", "[sharp]"}});
  steps.push_back(json::Object{{"type", "Prepend"}, {"prepend", ">>"}});
  steps.push_back(json::Object{{"type", "Strip"}, {"strip_left", true}, {"strip_right", true}});
  const auto normalizer =
      Normalizer::FromJson(json::Object{{"type", "Sequence"}, {"normalizers", steps}});
  ASSERT_TRUE(normalizer.ok()) << normalizer.error().message;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const std::string text = "SSx" + RandomText(seed) + "ss";
    NormalizedText without;
    without.text = text;
    NormalizedText with = without;
    const size_t n = CharLength(text[3]);
    with.plain =
        std::string(3, '\0') + std::string(n, '\1') + std::string(text.size() - 3 - n, '\0');
    WorkBudget budget(0);
    normalizer->Apply(without, budget);
    normalizer->Apply(with, budget);
    EXPECT_EQ(with.text, without.text);
    ASSERT_EQ(with.plain.size(), with.text.size());
    EXPECT_TRUE(with.text.starts_with(">>[sharp]"));
    EXPECT_EQ(with.plain.substr(0, 9).find('\1'), std::string::npos);
  }
}

}  // namespace
}  // namespace mach::text
