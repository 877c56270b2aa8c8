#include "text/vocabulary.h"

#include <algorithm>
#include <bit>

#include <xxhash.h>

#include "text/component.h"

namespace mach::text {
namespace {

uint32_t Hash(std::string_view text) {
  return static_cast<uint32_t>(XXH3_64bits(text.data(), text.size()));
}

}  // namespace

void StringIds::Reserve(size_t count, size_t bytes) {
  arena_.reserve(bytes);
  entries_.reserve(count);
  Grow(std::bit_ceil(count * 2 + 16));
}

void StringIds::Grow(size_t slots) {
  std::vector<Slot> old(slots);
  old.swap(slots_);
  for (const Slot& s : old) {
    if (s.entry == 0) continue;
    size_t at = s.hash & (slots - 1);
    while (slots_[at].entry != 0) at = (at + 1) & (slots - 1);
    slots_[at] = s;
  }
}

bool StringIds::Insert(std::string_view text, TokenId id) {
  if ((entries_.size() + 1) * 2 > slots_.size()) Grow(std::max<size_t>(64, slots_.size() * 2));
  const uint32_t hash = Hash(text);
  size_t at = hash & (slots_.size() - 1);
  for (; slots_[at].entry != 0; at = (at + 1) & (slots_.size() - 1)) {
    if (slots_[at].hash == hash && TextAt(slots_[at].entry - 1) == text) return false;
  }
  slots_[at] = {hash, static_cast<uint32_t>(entries_.size() + 1)};
  entries_.push_back(
      {static_cast<uint32_t>(arena_.size()), static_cast<uint32_t>(text.size()), id});
  arena_ += text;
  return true;
}

std::optional<TokenId> StringIds::Find(std::string_view text) const {
  if (slots_.empty()) return std::nullopt;
  const uint32_t hash = Hash(text);
  for (size_t at = hash & (slots_.size() - 1); slots_[at].entry != 0;
       at = (at + 1) & (slots_.size() - 1)) {
    const size_t index = slots_[at].entry - 1;
    if (slots_[at].hash == hash && TextAt(index) == text) return entries_[index].id;
  }
  return std::nullopt;
}

Result<Vocabulary> Vocabulary::FromJson(const json::Value& vocab) {
  if (!vocab.is_object()) {
    return Error{Code::kInvalidArgument, "'vocab' is " + std::string(vocab.KindName()) +
                                             ", expected an object of tokens and ids"};
  }
  const json::Object& object = vocab.AsObject();
  size_t bytes = 0;
  int64_t last = -1;
  for (const json::Member& m : object) {
    if (auto id = ToTokenId(m.value, Quoted(m.key)); !id.ok()) {
      return std::move(id).error().In("'vocab'");
    }
    if (m.key.size() > kMaxTokenBytes) {
      return Error{Code::kInvalidArgument,
                   "'vocab': token " + Quoted(m.key) + " has " + std::to_string(m.key.size()) +
                       " bytes, expected at most " + std::to_string(kMaxTokenBytes)};
    }
    bytes += m.key.size();
    last = std::max(last, m.value.AsInt());
  }
  if (bytes > UINT32_MAX) {
    return Error{Code::kInvalidArgument, "'vocab' has more than 4 GiB of tokens"};
  }
  Vocabulary out;
  out.ids_.Reserve(object.size(), bytes);
  out.index_of_id_.assign(static_cast<size_t>(last + 1), kNone);
  for (const json::Member& m : object) {
    const auto id = static_cast<TokenId>(m.value.AsInt());
    uint32_t& index = out.index_of_id_[static_cast<size_t>(id)];
    if (index != kNone) {
      return Error{Code::kInvalidArgument, "'vocab': " + Quoted(m.key) + " and " +
                                               Quoted(out.ids_.TextAt(index)) +
                                               " have the same id " + std::to_string(id)};
    }
    index = static_cast<uint32_t>(out.ids_.size());
    out.ids_.Insert(m.key, id);  // keys of an object are unique
  }
  return out;
}

}  // namespace mach::text
