// Patterns of tokenizer files: Oniguruma's syntax, matched by PCRE2.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "json/value.h"
#include "text/work_budget.h"

namespace mach::text {

struct Match {
  size_t begin = 0, end = 0;  // bytes
  bool operator==(const Match&) const = default;
};

// Immutable and safe to share between threads. Searches take valid UTF-8.
class Regex {
 public:
  // kUnsupported for what PCRE2 cannot express, kInvalidArgument for what is no pattern.
  static Result<Regex> Compile(std::string_view oniguruma);
  // One of our own patterns, in PCRE2's syntax. REQUIRES that it compiles.
  static Regex Builtin(std::string_view pcre);
  static bool Compiles(std::string_view pcre) { return CompilePcre(pcre).ok(); }

  // The first match at or after `from`; lookbehind sees what stands before it. Nothing where the
  // budget is spent or cancelled: it is looked at several times in a long search.
  std::optional<Match> Find(std::string_view text, size_t from, WorkBudget& budget) const;

  struct Compiled;  // the library's form

 private:
  explicit Regex(std::shared_ptr<const Compiled> code) : code_(std::move(code)) {}
  static Result<Regex> CompilePcre(std::string_view pcre);
  std::shared_ptr<const Compiled> code_;
};

// The "pattern" of Split and Replace: {"Regex": ...} or {"String": ...}.
class Pattern {
 public:
  static Result<Pattern> FromJson(const json::Value& pattern);
  static Pattern FromRegex(Regex regex) { return Pattern(std::move(regex), {}); }

  bool is_regex() const { return regex_.has_value(); }
  size_t size() const { return literal_.size(); }  // of a match, where it is no regex

 private:
  Pattern(std::optional<Regex> regex, std::string literal)
      : regex_(std::move(regex)), literal_(std::move(literal)) {}
  friend class MatchCursor;
  std::optional<Regex> regex_;
  std::string literal_;
};

// The matches of a pattern from left to right, none overlapping; an empty one is not taken right
// after another match. The empty string matches between all characters.
class MatchCursor {
 public:
  // Borrows all three.
  MatchCursor(const Pattern& pattern, std::string_view text, WorkBudget& budget)
      : pattern_(pattern), text_(text), budget_(budget) {}

  std::optional<Match> Next();

 private:
  std::optional<Match> Find() const;

  const Pattern& pattern_;
  const std::string_view text_;
  WorkBudget& budget_;
  size_t from_ = 0;
  size_t last_end_ = std::string_view::npos;  // none yet
};

// White_Space as the inside of a PCRE2 class: \s under UCP would take U+180E too.
inline constexpr std::string_view kWhiteSpaceClass =
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}"
    "\\x{205f}\\x{3000}";

}  // namespace mach::text
