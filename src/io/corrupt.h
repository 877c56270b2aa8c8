// The error of a file that holds what it must not.
#pragma once

#include <string>
#include <utility>

#include "base/result.h"

namespace mach::io {

inline Error Corrupt(std::string message) { return {Code::kCorrupt, std::move(message)}; }

}  // namespace mach::io
