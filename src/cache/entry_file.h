// Files of the disk tier: one prefix each. docs/formats/prefix_entry.md describes every byte.
//
// Nothing of a file is trusted: every field and every byte is checked before it is used.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cache/prefix_image.h"
#include "cache/state_shape.h"
#include "io/file.h"
#include "io/output_file.h"

namespace mach::cache {

// Of the names of files; another version of the format has another one.
inline constexpr std::string_view kEntrySuffix = ".mpfx1";
inline constexpr size_t kMaxEntryTokens = size_t{1} << 24;

// Whose states the file holds. Another fingerprint is another model, or another way to compute.
struct EntryOwner {
  Digest fingerprint{};
  size_t block_bytes = 0;      // StateShape::BlockBytes()
  size_t recurrent_bytes = 0;  // StateShape::RecurrentBytes(), in whole pages
};
EntryOwner OwnerOf(const Digest& fingerprint, const StateShape& shape);

struct EntryHeader {
  Digest fingerprint{};
  Digest key{};
  uint64_t tokens = 0;
  PrefixKind kind = PrefixKind::kMessage;
  uint64_t block_bytes = 0;
  uint64_t recurrent_bytes = 0;
  uint64_t ids_sum = 0;  // XXH3-64 of the sections
  uint64_t recurrent_sum = 0;
  struct Block {
    uint64_t sum = 0;
    bool noted = false;
  };
  std::vector<Block> blocks;

  // All in bytes; sections begin at multiples of 4096.
  size_t header_bytes() const;
  size_t ids_bytes() const;
  size_t ids_offset() const { return header_bytes(); }
  size_t recurrent_offset() const { return ids_offset() + ids_bytes(); }
  size_t block_offset(size_t b) const {
    return recurrent_offset() + recurrent_bytes + b * block_bytes;
  }
  size_t file_bytes() const { return block_offset(blocks.size()); }
};

// Where everything lies in a file of so many tokens; fingerprint and sizes are the owner's, sums 0.
EntryHeader EntryLayout(const EntryOwner& owner, size_t tokens);
// What such a file takes.
size_t EntryFileBytes(const EntryOwner& owner, size_t tokens);

std::string EncodeEntryHeader(const EntryHeader& header);
// kCorrupt names the field; kUnsupported: another version. `file` is the beginning of the file, at
// least all of its header; file_bytes: the whole file's size.
Result<EntryHeader> DecodeEntryHeader(std::span<const std::byte> file, uint64_t file_bytes);
// Reads no more than the header.
Result<EntryHeader> ReadEntryHeader(io::File& file);

// Writes all of it; the caller commits.
Status WriteEntry(const PrefixImage& image, const EntryOwner& owner, const Digest& key,
                  io::OutputFile& out);

}  // namespace mach::cache
