#include "text/pre_tokenizer.h"

#include "base/utf8.h"
#include "text/byte_alphabet.h"
#include "text/component.h"
#include "text/unicode.h"

namespace mach::text {
namespace {

// The pattern of GPT-2, in the syntax of tokenizer files.
constexpr std::string_view kByteLevelPattern =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

// Cuts every piece: `add(text, cutter)` gives the cutter the matches in the text.
template <class AddMatches>
void CutPieces(Pieces& p, Behavior behavior, bool invert, WorkBudget& budget,
               const AddMatches& add) {
  std::vector<Match> list;
  list.reserve(p.list.size());
  for (const Match& piece : p.list) {
    const size_t size = piece.end - piece.begin;
    if (budget.Cancelled(1)) return;
    Cutter cutter(behavior, invert, piece.begin, list);
    add(p.text.substr(piece.begin, size), cutter);
    cutter.Finish(size);
  }
  p.list = std::move(list);
}

template <class IsDelimiter>
void CutAtCharacters(Pieces& p, Behavior behavior, WorkBudget& budget,
                     const IsDelimiter& is_delimiter) {
  CutPieces(p, behavior, false, budget, [&](std::string_view text, Cutter& cutter) {
    for (size_t at = 0; at < text.size();) {
      const size_t n = CharLength(text[at]);
      if (is_delimiter(CodePointAt(text, at))) cutter.Add({at, at + n});
      if (budget.Cancelled(1)) return;
      at += n;
    }
  });
}

// Rewrites every piece with `write(text, is_at_start, out)`, which appends to out; not those that
// would grow beyond the budget.
template <class Write>
void RewritePieces(Pieces& p, WorkBudget& budget, const Write& write) {
  std::string storage;
  storage.reserve(p.text.size() + p.text.size() / 4);
  const bool first_is_at_start = p.at_start && !p.list.empty() && p.list.front().begin == 0;
  for (Match& piece : p.list) {
    const size_t begin = storage.size();
    const std::string_view text = p.text.substr(piece.begin, piece.end - piece.begin);
    write(text, p.at_start && piece.begin == 0, storage);
    const size_t written = storage.size() - begin;
    if (written > text.size() && !budget.Grow(written - text.size())) {
      storage.resize(begin);
      storage += text;
    }
    if (budget.Cancelled(text.size())) return;
    piece = {begin, storage.size()};
  }
  // What was before the first piece is gone from the new text.
  p.at_start = first_is_at_start;
  p.storage = std::move(storage);
  p.text = p.storage;
}

}  // namespace

Result<PreTokenizer> PreTokenizer::FromJson(const json::Value& component) {
  PreTokenizer out;
  if (component.is_null()) return out;
  MACH_TRY(const auto components, FlattenSequence(component, "pretokenizers", "pre_tokenizer"));
  for (const json::Value* c : components) {
    if (auto added = out.Add(*c); !added.ok()) return std::move(added).error().In("pre_tokenizer");
  }
  return out;
}

Status PreTokenizer::Add(const json::Value& component) {
  MACH_TRY(const std::string type, ComponentType(component, "pre_tokenizer"));
  if (type == "Split") {
    const json::Value* pattern = component.Find("pattern");
    MACH_TRY(Pattern compiled, Pattern::FromJson(pattern == nullptr ? json::Value() : *pattern));
    MACH_TRY(const std::string name, json::GetString(component, "behavior"));
    MACH_TRY(const Behavior behavior, ParseBehavior(name));
    MACH_TRY(const bool invert, json::GetBool(component, "invert", false));
    steps_.push_back(Split{std::move(compiled), behavior, invert});
    return Ok();
  }
  if (type == "ByteLevel") {
    MACH_TRY(const bool prefix, json::GetBool(component, "add_prefix_space", true));
    MACH_TRY(const bool use_regex, json::GetBool(component, "use_regex", true));
    if (prefix) steps_.push_back(PrefixSpace{});
    if (use_regex) {
      MACH_TRY(Regex regex, Regex::Compile(kByteLevelPattern));
      steps_.push_back(Split{Pattern::FromRegex(std::move(regex)), Behavior::kIsolated, false});
    }
    steps_.push_back(ByteMap{});
    return Ok();
  }
  if (type == "Digits") {
    MACH_TRY(const bool single, json::GetBool(component, "individual_digits", false));
    steps_.push_back(
        SplitCharacters{&IsNumeric, single ? Behavior::kIsolated : Behavior::kContiguous});
    return Ok();
  }
  if (type == "Punctuation") {
    MACH_TRY(const std::string name, json::GetString(component, "behavior", "Isolated"));
    MACH_TRY(const Behavior behavior, ParseBehavior(name));
    steps_.push_back(SplitCharacters{&IsPunctuation, behavior});
    return Ok();
  }
  if (type == "WhitespaceSplit") {
    steps_.push_back(SplitCharacters{&IsWhiteSpace, Behavior::kRemoved});
    return Ok();
  }
  if (type == "Whitespace") {
    const std::string word = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200c}\\x{200d}";
    steps_.push_back(Split{Pattern::FromRegex(Regex::Builtin("[" + word + "]+|[^" + word +
                                                             std::string(kWhiteSpaceClass) + "]+")),
                           Behavior::kRemoved, true});
    return Ok();
  }
  if (type == "CharDelimiterSplit") {
    MACH_TRY(const uint32_t delimiter, GetCharacter(component, "delimiter"));
    steps_.push_back(SplitCharacter{delimiter, Behavior::kRemoved});
    return Ok();
  }
  if (type == "Metaspace") return AddMetaspace(component);
  return UnsupportedComponent("pre_tokenizer", type,
                              "Split, ByteLevel, Digits, Metaspace, Punctuation, Whitespace, "
                              "WhitespaceSplit, CharDelimiterSplit and Sequence");
}

Status PreTokenizer::AddMetaspace(const json::Value& component) {
  MACH_TRY(const uint32_t replacement, GetCharacter(component, "replacement"));
  MACH_TRY(const PrependScheme scheme, ReadPrependScheme(component));
  MACH_TRY(const bool split, json::GetBool(component, "split", true));
  MetaspaceMap step;
  utf8::Append(step.replacement, replacement);
  step.prepend = scheme;
  steps_.push_back(std::move(step));
  if (split) steps_.push_back(SplitCharacter{replacement, Behavior::kMergedWithNext});
  return Ok();
}

bool PreTokenizer::ends_with_byte_map() const {
  return !steps_.empty() && std::holds_alternative<ByteMap>(steps_.back());
}

void PreTokenizer::Apply(Pieces& pieces, WorkBudget& budget) const {
  for (const Step& step : steps_) {
    std::visit([&](const auto& s) { Run(s, pieces, budget); }, step);
    if (budget.cancelled()) return;
  }
}

void PreTokenizer::Run(const Split& step, Pieces& p, WorkBudget& budget) {
  CutPieces(p, step.behavior, step.invert, budget, [&](std::string_view text, Cutter& cutter) {
    MatchCursor cursor(step.pattern, text, budget);
    while (const auto m = cursor.Next()) cutter.Add(*m);
  });
}

void PreTokenizer::Run(const SplitCharacters& step, Pieces& p, WorkBudget& budget) {
  CutAtCharacters(p, step.behavior, budget, step.is_delimiter);
}

void PreTokenizer::Run(const SplitCharacter& step, Pieces& p, WorkBudget& budget) {
  CutAtCharacters(p, step.behavior, budget, [&](uint32_t c) { return c == step.delimiter; });
}

void PreTokenizer::Run(PrefixSpace, Pieces& p, WorkBudget& budget) {
  RewritePieces(p, budget, [](std::string_view text, bool, std::string& out) {
    if (text.front() != ' ') out += ' ';
    out += text;
  });
}

void PreTokenizer::Run(ByteMap, Pieces& p, WorkBudget& budget) {
  const auto& characters = ByteCharacters();
  RewritePieces(p, budget, [&](std::string_view text, bool, std::string& out) {
    for (const char b : text) out += characters[static_cast<uint8_t>(b)];
  });
}

void PreTokenizer::Run(const MetaspaceMap& step, Pieces& p, WorkBudget& budget) {
  RewritePieces(p, budget, [&](std::string_view text, bool at_start, std::string& out) {
    const bool wanted = step.prepend == PrependScheme::kAlways ||
                        (step.prepend == PrependScheme::kFirst && at_start);
    if (wanted && text.front() != ' ' && !text.starts_with(step.replacement)) {
      out += step.replacement;
    }
    for (const char c : text) {
      if (c == ' ') {
        out += step.replacement;
      } else {
        out += c;
      }
    }
  });
}

}  // namespace mach::text
