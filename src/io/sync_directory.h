// Durable directory entries.
#pragma once

#include <string>

#include "base/result.h"

namespace mach::io {

// Makes the entries of a directory durable, where the file system can.
Status SyncDirectory(const std::string& path);

}  // namespace mach::io
