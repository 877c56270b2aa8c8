// The checksum of expert records: XXH3-64 (xxHash 0.8, seed 0).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace mach::io {

// With the widest vectors that this machine has. Thread-safe.
uint64_t Xxh3(std::span<const std::byte> data);
inline uint64_t Xxh3(std::string_view text) { return Xxh3(std::as_bytes(std::span(text))); }

}  // namespace mach::io
