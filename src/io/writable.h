// Whether a directory can be written to, tried before the work whose results belong there.
#pragma once

#include <string>

#include "base/result.h"

namespace mach::io {

// Makes the directory where it is missing, and a file in it that is removed at once. kIo names the
// directory and the system's reason. A disk that is full or fails is no error: another directory
// would be none that the user meant, and it may work again when it is needed.
Status CheckWritable(const std::string& directory);

}  // namespace mach::io
