// Functions that templates find under a name: namespace, raise_exception, range, ...
#pragma once

#include <span>
#include <string_view>

#include "jinja/value.h"

namespace mach::jinja {

struct Global {
  std::string_view name;
  NativeFunction call;
};

std::span<const Global> Globals();

}  // namespace mach::jinja
