// Text of strangers in messages and headers.
#pragma once

#include <string>
#include <string_view>

namespace mach {

// The printable ASCII characters of a text: without control bytes and without what is beyond ASCII,
// so that it is fit for a message, a log line and the value of an HTTP header.
std::string PrintableAscii(std::string_view text);

}  // namespace mach
