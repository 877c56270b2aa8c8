// The "pre_tokenizer" of a tokenizer.json: cuts normalized text into the pieces that the model
// merges each on its own. Split, ByteLevel, Digits, Metaspace, Punctuation, Whitespace,
// WhitespaceSplit, CharDelimiterSplit, and Sequences of them.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "json/value.h"
#include "text/component.h"
#include "text/regex.h"
#include "text/splitting.h"

namespace mach::text {

// A text and the pieces of it that are left, in order; none is empty.
struct Pieces {
  std::string_view text;  // borrowed from the caller, or from storage
  std::string storage;
  std::vector<Match> list;
  bool at_start = true;  // whether the first byte of text is the first of what Encode was given
};

class PreTokenizer {
 public:
  PreTokenizer() = default;                                            // one piece
  static Result<PreTokenizer> FromJson(const json::Value& component);  // null: one piece

  // Whether the last step maps bytes to the byte alphabet. A model that reads bytes itself saves
  // it: DropFinalByteMap removes the step. REQUIRES ends_with_byte_map() for the removal.
  bool ends_with_byte_map() const;
  void DropFinalByteMap() { steps_.pop_back(); }

  // REQUIRES one piece over all of a text that is not empty. Where the budget is spent, pieces stay
  // as they are.
  void Apply(Pieces& pieces, WorkBudget& budget) const;

 private:
  struct Split {
    Pattern pattern;
    Behavior behavior;
    bool invert;
  };
  struct SplitCharacters {
    bool (*is_delimiter)(uint32_t);
    Behavior behavior;
  };
  struct SplitCharacter {
    uint32_t delimiter;
    Behavior behavior;
  };
  struct PrefixSpace {};
  struct ByteMap {};
  struct MetaspaceMap {
    std::string replacement;
    PrependScheme prepend;
  };
  using Step =
      std::variant<Split, SplitCharacters, SplitCharacter, PrefixSpace, ByteMap, MetaspaceMap>;

  Status Add(const json::Value& component);
  Status AddMetaspace(const json::Value& component);
  static void Run(const Split& step, Pieces& p, WorkBudget& budget);
  static void Run(const SplitCharacters& step, Pieces& p, WorkBudget& budget);
  static void Run(const SplitCharacter& step, Pieces& p, WorkBudget& budget);
  static void Run(PrefixSpace, Pieces& p, WorkBudget& budget);
  static void Run(ByteMap, Pieces& p, WorkBudget& budget);
  static void Run(const MetaspaceMap& step, Pieces& p, WorkBudget& budget);

  std::vector<Step> steps_;
};

}  // namespace mach::text
