#include "cache/prefix_image.h"

namespace mach::cache {

std::string_view SaveTriggerName(SaveTrigger trigger) {
  constexpr std::array<std::string_view, kSaveTriggers> kNames = {"cold", "continued", "displaced",
                                                                  "shutdown", "warm"};
  return kNames[static_cast<size_t>(trigger)];
}

std::string DigestHex(const Digest& digest) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const uint8_t byte : digest) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

size_t PrefixImage::bytes() const {
  size_t bytes = recurrent == nullptr ? 0 : recurrent->memory.size();
  for (const auto& block : blocks) bytes += block->memory.size();
  return bytes;
}

}  // namespace mach::cache
