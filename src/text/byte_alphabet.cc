#include "text/byte_alphabet.h"

#include "base/utf8.h"

namespace mach::text {
namespace {

constexpr uint32_t kAlphabetEnd = 0x144;

constexpr bool IsPrintable(uint32_t b) {
  return (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
}

constexpr std::array<uint16_t, 256> kCodePoints = [] {
  std::array<uint16_t, 256> out{};
  uint16_t next = 0x100;
  for (uint32_t b = 0; b < 256; ++b) {
    out[b] = IsPrintable(b) ? static_cast<uint16_t>(b) : next++;
  }
  return out;
}();

constexpr std::array<int16_t, kAlphabetEnd> kBytes = [] {
  std::array<int16_t, kAlphabetEnd> out{};
  out.fill(-1);
  for (int16_t b = 0; b < 256; ++b) out[kCodePoints[static_cast<size_t>(b)]] = b;
  return out;
}();

}  // namespace

const std::array<std::string, 256>& ByteCharacters() {
  static const auto& characters = *[] {
    auto* out = new std::array<std::string, 256>;
    for (size_t b = 0; b < 256; ++b) utf8::Append((*out)[b], kCodePoints[b]);
    return out;
  }();
  return characters;
}

int ByteOfCharacter(uint32_t c) { return c < kAlphabetEnd ? kBytes[c] : -1; }

std::string ToByteAlphabet(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 3 / 2);
  const auto& characters = ByteCharacters();
  for (const char b : bytes) out += characters[static_cast<uint8_t>(b)];
  return out;
}

std::optional<std::string> FromByteAlphabet(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const utf8::Decoded d = utf8::Decode(text, at);
    const int b = d.valid ? ByteOfCharacter(d.code_point) : -1;
    if (b < 0) return std::nullopt;
    out += static_cast<char>(b);
    at += d.length;
  }
  return out;
}

}  // namespace mach::text
