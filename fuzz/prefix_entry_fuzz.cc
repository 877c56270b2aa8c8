// Arbitrary bytes as the header of a prefix entry, as they are and with a right checksum, so that
// mutations reach what lies behind it. The first eight bytes are the size of the file.
#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>

#include "base/check.h"
#include "cache/entry_file.h"
#include "io/xxh3.h"

namespace mach::cache {
namespace {

void Decode(const std::string& file, uint64_t file_bytes) {
  const auto header = DecodeEntryHeader(std::as_bytes(std::span(file)), file_bytes);
  if (!header.ok()) {
    MACH_CHECK(!header.error().message.empty());
    return;
  }
  // All sections lie within the file, and what was read is written the same.
  MACH_CHECK(header->file_bytes() == file_bytes);
  MACH_CHECK(header->tokens * sizeof(TokenId) <= header->ids_bytes());
  const std::string again = EncodeEntryHeader(*header);
  const auto twice = DecodeEntryHeader(std::as_bytes(std::span(again)), file_bytes);
  MACH_CHECK(twice.ok() && twice->tokens == header->tokens && twice->key == header->key);
}

void Run(std::string_view input) {
  uint64_t file_bytes = 0;
  if (input.size() < sizeof file_bytes) return;
  std::memcpy(&file_bytes, input.data(), sizeof file_bytes);
  std::string file(input.substr(sizeof file_bytes));
  Decode(file, file_bytes);
  file.resize(RoundUp(std::max<size_t>(file.size(), 1), kPageBytes));
  const uint64_t sum = io::Xxh3(std::string_view(file).substr(0, file.size() - sizeof file_bytes));
  std::memcpy(file.data() + file.size() - sizeof sum, &sum, sizeof sum);
  Decode(file, file_bytes);
}

}  // namespace
}  // namespace mach::cache

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  mach::cache::Run(std::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
