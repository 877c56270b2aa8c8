// The "added_tokens" of a tokenizer.json: found in text before anything else cuts it.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "json/value.h"
#include "text/normalizer.h"
#include "text/vocabulary.h"
#include "text/work_budget.h"

namespace mach::text {

struct AddedToken {
  std::string content;
  TokenId id = 0;
  bool single_word = false;  // only between characters that are no word characters
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // takes the white space after it
  bool normalized = false;   // searched for in normalized text
  bool special = false;
  bool structural = false;  // written by the chat template
};

// Strings to search for, leftmost first and of those the longest.
class TokenTrie {
 public:
  // The first of equal strings counts; the empty string is never found.
  void Insert(std::string_view text, uint32_t token);
  bool empty() const { return nodes_.size() == 1; }

  // Longest string at `at` whose token `accept` takes; its end, or 0. Counts the search.
  template <class Accept>
  size_t LongestAt(std::string_view text, size_t at, const Accept& accept, uint32_t& token,
                   WorkBudget& budget) const {
    size_t end = 0;
    size_t steps = 1;
    uint32_t node = first_[static_cast<uint8_t>(text[at])];
    for (size_t i = at + 1; node != 0; ++i) {
      const uint32_t found = nodes_[node].token;
      if (found != kNone && accept(found, i)) {
        end = i;
        token = found;
      }
      if (i == text.size()) break;
      node = Child(node, static_cast<uint8_t>(text[i]), steps);
    }
    budget.Searched(steps);
    return end;
  }
  bool MayStart(char c) const { return first_[static_cast<uint8_t>(c)] != 0; }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  struct Node {
    uint32_t token = kNone;
    uint32_t first_child = 0;  // 0: none
    uint32_t sibling = 0;      // the next child of the same node
    uint8_t byte = 0;          // that leads here
  };
  // 0: none. Adds the children looked at.
  uint32_t Child(uint32_t node, uint8_t byte, size_t& steps) const;

  std::vector<Node> nodes_ = std::vector<Node>(1);
  std::array<uint32_t, 256> first_{};  // children of the root
};

// A part of a text: an added token, or text between them (id -1).
struct Segment {
  size_t begin = 0, end = 0;
  TokenId id = -1;
};

class AddedTokens {
 public:
  // Ids as the reference gives them: a content in the vocabulary has its id there, others are
  // counted on from its size, whatever the file says (a difference is logged).
  static Result<AddedTokens> FromJson(const json::Value& list, const Vocabulary& vocabulary,
                                      const Normalizer& normalizer);

  // See Tokenizer::MarkStructural. Where the search takes too many steps, all of them are.
  void MarkStructural(const std::vector<std::string>& literals);

  // Cuts raw, or normalized, text. plain: empty, or a mark for each byte; guarded tokens (special
  // or structural) are not found where a byte is marked. No segment is empty. Where the budget is
  // spent, the rest is text.
  void CutRaw(std::string_view text, std::string_view plain, std::vector<Segment>& out,
              WorkBudget& budget) const {
    Cut(raw_, text, plain, out, budget);
  }
  void CutNormalized(std::string_view text, std::string_view plain, std::vector<Segment>& out,
                     WorkBudget& budget) const {
    Cut(normalized_, text, plain, out, budget);
  }
  bool any_normalized() const { return !normalized_.empty(); }

  const std::vector<AddedToken>& tokens() const { return tokens_; }
  const AddedToken* FindId(TokenId id) const;
  const AddedToken* FindContent(std::string_view content) const;

 private:
  Status Add(const json::Value& entry, const Vocabulary& vocabulary);
  void Cut(const TokenTrie& trie, std::string_view text, std::string_view plain,
           std::vector<Segment>& out, WorkBudget& budget) const;
  Status BuildTries(const Normalizer& normalizer);

  std::vector<AddedToken> tokens_;
  std::unordered_map<std::string, uint32_t> by_content_;
  std::unordered_map<TokenId, uint32_t> by_id_;
  TokenId last_id_ = -1;
  TokenTrie raw_, normalized_;
};

}  // namespace mach::text
