#include "text/decoder.h"

#include <algorithm>
#include <cstdint>

#include "base/utf8.h"
#include "text/byte_alphabet.h"
#include "text/component.h"
#include "text/unicode.h"

namespace mach::text {
namespace {

using Kind = DecoderStep::Kind;

// How many characters Strip takes at an end.
Result<size_t> StripLength(const json::Value& component, std::string_view key) {
  constexpr int64_t kMost = INT32_MAX;
  auto length = json::GetInt(component, key);
  if (!length.ok()) return std::move(length).error().In("Strip");
  if (*length >= 0 && *length <= kMost) return static_cast<size_t>(*length);
  return Error{Code::kInvalidArgument,
               "Strip: '" + std::string(key) + "' is " + std::to_string(*length) +
                   ", expected an integer from 0 to " + std::to_string(kMost)};
}

Result<DecoderStep> StepFromJson(const json::Value& component) {
  MACH_TRY(const std::string type, ComponentType(component, "decoder"));
  DecoderStep step;
  if (type == "ByteLevel") {
    step.kind = Kind::kByteLevel;
  } else if (type == "ByteFallback") {
    step.kind = Kind::kByteFallback;
  } else if (type == "Fuse") {
    step.kind = Kind::kFuse;
  } else if (type == "Replace") {
    step.kind = Kind::kReplace;
    const json::Value* pattern = component.Find("pattern");
    MACH_TRY(step.pattern, Pattern::FromJson(pattern == nullptr ? json::Value() : *pattern));
    MACH_TRY(step.content, GetContent(component, "content"));
  } else if (type == "Strip") {
    step.kind = Kind::kStrip;
    MACH_TRY(step.character, GetCharacter(component, "content"));
    MACH_TRY(step.start, StripLength(component, "start"));
    MACH_TRY(step.stop, StripLength(component, "stop"));
  } else if (type == "Metaspace") {
    step.kind = Kind::kMetaspace;
    MACH_TRY(step.character, GetCharacter(component, "replacement"));
    MACH_TRY(const PrependScheme scheme, ReadPrependScheme(component));
    step.drop_first = scheme != PrependScheme::kNever;
  } else {
    return UnsupportedComponent(
        "decoder", type, "ByteLevel, Replace, ByteFallback, Fuse, Strip, Metaspace and Sequence");
  }
  return step;
}

}  // namespace

std::string ByteLevelBytes(std::string_view token) {
  auto bytes = FromByteAlphabet(token);
  return bytes ? *std::move(bytes) : std::string(token);
}

std::optional<char> FallbackByte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
  const auto digit = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    const int letter = c | 0x20;
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
  };
  const int high = token[3] == '+' ? 0 : digit(token[3]);  // Rust's number parser takes a sign
  const int low = digit(token[4]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<char>(high * 16 + low);
}

std::string FallbackText(std::string_view run) {
  if (utf8::IsValid(run)) return std::string(run);
  std::string out;
  for (size_t i = 0; i < run.size(); ++i) utf8::Append(out, utf8::kReplacement);
  return out;
}

std::string DecoderStep::Replaced(std::string_view token, WorkBudget& budget) const {
  if (token.empty()) return {};
  MatchCursor cursor(*pattern, token, budget);
  std::string out;
  size_t at = 0;
  while (const auto m = cursor.Next()) {
    const size_t matched = m->end - m->begin;
    if (content.size() > matched && !budget.Grow(content.size() - matched)) break;
    out += token.substr(at, m->begin - at);
    out += content;
    at = m->end;
  }
  out += token.substr(at);
  return out;
}

std::string DecoderStep::Stripped(std::string_view token) const {
  std::string one;
  utf8::Append(one, character);
  for (size_t i = 0; i < start && token.starts_with(one); ++i) token.remove_prefix(one.size());
  for (size_t i = 0; i < stop && token.ends_with(one); ++i) token.remove_suffix(one.size());
  return std::string(token);
}

std::string DecoderStep::Spaced(std::string_view token, bool first) const {
  std::string out;
  for (size_t at = 0; at < token.size();) {
    const size_t n = CharLength(token[at]);
    if (CodePointAt(token, at) != character) {
      out += token.substr(at, n);
    } else if (!first || !drop_first) {
      out += ' ';
    }
    at += n;
  }
  return out;
}

Result<Decoder> Decoder::FromJson(const json::Value& component) {
  Decoder out;
  out.joins_with_spaces_ = component.is_null();
  if (component.is_null()) return out;
  MACH_TRY(const auto components, FlattenSequence(component, "decoders", "decoder"));
  for (const json::Value* c : components) {
    auto step = StepFromJson(*c);
    if (!step.ok()) return std::move(step).error().In("decoder");
    out.steps_.push_back(*std::move(step));
  }
  return out;
}

bool Decoder::Multiplies() const { return std::ranges::any_of(steps_, &DecoderStep::multiplies); }

std::string Decoder::BytesOf(std::string token, WorkBudget& budget) const {
  for (const DecoderStep& step : steps_) {
    switch (step.kind) {
      case Kind::kByteLevel:
        return ByteLevelBytes(token);
      case Kind::kByteFallback:
        if (const auto byte = FallbackByte(token)) return std::string(1, *byte);
        break;
      case Kind::kReplace:
        token = step.Replaced(token, budget);
        break;
      case Kind::kMetaspace:
        token = step.Spaced(token, false);
        break;
      case Kind::kFuse:
        return token;
      case Kind::kStrip:
        break;
    }
  }
  return token;
}

}  // namespace mach::text
