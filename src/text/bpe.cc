#include "text/bpe.h"

#include <cstdio>
#include <utility>

#include "base/log.h"
#include "text/byte_alphabet.h"
#include "text/component.h"
#include "text/unicode.h"

namespace mach::text {
namespace {

constexpr std::string_view kSupported = "BPE";

// Older files name no type: a vocabulary that is an object, and merges, are BPE.
Status CheckIsBpe(const json::Value& model) {
  if (!model.is_object()) {
    return Error{Code::kInvalidArgument,
                 "model is " + std::string(model.KindName()) + ", expected an object"};
  }
  const json::Value* type = model.Find("type");
  if (type == nullptr && model.Find("merges") != nullptr) return Ok();
  MACH_TRY(const std::string name, ComponentType(model, "model"));
  if (name != "BPE") return UnsupportedComponent("model", name, kSupported);
  return Ok();
}

const json::Value& MemberOrNull(const json::Value& object, std::string_view key) {
  static const json::Value null;
  const json::Value* found = object.Find(key);
  return found == nullptr ? null : *found;
}

// Pieces are valid UTF-8: a vocabulary may lack the bytes that never occur in it.
constexpr bool OccursInUtf8(size_t byte) { return byte < 0xC0 || (byte > 0xC1 && byte < 0xF5); }

}  // namespace

Result<Bpe> Bpe::FromJson(const json::Value& model) {
  MACH_RETURN_IF_ERROR(CheckIsBpe(model));
  Bpe out;
  auto dropout = json::GetDouble(model, "dropout", 0.0);
  if (!dropout.ok()) return std::move(dropout).error().In("model");
  if (*dropout != 0) {
    return Error{Code::kUnsupported,
                 "model: 'dropout' is not 0: it makes encoding random, set it to null"};
  }
  const auto read = [&](std::string_view key) -> Result<std::string> {
    if (MemberOrNull(model, key).is_null()) return std::string();
    return GetContent(model, key);
  };
  MACH_TRY(out.prefix_, read("continuing_subword_prefix"));
  MACH_TRY(out.suffix_, read("end_of_word_suffix"));
  MACH_TRY(const std::string unknown, read("unk_token"));
  MACH_TRY(out.fuse_unknown_, json::GetBool(model, "fuse_unk", false));
  MACH_TRY(out.ignore_merges_, json::GetBool(model, "ignore_merges", false));
  MACH_TRY(const bool byte_fallback, json::GetBool(model, "byte_fallback", false));

  auto vocabulary = Vocabulary::FromJson(MemberOrNull(model, "vocab"));
  if (!vocabulary.ok()) return std::move(vocabulary).error().In("model");
  out.vocabulary_ = *std::move(vocabulary);
  auto merges =
      MergeTable::FromJson(MemberOrNull(model, "merges"), out.vocabulary_, out.prefix_.size());
  if (!merges.ok()) return std::move(merges).error().In("model");
  out.merges_ = *std::move(merges);

  const auto find = [&](std::string_view token) {
    return out.vocabulary_.Find(token).value_or(kAbsent);
  };
  if (!MemberOrNull(model, "unk_token").is_null()) {
    out.unknown_ = find(unknown);
    if (out.unknown_ == kAbsent) {
      LogWarning("tokenizer: 'unk_token' " + Quoted(unknown) +
                 " is not in the vocabulary; unknown characters are dropped");
    }
  }
  if (byte_fallback) {
    auto& ids = out.fallback_.emplace();
    for (size_t b = 0; b < 256; ++b) {
      char name[8];
      static_cast<void>(std::snprintf(name, sizeof(name), "<0x%02X>", static_cast<unsigned>(b)));
      ids[b] = find(name);
    }
  }
  for (size_t c = 0; c < out.ascii_.size(); ++c) {
    out.ascii_[c] = find(std::string(1, static_cast<char>(c)));
  }
  out.cache_ = std::make_unique<WordCache>();
  return out;
}

bool Bpe::ReadRawBytes() {
  if (!prefix_.empty() || !suffix_.empty()) return false;
  std::array<TokenId, 256> ids{};
  for (size_t b = 0; b < 256; ++b) {
    ids[b] = vocabulary_.Find(ByteCharacters()[b]).value_or(kAbsent);
    if (ids[b] == kAbsent && OccursInUtf8(b)) return false;
  }
  bytes_ = ids;
  if (ignore_merges_) {
    const StringIds& strings = vocabulary_.strings();
    byte_strings_.Reserve(strings.size(), 0);
    for (size_t i = 0; i < strings.size(); ++i) {
      if (const auto bytes = FromByteAlphabet(strings.TextAt(i))) {
        byte_strings_.Insert(*bytes, strings.IdAt(i));
      }
    }
  }
  return true;
}

void Bpe::CutLongPieces() {
  // Spelling and ids of a character depend on its place in the piece, or on the whole piece.
  if (!prefix_.empty() || !suffix_.empty() || ignore_merges_ || bytes_) return;
  boundaries_ = std::make_unique<const MergeBoundaries>(vocabulary_);
}

void Bpe::Encode(std::string_view piece, std::vector<TokenId>& out, WorkBudget& budget) const {
  // Positions are 32 bits wide: a piece beyond 2^30 bytes is cut.
  constexpr size_t kMaxPiece = size_t{1} << 30;
  while (piece.size() > kMaxPiece) {
    size_t n = kMaxPiece;
    while ((static_cast<uint8_t>(piece[n]) & 0xC0) == 0x80) --n;
    Encode(piece.substr(0, n), out, budget);
    piece.remove_prefix(n);
  }
  if (boundaries_ == nullptr) {
    EncodePart(piece, out, budget);
    return;
  }
  while (!piece.empty() && !budget.cancelled()) {
    const size_t n = boundaries_->FirstPart(piece);
    EncodePart(piece.substr(0, n), out, budget);
    piece.remove_prefix(n);
  }
}

void Bpe::EncodePart(std::string_view piece, std::vector<TokenId>& out, WorkBudget& budget) const {
  constexpr size_t kKeptSymbols = 1 << 16;
  if (piece.empty() || budget.Cancelled(piece.size())) return;
  const bool cached = WordCache::Fits(piece);
  const uint64_t hash = cached ? WordCache::Hash(piece) : 0;
  if (cached && cache_->Find(hash, piece, out)) return;
  thread_local std::vector<TokenId> symbols;
  symbols.clear();
  EncodeUncached(piece, symbols, budget);
  if (cached && !budget.cancelled()) cache_->Put(hash, piece, symbols);
  out.insert(out.end(), symbols.begin(), symbols.end());
  if (symbols.capacity() > kKeptSymbols) symbols = {};
}

void Bpe::EncodeUncached(std::string_view piece, std::vector<TokenId>& symbols,
                         WorkBudget& budget) const {
  if (ignore_merges_) {
    const auto id = bytes_ ? byte_strings_.Find(piece) : vocabulary_.Find(piece);
    if (id) {
      symbols.push_back(*id);
      return;
    }
  }
  symbols.reserve(piece.size());
  if (bytes_) {
    for (const char b : piece) symbols.push_back((*bytes_)[static_cast<uint8_t>(b)]);
  } else {
    CharacterSymbols(piece, symbols, budget);
  }
  merges_.MergeAll(symbols, budget);
}

void Bpe::CharacterSymbols(std::string_view piece, std::vector<TokenId>& symbols,
                           WorkBudget& budget) const {
  const bool decorated = !prefix_.empty() || !suffix_.empty();
  // An unknown character waits: others may join it, and byte fallbacks after it overtake it, as in
  // the reference.
  bool waiting = false;
  const auto flush = [&] {
    if (std::exchange(waiting, false)) symbols.push_back(unknown_);
  };
  std::string spelled;
  for (size_t at = 0; at < piece.size();) {
    const size_t n = CharLength(piece[at]);
    std::string_view character = piece.substr(at, n);
    TokenId id = kAbsent;
    if (decorated) {
      spelled = (at > 0 ? prefix_ : "") + std::string(character) +
                (at + n == piece.size() ? suffix_ : "");
      character = spelled;
      id = vocabulary_.Find(character).value_or(kAbsent);
    } else if (n == 1) {
      id = ascii_[static_cast<uint8_t>(character[0])];
    } else {
      id = vocabulary_.Find(character).value_or(kAbsent);
    }
    at += n;
    if (budget.Cancelled(character.size())) return;
    if (id != kAbsent) {
      flush();
      symbols.push_back(id);
    } else if (!ByteFallback(character, symbols) && unknown_ != kAbsent) {
      if (!fuse_unknown_) flush();
      waiting = true;
    }
  }
  flush();
}

bool Bpe::ByteFallback(std::string_view text, std::vector<TokenId>& symbols) const {
  if (!fallback_) return false;
  for (const char b : text) {
    if ((*fallback_)[static_cast<uint8_t>(b)] == kAbsent) return false;
  }
  for (const char b : text) symbols.push_back((*fallback_)[static_cast<uint8_t>(b)]);
  return true;
}

}  // namespace mach::text
