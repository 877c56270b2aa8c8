// Pointers of git lfs: the small text files that a clone has in place of large ones until
// `git lfs pull`. https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "io/file.h"

namespace mach::io {

// The size of the file that the text points to; nothing when it is no pointer. A pointer without a
// size gives 0.
std::optional<uint64_t> LfsPointerTarget(std::string_view text);
// Of a file; reads at most 1 KiB, which is the most that a pointer has. Nothing as well when it
// cannot be read.
std::optional<uint64_t> LfsPointerTarget(File& file);

// kCorrupt: the file, that it is a pointer, the size of what it points to, and what fetches it.
Error LfsPointerError(const std::string& path, uint64_t target_bytes);

// As ReadSmallFile; a pointer in the file's place is LfsPointerError.
Result<std::string> ReadFetchedFile(FileSystem& fs, const std::string& path, size_t max_bytes);

}  // namespace mach::io
