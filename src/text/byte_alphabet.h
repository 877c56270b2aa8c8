// GPT-2's mapping of bytes to printable characters, in which byte-level vocabularies are written:
// printable Latin-1 bytes stand for themselves, the others for U+0100 on.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mach::text {

const std::array<std::string, 256>& ByteCharacters();

// The byte that a character stands for; -1 for one outside the alphabet.
int ByteOfCharacter(uint32_t code_point);

std::string ToByteAlphabet(std::string_view bytes);

// The bytes of a text all of whose characters are in the alphabet.
std::optional<std::string> FromByteAlphabet(std::string_view text);

}  // namespace mach::text
