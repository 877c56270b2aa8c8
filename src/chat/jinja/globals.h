// Functions that templates find under a name: namespace, raise_exception, range, ...
#pragma once

#include <span>
#include <string_view>

#include "chat/jinja/value.h"

namespace mach::chat::jinja {

struct Global {
  std::string_view name;
  NativeFunction call;
};

std::span<const Global> Globals();

}  // namespace mach::chat::jinja
