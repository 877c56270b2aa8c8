#include "cache/entry_file.h"

#include <algorithm>
#include <cstring>

#include "base/units.h"
#include "io/xxh3.h"

namespace mach::cache {
namespace {

constexpr std::string_view kMagic = "MACHPRFX";
constexpr uint32_t kVersion = 1;
constexpr size_t kSumBytes = 8;
// Offsets in the header.
constexpr size_t kVersionAt = 8, kHeaderBytesAt = 12, kFingerprintAt = 16, kKeyAt = 36,
                 kTokensAt = 56, kKindAt = 64, kBlocksAt = 68, kBlockBytesAt = 72,
                 kRecurrentBytesAt = 80, kFileBytesAt = 88, kIdsSumAt = 96, kRecurrentSumAt = 104,
                 kTableAt = 112;
constexpr size_t kTableEntry = 16;
constexpr uint64_t kNoted = 1;
constexpr uint64_t kMaxSectionBytes = uint64_t{1} << 40;

template <class T>
void Put(std::string& out, size_t at, T value) {
  std::memcpy(out.data() + at, &value, sizeof value);
}

template <class T>
T Get(std::span<const std::byte> in, size_t at) {
  T value;
  std::memcpy(&value, in.data() + at, sizeof value);
  return value;
}

Error Damaged(const std::string& field, uint64_t found, const std::string& expected) {
  return {Code::kCorrupt, "field '" + field + "' is " + std::to_string(found) + ", expected " +
                              expected + "; the file is damaged"};
}

Error WrongSum(const std::string& section) {
  return {Code::kCorrupt, "the checksum of " + section + " does not match; the file is damaged"};
}

size_t BlocksOf(uint64_t tokens) {
  return static_cast<size_t>((tokens + kBlockTokens - 1) / kBlockTokens);
}

size_t HeaderBytesFor(size_t blocks) {
  return RoundUp(kTableAt + blocks * kTableEntry + kSumBytes, kPageBytes);
}

std::vector<std::byte> IdsSection(const PrefixImage& image, size_t bytes) {
  std::vector<std::byte> section(bytes);
  std::memcpy(section.data(), image.tokens.data(), image.tokens.size() * sizeof(TokenId));
  return section;
}

}  // namespace

EntryOwner OwnerOf(const Digest& fingerprint, const StateShape& shape) {
  return {fingerprint, shape.BlockBytes(), RoundUp(shape.RecurrentBytes(), kPageBytes)};
}

size_t EntryHeader::header_bytes() const { return HeaderBytesFor(blocks.size()); }
size_t EntryHeader::ids_bytes() const { return RoundUp(tokens * sizeof(TokenId), kPageBytes); }

EntryHeader EntryLayout(const EntryOwner& owner, size_t tokens) {
  EntryHeader header;
  header.fingerprint = owner.fingerprint;
  header.tokens = tokens;
  header.block_bytes = owner.block_bytes;
  header.recurrent_bytes = owner.recurrent_bytes;
  header.blocks.resize(BlocksOf(tokens));
  return header;
}

size_t EntryFileBytes(const EntryOwner& owner, size_t tokens) {
  return EntryLayout(owner, tokens).file_bytes();
}

std::string EncodeEntryHeader(const EntryHeader& header) {
  std::string out(header.header_bytes(), '\0');
  std::memcpy(out.data(), kMagic.data(), kMagic.size());
  Put(out, kVersionAt, kVersion);
  Put(out, kHeaderBytesAt, static_cast<uint32_t>(out.size()));
  std::memcpy(out.data() + kFingerprintAt, header.fingerprint.data(), header.fingerprint.size());
  std::memcpy(out.data() + kKeyAt, header.key.data(), header.key.size());
  Put(out, kTokensAt, header.tokens);
  Put(out, kKindAt, static_cast<uint32_t>(header.kind));
  Put(out, kBlocksAt, static_cast<uint32_t>(header.blocks.size()));
  Put(out, kBlockBytesAt, header.block_bytes);
  Put(out, kRecurrentBytesAt, header.recurrent_bytes);
  Put(out, kFileBytesAt, static_cast<uint64_t>(header.file_bytes()));
  Put(out, kIdsSumAt, header.ids_sum);
  Put(out, kRecurrentSumAt, header.recurrent_sum);
  for (size_t b = 0; b < header.blocks.size(); ++b) {
    Put(out, kTableAt + b * kTableEntry, header.blocks[b].sum);
    Put(out, kTableAt + b * kTableEntry + 8, header.blocks[b].noted ? kNoted : uint64_t{0});
  }
  const uint64_t sum = io::Xxh3(std::string_view(out).substr(0, out.size() - kSumBytes));
  Put(out, out.size() - kSumBytes, sum);
  return out;
}

Result<EntryHeader> DecodeEntryHeader(std::span<const std::byte> file, uint64_t file_bytes) {
  if (file.size() < kTableAt || std::memcmp(file.data(), kMagic.data(), kMagic.size()) != 0) {
    return Error{Code::kCorrupt, "it does not begin with " + std::string(kMagic) +
                                     "; it is no prefix entry, or damaged"};
  }
  const auto version = Get<uint32_t>(file, kVersionAt);
  if (version != kVersion) {
    return Error{Code::kUnsupported, "version " + std::to_string(version) +
                                         " of the format, expected " + std::to_string(kVersion)};
  }
  EntryHeader header;
  header.tokens = Get<uint64_t>(file, kTokensAt);
  if (header.tokens == 0 || header.tokens > kMaxEntryTokens) {
    return Damaged("tokens", header.tokens, "1 to " + std::to_string(kMaxEntryTokens));
  }
  const size_t blocks = BlocksOf(header.tokens);
  if (const auto n = Get<uint32_t>(file, kBlocksAt); n != blocks) {
    return Damaged("blocks", n, std::to_string(blocks));
  }
  const size_t header_bytes = HeaderBytesFor(blocks);
  if (const auto n = Get<uint32_t>(file, kHeaderBytesAt); n != header_bytes) {
    return Damaged("header_bytes", n, std::to_string(header_bytes));
  }
  if (file.size() < header_bytes) {
    return Error{Code::kCorrupt, "the file ends within its header; it is damaged"};
  }
  const size_t sum_at = header_bytes - kSumBytes;
  if (Get<uint64_t>(file, sum_at) != io::Xxh3(file.first(sum_at))) return WrongSum("the header");

  // Whole pages, so that direct reads reach every section.
  for (const auto& [name, at, field] :
       {std::tuple{"block_bytes", kBlockBytesAt, &header.block_bytes},
        {"recurrent_bytes", kRecurrentBytesAt, &header.recurrent_bytes}}) {
    *field = Get<uint64_t>(file, at);
    if (*field % kPageBytes != 0 || *field > kMaxSectionBytes) {
      return Damaged(name, *field, "whole pages");
    }
  }
  std::memcpy(header.fingerprint.data(), file.data() + kFingerprintAt, header.fingerprint.size());
  std::memcpy(header.key.data(), file.data() + kKeyAt, header.key.size());
  const auto kind = Get<uint32_t>(file, kKindAt);
  if (kind >= kPrefixKinds) return Damaged("kind", kind, "less than 4");
  header.kind = static_cast<PrefixKind>(kind);
  header.ids_sum = Get<uint64_t>(file, kIdsSumAt);
  header.recurrent_sum = Get<uint64_t>(file, kRecurrentSumAt);
  header.blocks.resize(blocks);
  for (size_t b = 0; b < blocks; ++b) {
    header.blocks[b].sum = Get<uint64_t>(file, kTableAt + b * kTableEntry);
    header.blocks[b].noted = (Get<uint64_t>(file, kTableAt + b * kTableEntry + 8) & kNoted) != 0;
  }
  if (blocks > kMaxSectionBytes / std::max<uint64_t>(header.block_bytes, 1)) {
    return Damaged("block_bytes", header.block_bytes, "less");
  }
  if (const auto n = Get<uint64_t>(file, kFileBytesAt); n != header.file_bytes()) {
    return Damaged("file_bytes", n, std::to_string(header.file_bytes()));
  }
  if (file_bytes != header.file_bytes()) {
    return Error{Code::kCorrupt,
                 "the file has " + SizesText(file_bytes, header.file_bytes()) + "; it is damaged"};
  }
  return header;
}

Result<EntryHeader> ReadEntryHeader(io::File& file) {
  std::vector<std::byte> bytes(std::min<uint64_t>(file.size(), kPageBytes));
  MACH_RETURN_IF_ERROR(ReadExactly(file, 0, bytes));
  if (bytes.size() >= kTableAt) {
    // No more than its own table can ask for, and than there is.
    const size_t most = HeaderBytesFor(BlocksOf(kMaxEntryTokens));
    const size_t claimed = Get<uint32_t>(bytes, kHeaderBytesAt);
    const size_t more = std::min({claimed, most, static_cast<size_t>(file.size())});
    if (more > bytes.size()) {
      const size_t had = bytes.size();
      bytes.resize(more);
      MACH_RETURN_IF_ERROR(ReadExactly(file, had, std::span(bytes).subspan(had)));
    }
  }
  return DecodeEntryHeader(bytes, file.size());
}

Status WriteEntry(const PrefixImage& image, const EntryOwner& owner, const Digest& key,
                  io::OutputFile& out) {
  EntryHeader header = EntryLayout(owner, image.tokens.size());
  header.key = key;
  header.kind = image.kind;
  const std::vector<std::byte> ids = IdsSection(image, header.ids_bytes());
  header.ids_sum = io::Xxh3(ids);
  if (image.recurrent != nullptr) header.recurrent_sum = io::Xxh3(image.recurrent->memory.bytes());
  for (size_t b = 0; b < image.blocks.size(); ++b) {
    header.blocks[b] = {io::Xxh3(image.blocks[b]->memory.bytes()), image.blocks[b]->noted};
  }
  const std::string encoded = EncodeEntryHeader(header);
  MACH_RETURN_IF_ERROR(out.Write(std::as_bytes(std::span(encoded))));
  MACH_RETURN_IF_ERROR(out.Write(ids));
  if (image.recurrent != nullptr) {
    MACH_RETURN_IF_ERROR(out.Write(image.recurrent->memory.bytes()));
  }
  for (const auto& block : image.blocks) {
    MACH_RETURN_IF_ERROR(out.Write(block->memory.bytes()));
  }
  return Ok();
}

}  // namespace mach::cache
