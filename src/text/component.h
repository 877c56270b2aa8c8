// Reading the components of a tokenizer.json: objects with a "type".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "json/value.h"

namespace mach::text {

// What a file may make us do: bounds far above every published tokenizer.
inline constexpr size_t kMaxStages = 64;          // components of one Sequence, flattened
inline constexpr size_t kMaxContentBytes = 1024;  // of an added token or an inserted string
// Of a token of the vocabulary; the first Claude models have one of 2,048.
inline constexpr size_t kMaxTokenBytes = 16 << 10;
inline constexpr int64_t kMaxTokenId = (1 << 22) - 1;

// The value of "type"; `role` ("normalizer") is for the message.
Result<std::string> ComponentType(const json::Value& component, std::string_view role);

Error UnsupportedComponent(std::string_view role, std::string_view type,
                           std::string_view supported);

// `component`, or, when it is a Sequence, the components of its array `key`, nested ones flattened.
Result<std::vector<const json::Value*>> FlattenSequence(const json::Value& component,
                                                        std::string_view key,
                                                        std::string_view role);

// A string member of at most kMaxContentBytes.
Result<std::string> GetContent(const json::Value& object, std::string_view key);

// A string member of exactly one character.
Result<uint32_t> GetCharacter(const json::Value& object, std::string_view key);

// Of a Metaspace: where it writes a space before text. Absent, 'add_prefix_space' says it.
enum class PrependScheme : unsigned char { kNever, kFirst, kAlways };
Result<PrependScheme> ReadPrependScheme(const json::Value& component);

// A token id: an integer from 0 to kMaxTokenId.
Result<int32_t> ToTokenId(const json::Value& value, std::string_view what);

// Text for a message: quoted, control bytes escaped, at most 80 bytes of it.
std::string Quoted(std::string_view text);

}  // namespace mach::text
