// Numbers as people read and type them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace mach {

// "1.25 GiB", "35.2 MiB", "4.0 KiB"; below 1 KiB "130 bytes".
std::string BytesText(uint64_t bytes);

// Two sizes that differ, and by how much: "35.2 MiB, expected 36.0 MiB (1 byte less)". Sizes that
// look alike in these units are told apart by the difference.
std::string SizesText(uint64_t found, uint64_t expected);

// "0.4 s", "12 s", "3 min 20 s", "2 h 5 min".
std::string DurationText(double seconds);

// Bytes of an option in units of 2^30 bytes.
size_t BytesOfGigabytes(double gigabytes);

// The least value of such an option that is at least that many bytes ("9", "0.036"), and the
// largest that is not more. Three decimals below 1, two from there on.
std::string GigabytesUp(uint64_t bytes);
std::string GigabytesDown(uint64_t bytes);

}  // namespace mach
