// Standard output whose reader may leave, and files that may not grow any further.
#pragma once

#include <string_view>

namespace mach::cli {

// Standard output did not take everything: EX_IOERR of sysexits.h, which no command uses otherwise.
inline constexpr int kExitOutput = 74;

// Turns a write that nobody reads (SIGPIPE) and one beyond the limit of file sizes (SIGXFSZ) into
// errors of that write, EPIPE and EFBIG. Once, before threads start.
void MakeWritesFail();

// Writes to standard output and past its buffer; false when that fails, now or before.
bool WriteOutput(std::string_view text);

// Writes past the stream, to its descriptor; an errno, or 0. For a process that goes on without its
// reader.
int WriteStandardOutput(std::string_view text);

// The exit status of a command that ended with `status`: kExitOutput when standard output did not
// take what was written. Says why on standard error, unless the reader just left.
int FinishOutput(int status);

}  // namespace mach::cli
