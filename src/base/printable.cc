#include "base/printable.h"

namespace mach {

std::string PrintableAscii(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (c >= 0x20 && c < 0x7f) out += c;
  }
  return out;
}

}  // namespace mach
