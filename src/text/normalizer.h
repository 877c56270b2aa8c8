// The "normalizer" of a tokenizer.json: NFC, NFD, NFKC, NFKD, Replace, Prepend, Strip,
// StripAccents, Lowercase, and Sequences of them.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "json/value.h"
#include "text/regex.h"
#include "text/unicode.h"

namespace mach::text {

struct NormalizedText {
  std::string text;
  // Empty, or for each byte of text 1 where it comes from a character of a plain range, else 0.
  std::string plain;
  // Whether the first character comes from the very first byte of what Encode was given.
  bool at_start = true;
};

class Normalizer {
 public:
  Normalizer() = default;                                            // changes nothing
  static Result<Normalizer> FromJson(const json::Value& component);  // null: changes nothing

  bool empty() const { return steps_.empty(); }
  // REQUIRES valid UTF-8. Where the budget is spent, what is left of the text stays as it is.
  void Apply(NormalizedText& text, WorkBudget& budget) const;

 private:
  struct Replace {
    Pattern pattern;
    std::string content;
  };
  struct Prepend {
    std::string content;
  };
  struct Strip {
    bool left, right;
  };
  struct StripAccents {};
  struct Lowercase {};
  using Step = std::variant<NormalForm, Replace, Prepend, Strip, StripAccents, Lowercase>;

  static Result<Step> StepFromJson(const json::Value& component);
  static void Run(NormalForm form, NormalizedText& t, WorkBudget& budget);
  static void Run(const Replace& step, NormalizedText& t, WorkBudget& budget);
  static void Run(const Prepend& step, NormalizedText& t, WorkBudget& budget);
  static void Run(Strip step, NormalizedText& t, WorkBudget& budget);
  static void Run(StripAccents, NormalizedText& t, WorkBudget& budget);
  static void Run(Lowercase, NormalizedText& t, WorkBudget& budget);

  std::vector<Step> steps_;
};

}  // namespace mach::text
