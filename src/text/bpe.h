// The "model" of a tokenizer.json: byte-pair encoding of one piece of text.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "json/value.h"
#include "text/merge_boundaries.h"
#include "text/merge_table.h"
#include "text/vocabulary.h"
#include "text/word_cache.h"
#include "text/work_budget.h"

namespace mach::text {

class Bpe {
 public:
  static Result<Bpe> FromJson(const json::Value& model);

  // From now on pieces are raw bytes instead of their spelling in the byte alphabet, with the same
  // ids. False, and nothing changes, where this vocabulary does not allow it. Before any Encode.
  bool ReadRawBytes();
  // For pieces that may be whole texts: finds where they can be cut. Before any Encode.
  void CutLongPieces();

  // Appends the ids of a piece; some ids where the budget is cancelled. REQUIRES valid UTF-8. Safe
  // from any thread.
  void Encode(std::string_view piece, std::vector<TokenId>& out, WorkBudget& budget) const;

  const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  static constexpr TokenId kAbsent = -1;

  void EncodePart(std::string_view piece, std::vector<TokenId>& out, WorkBudget& budget) const;
  void EncodeUncached(std::string_view piece, std::vector<TokenId>& symbols,
                      WorkBudget& budget) const;
  void CharacterSymbols(std::string_view piece, std::vector<TokenId>& symbols,
                        WorkBudget& budget) const;
  bool ByteFallback(std::string_view text, std::vector<TokenId>& symbols) const;

  // Constant after construction.
  Vocabulary vocabulary_;
  MergeTable merges_;
  std::string prefix_, suffix_;  // of all but the first character of a word, and of the last one
  TokenId unknown_ = kAbsent;
  bool fuse_unknown_ = false;
  bool ignore_merges_ = false;
  std::optional<std::array<TokenId, 256>> fallback_;  // ids of <0x00> to <0xFF>, kAbsent where none
  std::array<TokenId, 128> ascii_{};                  // ids of the ASCII characters
  std::optional<std::array<TokenId, 256>> bytes_;     // ids of the bytes, when reading raw bytes
  StringIds byte_strings_;                            // tokens as bytes, for ignore_merges_

  std::unique_ptr<const MergeBoundaries> boundaries_;

  std::unique_ptr<WordCache> cache_;
};

}  // namespace mach::text
