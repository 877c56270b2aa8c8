#include "base/utf8.h"

namespace mach::utf8 {

Decoded Decode(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[at + i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1, true, false};
  // Bounds of the second byte exclude overlong forms, surrogates and what lies past U+10FFFF.
  uint8_t need = 0;
  uint8_t low = 0x80;
  uint8_t high = 0xBF;
  uint32_t code = 0;
  if (lead >= 0xC2 && lead <= 0xDF) {
    need = 1;
    code = lead & 0x1F;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    need = 2;
    code = lead & 0x0F;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    need = 3;
    code = lead & 0x07;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return {};
  }
  for (uint8_t i = 1; i <= need; ++i) {
    if (at + i == text.size()) return {kReplacement, i, false, true};
    const uint8_t b = byte(i);
    if (b < low || b > high) return {kReplacement, i, false, false};
    code = code << 6 | (b & 0x3F);
    low = 0x80;
    high = 0xBF;
  }
  return {code, static_cast<uint8_t>(need + 1), true, false};
}

void Append(std::string& out, uint32_t c) {
  if (c >= 0xD800 && c <= 0xDFFF) c = kReplacement;
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | c >> 18);
    out += static_cast<char>(0x80 | (c >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  }
}

bool IsValid(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const Decoded d = Decode(text, i);
    if (!d.valid) return false;
    i += d.length;
  }
  return true;
}

std::string Repair(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const Decoded d = Decode(text, i);
    if (d.valid) {
      out.append(text, i, d.length);
    } else {
      Append(out, kReplacement);
    }
    i += d.length;
  }
  return out;
}

size_t IncompleteSuffix(std::string_view text) {
  for (size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const auto b = static_cast<uint8_t>(text[text.size() - back]);
    if (b < 0x80) return 0;
    if (b >= 0xC0) return Decode(text, text.size() - back).incomplete ? back : 0;
  }
  return 0;
}

}  // namespace mach::utf8
