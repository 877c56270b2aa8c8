// What short pieces of text were merged into, for a bounded number of them.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/mutex.h"

namespace mach::text {

// Direct-mapped: a new piece takes the place of an old one. Safe from any thread.
class WordCache {
 public:
  WordCache();

  // Appends the ids of the piece; false where it is not here.
  bool Find(uint64_t hash, std::string_view piece, std::vector<TokenId>& out) const;
  // Keeps pieces of up to kMaxBytes that became up to kMaxIds; others never.
  void Put(uint64_t hash, std::string_view piece, std::span<const TokenId> ids);

  static bool Fits(std::string_view piece) { return piece.size() <= kMaxBytes; }
  static uint64_t Hash(std::string_view piece);

 private:
  static constexpr size_t kSlots = 1 << 14;
  static constexpr size_t kLocks = 64;
  static constexpr size_t kMaxBytes = 30;
  static constexpr size_t kMaxIds = 6;
  struct Slot {
    uint64_t hash = 0;
    std::array<TokenId, kMaxIds> ids{};
    uint8_t bytes = 0;  // 0: empty
    uint8_t count = 0;
    std::array<char, kMaxBytes> piece{};
  };
  static_assert(sizeof(Slot) == 64);

  mutable std::array<Mutex, kLocks> mu_;
  std::vector<Slot> slots_;  // slot i is guarded by mu_[i % kLocks], which no annotation can say
};

}  // namespace mach::text
