// `mach verify`: whether a checkpoint and its sidecar are whole.
#pragma once

#include "cli/options/options.h"

namespace mach::cli {

int RunVerify(const VerifyOptions& options);

}  // namespace mach::cli
