// Messages for failed system calls.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace mach::io {

// "cannot WHAT 'PATH': reason", kNotFound when the path does not exist, else kIo. code: an errno.
Error PosixError(std::string_view what, const std::string& path, int code);

}  // namespace mach::io
