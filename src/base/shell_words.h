// Command lines for a shell, to be copied from messages.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace mach {

// The word as a POSIX shell reads it back; quoted only where it must be.
std::string ShellQuoted(std::string_view word);

// The words as one command line.
std::string ShellCommand(std::span<const std::string> words);

}  // namespace mach
