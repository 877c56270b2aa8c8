// The "decoder" of a tokenizer.json: from token strings to text. ByteLevel, Replace, ByteFallback,
// Fuse, Strip, Metaspace, and Sequences of them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "json/value.h"
#include "text/regex.h"
#include "text/work_budget.h"

namespace mach::text {

// One step of a decoder: a list of strings to another list.
struct DecoderStep {
  enum class Kind : unsigned char {
    kByteLevel,
    kReplace,
    kByteFallback,
    kFuse,
    kStrip,
    kMetaspace
  };
  Kind kind = Kind::kFuse;
  std::optional<Pattern> pattern;  // kReplace
  std::string content;             // kReplace: what to insert
  uint32_t character = 0;          // kStrip, kMetaspace
  size_t start = 0, stop = 0;      // kStrip: at most so many at each end
  bool drop_first = false;         // kMetaspace: those of the first string vanish

  // Makes one string of all.
  // Whether a string may become longer, or cost more than its length.
  bool multiplies() const {
    return kind == Kind::kReplace && (pattern->is_regex() || content.size() > pattern->size());
  }
  bool fuses() const { return kind == Kind::kByteLevel || kind == Kind::kFuse; }

  // kReplace and kStrip work on each string by itself.
  std::string Replaced(std::string_view token, WorkBudget& budget) const;
  std::string Stripped(std::string_view token) const;
  // kMetaspace on a string, first of its list or not.
  std::string Spaced(std::string_view token, bool first) const;
};

// Text of a token in kByteLevel: its bytes if all its characters are in the byte alphabet, else
// itself.
std::string ByteLevelBytes(std::string_view token);

// The byte that a token like <0x0A> stands for in kByteFallback.
std::optional<char> FallbackByte(std::string_view token);

// Text of a run of fallback bytes: itself, or one U+FFFD for each byte where it is not valid UTF-8.
std::string FallbackText(std::string_view run);

class Decoder {
 public:
  static Result<Decoder> FromJson(const json::Value& component);  // null: strings joined by spaces

  bool joins_with_spaces() const { return joins_with_spaces_; }
  const std::vector<DecoderStep>& steps() const { return steps_; }

  // The bytes of one token somewhere inside a text: nothing is stripped at its ends.
  std::string BytesOf(std::string token, WorkBudget& budget) const;
  // Whether BytesOf may make more of a token than the token is, or cost more.
  bool Multiplies() const;

 private:
  bool joins_with_spaces_ = false;
  std::vector<DecoderStep> steps_;
};

}  // namespace mach::text
