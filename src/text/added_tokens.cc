#include "text/added_tokens.h"

#include <algorithm>

#include "base/log.h"
#include "text/component.h"
#include "text/unicode.h"

namespace mach::text {

uint32_t TokenTrie::Child(uint32_t node, uint8_t byte, size_t& steps) const {
  uint32_t child = nodes_[node].first_child;
  for (++steps; child != 0 && nodes_[child].byte != byte; ++steps) child = nodes_[child].sibling;
  return child;
}

void TokenTrie::Insert(std::string_view text, uint32_t token) {
  if (text.empty()) return;
  uint32_t node = 0;
  size_t steps = 0;
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    uint32_t child = node == 0 ? first_[byte] : Child(node, byte, steps);
    if (child == 0) {
      child = static_cast<uint32_t>(nodes_.size());
      nodes_.push_back({.sibling = nodes_[node].first_child, .byte = byte});
      nodes_[node].first_child = child;
      if (node == 0) first_[byte] = child;
    }
    node = child;
  }
  if (nodes_[node].token == kNone) nodes_[node].token = token;
}

Result<AddedTokens> AddedTokens::FromJson(const json::Value& list, const Vocabulary& vocabulary,
                                          const Normalizer& normalizer) {
  AddedTokens out;
  if (list.is_null()) return out;
  if (!list.is_array()) {
    return Error{Code::kInvalidArgument,
                 "added_tokens is " + std::string(list.KindName()) + ", expected an array"};
  }
  for (size_t i = 0; i < list.AsArray().size(); ++i) {
    if (auto added = out.Add(list.AsArray()[i], vocabulary); !added.ok()) {
      return std::move(added).error().In("added_tokens[" + std::to_string(i) + "]");
    }
  }
  if (auto built = out.BuildTries(normalizer); !built.ok()) {
    return std::move(built).error().In("added_tokens");
  }
  return out;
}

Status AddedTokens::BuildTries(const Normalizer& normalizer) {
  size_t bytes = 0;
  for (const AddedToken& token : tokens_) bytes += token.content.size();
  WorkBudget budget(bytes);
  budget.LimitTime();
  const size_t growth = budget.growth_left();
  // Of equal strings after normalization special tokens win, then the order of the file.
  for (const bool special : {true, false}) {
    for (uint32_t i = 0; i < tokens_.size(); ++i) {
      const AddedToken& token = tokens_[i];
      if (token.special != special) continue;
      if (!token.normalized) {
        raw_.Insert(token.content, i);
        continue;
      }
      NormalizedText content;
      content.text = token.content;
      normalizer.Apply(content, budget);
      if (budget.spent()) {
        return Error{Code::kInvalidArgument,
                     "the normalizer makes more than " + std::to_string(growth) +
                         " bytes more of the " + std::to_string(bytes) +
                         " bytes of the tokens, or takes too long; expected at most that"};
      }
      if (content.text.size() <= kMaxContentBytes) normalized_.Insert(content.text, i);
    }
  }
  return Ok();
}

Status AddedTokens::Add(const json::Value& entry, const Vocabulary& vocabulary) {
  if (!entry.is_object()) {
    return Error{Code::kInvalidArgument,
                 "is " + std::string(entry.KindName()) + ", expected an object"};
  }
  AddedToken token;
  MACH_TRY(token.content, GetContent(entry, "content"));
  MACH_TRY(token.single_word, json::GetBool(entry, "single_word", false));
  MACH_TRY(token.lstrip, json::GetBool(entry, "lstrip", false));
  MACH_TRY(token.rstrip, json::GetBool(entry, "rstrip", false));
  MACH_TRY(token.special, json::GetBool(entry, "special", false));
  MACH_TRY(token.normalized, json::GetBool(entry, "normalized", !token.special));
  const json::Value* id = entry.Find("id");
  MACH_TRY(const TokenId written, ToTokenId(id == nullptr ? json::Value() : *id, "the token"));
  if (token.content.empty()) return Ok();  // the reference ignores it
  if (const auto known = by_content_.find(token.content); known != by_content_.end()) {
    if (tokens_[known->second].id == written) return Ok();
    return Error{Code::kInvalidArgument, "token " + Quoted(token.content) +
                                             " was added before with id " +
                                             std::to_string(tokens_[known->second].id) +
                                             ", now it has id " + std::to_string(written)};
  }
  const auto size = static_cast<TokenId>(vocabulary.size());
  token.id = vocabulary.Find(token.content).value_or(std::max(last_id_ + 1, size));
  if (token.id > kMaxTokenId) {
    return Error{Code::kInvalidArgument, "token " + Quoted(token.content) + " would have id " +
                                             std::to_string(token.id) + ", expected at most " +
                                             std::to_string(kMaxTokenId)};
  }
  if (token.id != written) {
    LogWarning("tokenizer: added token " + Quoted(token.content) + " is written with id " +
               std::to_string(written) + " and has id " + std::to_string(token.id));
  }
  last_id_ = std::max(last_id_, token.id);
  const auto index = static_cast<uint32_t>(tokens_.size());
  by_content_.emplace(token.content, index);
  by_id_.insert_or_assign(token.id, index);
  tokens_.push_back(std::move(token));
  return Ok();
}

void AddedTokens::MarkStructural(const std::vector<std::string>& literals) {
  TokenTrie contents;
  for (uint32_t i = 0; i < tokens_.size(); ++i) {
    const std::string& content = tokens_[i].content;
    if (LeadingSpace(content) < content.size()) contents.Insert(content, i);
  }
  size_t bytes = 0;
  for (const std::string& literal : literals) bytes += literal.size();
  WorkBudget budget(bytes);
  const auto mark = [&](uint32_t i, size_t) { return !(tokens_[i].structural = true); };
  uint32_t none = 0;
  for (const std::string_view literal : literals) {
    for (size_t at = 0; at < literal.size() && budget.MaySearch(); ++at) {
      if (contents.MayStart(literal[at])) contents.LongestAt(literal, at, mark, none, budget);
    }
  }
  if (budget.MaySearch()) return;
  // It may be any of them, and a token that is guarded too much is only text in a message.
  for (AddedToken& token : tokens_) token.structural = true;
}

const AddedToken* AddedTokens::FindId(TokenId id) const {
  const auto it = by_id_.find(id);
  return it == by_id_.end() ? nullptr : &tokens_[it->second];
}

const AddedToken* AddedTokens::FindContent(std::string_view content) const {
  const auto it = by_content_.find(std::string(content));
  return it == by_content_.end() ? nullptr : &tokens_[it->second];
}

void AddedTokens::Cut(const TokenTrie& trie, std::string_view text, std::string_view plain,
                      std::vector<Segment>& out, WorkBudget& budget) const {
  const auto accept = [&](uint32_t index, size_t begin, size_t end) {
    const AddedToken& token = tokens_[index];
    if (plain.empty() || !(token.special || token.structural)) return true;
    return plain.substr(begin, end - begin).find('\1') == std::string_view::npos;
  };
  size_t done = 0;  // what stands before it has been cut
  for (size_t at = 0; at < text.size();) {
    if (budget.Cancelled(1) || !budget.MaySearch()) break;
    if (!trie.MayStart(text[at])) {
      ++at;
      continue;
    }
    uint32_t index = 0;
    const size_t end = trie.LongestAt(
        text, at, [&](uint32_t i, size_t stop) { return accept(i, at, stop); }, index, budget);
    if (end == 0) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[index];
    size_t begin = at;
    size_t stop = end;
    at = end;
    if (token.single_word && ((begin > 0 && IsWord(CodePointBefore(text, begin))) ||
                              (stop < text.size() && IsWord(CodePointAt(text, stop))))) {
      continue;
    }
    // A token before this one may have taken white space beyond its start, or its end.
    if (token.lstrip) {
      begin = begin > done ? begin - TrailingSpace(text.substr(done, begin - done)) : done;
    }
    if (token.rstrip) stop = stop < done ? done : stop + LeadingSpace(text.substr(stop));
    if (done < begin) out.push_back({done, begin, -1});
    out.push_back({begin, stop, token.id});
    done = stop;
  }
  if (done < text.size()) out.push_back({done, text.size(), -1});
}

}  // namespace mach::text
