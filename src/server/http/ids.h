// Names for things that clients refer to.
#pragma once

#include <string>
#include <string_view>

namespace mach::server {

// The prefix and 24 random characters of [A-Za-z0-9]: "chatcmpl-", "call_", "req_".
std::string RandomId(std::string_view prefix);

}  // namespace mach::server
