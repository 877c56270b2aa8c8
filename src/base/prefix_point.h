// Positions of a prompt that are worth caching the state at.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace mach {

// Where a prefix ends. Values are part of the format of files.
enum class PrefixKind : uint8_t {
  kSystem = 0,   // after the system message and the tools: shared by conversations
  kMessage = 1,  // after a message, where the next turn resumes
  kAnswer = 2,   // after a generated answer
  kText = 3,     // in a text without messages
};
inline constexpr size_t kPrefixKinds = 4;
std::string_view PrefixKindName(PrefixKind kind);

// A position in a prompt that another prompt may share up to.
struct PrefixPoint {
  size_t tokens = 0;  // before it
  PrefixKind kind = PrefixKind::kMessage;
  bool operator==(const PrefixPoint&) const = default;
};

}  // namespace mach
