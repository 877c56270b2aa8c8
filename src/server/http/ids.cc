#include "server/http/ids.h"

#include <cstdint>

#include "base/random.h"

namespace mach::server {

std::string RandomId(std::string_view prefix) {
  static constexpr std::string_view kAlphabet =
      "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  constexpr int kWords = 3;
  constexpr int kCharactersAWord = 8;  // 62^8 < 2^48
  std::string id(prefix);
  for (int word = 0; word < kWords; ++word) {
    uint64_t bits = RandomSeed();
    for (int i = 0; i < kCharactersAWord; ++i) {
      id += kAlphabet[bits % kAlphabet.size()];
      bits /= kAlphabet.size();
    }
  }
  return id;
}

}  // namespace mach::server
