// What a model is called when nobody names it.
#pragma once

#include <string>

namespace mach::io {

// The last part of the directory's absolute path: "." has a name, too. Of a snapshot in Hugging
// Face's cache (models--ORG--NAME/snapshots/REVISION) it is NAME, of which the revision says
// nothing. Never empty.
std::string ModelName(const std::string& directory);

}  // namespace mach::io
