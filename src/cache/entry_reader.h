// Reads whole files of the disk tier (cache/entry_file.h).
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/memory_ledger.h"
#include "base/result.h"
#include "cache/entry_file.h"
#include "cache/prefix_image.h"
#include "io/async_reader.h"
#include "io/file.h"

namespace mach::cache {

using ReaderFactory = std::function<Result<std::unique_ptr<io::AsyncReader>>()>;
// Direct reads in the best mode of this machine.
Result<std::unique_ptr<io::AsyncReader>> MakeEntryReader();

// Reads an entry of so many tokens into memory of `ledger`, past the page cache where the file
// system can. The owner and the number of tokens say where everything lies, so all of the file is
// asked for at once, and what has come is checked while the rest is on its way; no byte is used
// unchecked. kUnsupported: of another model, or version. kCorrupt: damaged. kInvalidArgument:
// whole, but of another number of tokens (another spelling of the same text). kNoMemory.
Result<std::shared_ptr<PrefixImage>> ReadEntry(io::FileSystem& fs, const ReaderFactory& readers,
                                               const std::string& path, const EntryOwner& owner,
                                               size_t tokens, MemoryLedger& ledger);

}  // namespace mach::cache
