#include "jinja/text_operations.h"

#include <algorithm>

#include "base/utf8.h"
#include "jinja/unicode.h"

namespace mach::jinja {
namespace {

bool StripsAt(const Text& text, size_t at, const Text* chars) {
  const utf8::Decoded d = utf8::Decode(text.bytes, at);
  if (chars == nullptr) return unicode::IsSpace(d.code_point);
  return chars->bytes.find(std::string_view(text.bytes).substr(at, d.length)) != std::string::npos;
}

bool IsLineEnd(uint32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

// Runs without white space, [begin, end), from the left; at most `count`, then the rest.
std::vector<Span> WordsFromLeft(std::string_view text, int64_t count) {
  std::vector<Span> words;
  size_t at = 0;
  while (true) {
    while (at < text.size()) {
      const utf8::Decoded d = utf8::Decode(text, at);
      if (!unicode::IsSpace(d.code_point)) break;
      at += d.length;
    }
    if (at >= text.size()) return words;
    if (count-- == 0) {
      size_t end = text.size();
      while (unicode::IsSpace(utf8::Decode(text, unicode::Previous(text, end)).code_point)) {
        end = unicode::Previous(text, end);
      }
      words.push_back({at, end});
      return words;
    }
    const size_t begin = at;
    while (at < text.size()) {
      const utf8::Decoded d = utf8::Decode(text, at);
      if (unicode::IsSpace(d.code_point)) break;
      at += d.length;
    }
    words.push_back({begin, at});
  }
}

std::vector<Span> WordsFromRight(std::string_view text, int64_t count) {
  std::vector<Span> words;
  const auto space_before = [text](size_t at) {
    return unicode::IsSpace(utf8::Decode(text, unicode::Previous(text, at)).code_point);
  };
  size_t at = text.size();
  while (true) {
    while (at > 0 && space_before(at)) at = unicode::Previous(text, at);
    if (at == 0) break;
    if (count-- == 0) {
      size_t begin = 0;
      while (unicode::IsSpace(utf8::Decode(text, begin).code_point)) {
        begin += utf8::Decode(text, begin).length;
      }
      words.push_back({begin, at});
      break;
    }
    const size_t end = at;
    while (at > 0 && !space_before(at)) at = unicode::Previous(text, at);
    words.push_back({at, end});
  }
  std::reverse(words.begin(), words.end());
  return words;
}

std::vector<Span> PartsFromLeft(std::string_view text, std::string_view separator, int64_t count) {
  std::vector<Span> parts;
  size_t begin = 0;
  while (count-- != 0) {
    const size_t at = text.find(separator, begin);
    if (at == std::string_view::npos) break;
    parts.push_back({begin, at});
    begin = at + separator.size();
  }
  parts.push_back({begin, text.size()});
  return parts;
}

std::vector<Span> PartsFromRight(std::string_view text, std::string_view separator, int64_t count) {
  std::vector<Span> parts;
  size_t end = text.size();
  while (count-- != 0) {
    if (end < separator.size()) break;
    const size_t at = text.rfind(separator, end - separator.size());
    if (at == std::string_view::npos) break;
    parts.push_back({at + separator.size(), end});
    end = at;
  }
  parts.push_back({0, end});
  std::reverse(parts.begin(), parts.end());
  return parts;
}

}  // namespace

Value Strip(Runtime& runtime, const Text& text, const Text* chars, Side side) {
  size_t begin = 0;
  size_t end = text.bytes.size();
  if (side != Side::kRight) {
    while (begin < end && StripsAt(text, begin, chars)) {
      begin += utf8::Decode(text.bytes, begin).length;
    }
  }
  if (side != Side::kLeft) {
    while (end > begin) {
      const size_t before = unicode::Previous(text.bytes, end);
      if (!StripsAt(text, before, chars)) break;
      end = before;
    }
  }
  return runtime.Part(text, begin, end, text.safe);
}

Result<Value> Replace(Runtime& runtime, const Text& text, const Text& old, const Text& by,
                      int64_t count, bool safe) {
  std::vector<Span> places;
  const std::string_view bytes = text.bytes;
  if (old.bytes.empty()) {
    for (size_t at = 0; count != 0; --count) {
      places.push_back({at, at});
      if (at >= bytes.size()) break;
      at += utf8::Decode(bytes, at).length;
    }
  } else {
    for (size_t at = bytes.find(old.bytes); at != std::string_view::npos && count != 0; --count) {
      places.push_back({at, at + old.bytes.size()});
      at = bytes.find(old.bytes, at + old.bytes.size());
    }
  }
  const size_t unit = by.bytes.size() + by.plain.size() * sizeof(Span);
  const size_t limit = runtime.options().limits.max_memory_bytes;
  const bool too_large = unit != 0 && places.size() > limit / unit;
  MACH_RETURN_IF_ERROR(runtime.Reserve(too_large ? limit + 1 : places.size() * unit));
  MACH_RETURN_IF_ERROR(runtime.Step(places.size() + (bytes.size() + places.size() * unit) / 64));
  TextBuilder builder;
  size_t from = 0;
  for (const Span& place : places) {
    builder.Append(text, from, place.begin);
    builder.Append(by);
    from = place.end;
  }
  builder.Append(text, from, bytes.size());
  return runtime.MakeText(std::move(builder), safe);
}

Result<std::vector<Value>> Split(Runtime& runtime, const Text& text, const Text* separator,
                                 int64_t count, bool from_right) {
  if (separator != nullptr && separator->bytes.empty()) return RenderError("empty separator");
  MACH_RETURN_IF_ERROR(runtime.Step(text.bytes.size() / 16));
  std::vector<Span> parts;
  if (separator == nullptr) {
    parts = from_right ? WordsFromRight(text.bytes, count) : WordsFromLeft(text.bytes, count);
  } else {
    parts = from_right ? PartsFromRight(text.bytes, separator->bytes, count)
                       : PartsFromLeft(text.bytes, separator->bytes, count);
  }
  std::vector<Value> values;
  for (const Span& part : parts) {
    values.push_back(runtime.Part(text, part.begin, part.end, text.safe));
    MACH_RETURN_IF_ERROR(runtime.Step());
  }
  return values;
}

Result<std::vector<Value>> SplitLines(Runtime& runtime, const Text& text, bool keep_ends) {
  std::vector<Value> lines;
  const std::string_view bytes = text.bytes;
  size_t begin = 0;
  for (size_t at = 0; at < bytes.size();) {
    const utf8::Decoded d = utf8::Decode(bytes, at);
    if (!IsLineEnd(d.code_point)) {
      at += d.length;
      continue;
    }
    size_t next = at + d.length;
    if (d.code_point == '\r' && bytes.substr(next, 1) == "\n") ++next;
    lines.push_back(runtime.Part(text, begin, keep_ends ? next : at, text.safe));
    MACH_RETURN_IF_ERROR(runtime.Step());
    begin = at = next;
  }
  if (begin < bytes.size()) lines.push_back(runtime.Part(text, begin, bytes.size(), text.safe));
  MACH_RETURN_IF_ERROR(runtime.Step(bytes.size() / 16));
  return lines;
}

Result<Value> Join(Runtime& runtime, const Text& separator, const std::vector<Value>& items,
                   bool safe) {
  TextBuilder builder;
  for (size_t i = 0; i < items.size(); ++i) {
    const Text& item = items[i].text();
    MACH_RETURN_IF_ERROR(runtime.Step(1 + (item.bytes.size() + separator.bytes.size()) / 64));
    MACH_RETURN_IF_ERROR(runtime.Reserve(builder.size() + item.bytes.size()));
    if (i != 0) builder.Append(separator);
    builder.Append(item);
  }
  return runtime.MakeText(std::move(builder), safe);
}

Result<Value> Pad(Runtime& runtime, const Text& text, int64_t width, std::string_view fill,
                  Side fill_side) {
  const auto length = static_cast<int64_t>(text.Length());
  const auto missing = static_cast<size_t>(std::max<int64_t>(width - length, 0));
  const size_t limit = runtime.options().limits.max_memory_bytes;
  MACH_RETURN_IF_ERROR(
      runtime.Reserve(missing > limit / fill.size() ? limit + 1 : missing * fill.size()));
  MACH_RETURN_IF_ERROR(runtime.Step(missing / 64));
  size_t left = 0;
  if (fill_side == Side::kLeft) left = missing;
  if (fill_side == Side::kBoth) {
    // As str.center rounds.
    left = missing / 2 + (missing & static_cast<size_t>(width) & 1);
  }
  TextBuilder builder;
  for (size_t i = 0; i < left; ++i) builder.Append(fill);
  builder.Append(text);
  for (size_t i = left; i < missing; ++i) builder.Append(fill);
  return runtime.MakeText(std::move(builder), text.safe);
}

Value Map(Runtime& runtime, const Text& text, std::string (*function)(std::string_view)) {
  return runtime.MakeText(function(text.bytes), text.AnyPlain(), text.safe);
}

}  // namespace mach::jinja
