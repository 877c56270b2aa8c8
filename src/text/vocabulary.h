// Token strings and their ids.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "json/value.h"

namespace mach::text {

// From strings to ids, by open addressing. The strings live in one block that this object owns.
class StringIds {
 public:
  // Room for `count` strings of `bytes` in all without growing.
  void Reserve(size_t count, size_t bytes);
  // False, and nothing changes, where the string is there already.
  bool Insert(std::string_view text, TokenId id);
  std::optional<TokenId> Find(std::string_view text) const;
  size_t size() const { return entries_.size(); }

  std::string_view TextAt(size_t index) const {  // in the order of insertion
    return std::string_view(arena_).substr(entries_[index].offset, entries_[index].length);
  }
  TokenId IdAt(size_t index) const { return entries_[index].id; }

 private:
  struct Entry {
    uint32_t offset, length;
    TokenId id;
  };
  struct Slot {
    uint32_t hash;
    uint32_t entry;  // index + 1; 0: empty
  };
  void Grow(size_t slots);

  std::string arena_;
  std::vector<Entry> entries_;
  std::vector<Slot> slots_;
};

class Vocabulary {
 public:
  // The "vocab" object of a model. Strings and ids are unique; ids go to at most kMaxTokenId,
  // strings have at most kMaxTokenBytes.
  static Result<Vocabulary> FromJson(const json::Value& vocab);

  std::optional<TokenId> Find(std::string_view token) const { return ids_.Find(token); }
  size_t size() const { return ids_.size(); }
  size_t end_id() const { return index_of_id_.size(); }  // past the largest id
  bool Has(TokenId id) const {
    return id >= 0 && static_cast<size_t>(id) < index_of_id_.size() &&
           index_of_id_[static_cast<size_t>(id)] != kNone;
  }
  // REQUIRES Has(id).
  std::string_view Token(TokenId id) const {
    return ids_.TextAt(index_of_id_[static_cast<size_t>(id)]);
  }
  const StringIds& strings() const { return ids_; }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  StringIds ids_;
  std::vector<uint32_t> index_of_id_;
};

}  // namespace mach::text
