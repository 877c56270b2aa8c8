// Numbers that must not be mistaken for one another.
#pragma once

#include <compare>
#include <cstdint>

namespace mach {

// A row of the vocabulary. Plain, since spans of it cross every module; negative is never valid.
using TokenId = int32_t;

enum class LayerId : uint32_t {};
enum class ExpertId : uint32_t {};

constexpr uint32_t Index(LayerId id) { return static_cast<uint32_t>(id); }
constexpr uint32_t Index(ExpertId id) { return static_cast<uint32_t>(id); }

}  // namespace mach
