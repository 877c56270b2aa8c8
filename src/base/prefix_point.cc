#include "base/prefix_point.h"

#include <array>

namespace mach {

std::string_view PrefixKindName(PrefixKind kind) {
  constexpr std::array<std::string_view, kPrefixKinds> kNames = {"system", "message", "answer",
                                                                 "text"};
  return kNames[static_cast<size_t>(kind)];
}

}  // namespace mach
