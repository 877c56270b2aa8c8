// Methods of strings: text to text, pieces and positions.
#include <algorithm>
#include <string>

#include "base/utf8.h"
#include "jinja/arguments.h"
#include "jinja/format.h"
#include "jinja/interpreter.h"
#include "jinja/methods.h"
#include "jinja/operators.h"
#include "jinja/text_operations.h"
#include "jinja/unicode.h"

namespace mach::jinja {
namespace {

template <std::string (*Function)(std::string_view)>
Result<Value> MappedMethod(Interpreter& in, const Value& self, Arguments& args) {
  MACH_RETURN_IF_ERROR(Bound::Bind("str method", args, {}));
  MACH_RETURN_IF_ERROR(in.Step(self.bytes().size() / 16));
  return Map(in, self.text(), Function);
}

template <Side StripSide>
Result<Value> StripMethod(Interpreter& in, const Value& self, Arguments& args) {
  MACH_TRY(const Bound bound, Bound::Bind("strip", args, {"chars"}));
  MACH_TRY(const Text* chars, bound.String(0));
  MACH_RETURN_IF_ERROR(in.Step(self.bytes().size() / 64));
  return Strip(in, self.text(), chars, StripSide);
}

template <bool FromRight>
Result<Value> SplitMethod(Interpreter& in, const Value& self, Arguments& args) {
  MACH_TRY(const Bound bound, Bound::Bind("split", args, {"sep", "maxsplit"}));
  MACH_TRY(const Text* separator, bound.String(0));
  MACH_TRY(const int64_t count, bound.Int(1, -1));
  MACH_TRY(std::vector<Value> parts, Split(in, self.text(), separator, count, FromRight));
  return in.MakeList(std::move(parts));
}

Result<Value> SplitLinesMethod(Interpreter& in, const Value& self, Arguments& args) {
  MACH_TRY(const Bound bound, Bound::Bind("splitlines", args, {"keepends"}));
  MACH_TRY(std::vector<Value> lines, SplitLines(in, self.text(), bound.Flag(0)));
  return in.MakeList(std::move(lines));
}

template <bool FromRight>
Result<Value> Partition(Interpreter& in, const Value& self, Arguments& args) {
  MACH_TRY(const Bound bound, Bound::Bind("partition", args, {"sep"}, 1));
  MACH_TRY(const Text* separator, bound.String(0));
  if (separator == nullptr) return RenderError("partition(): 'sep' must be a string");
  if (separator->bytes.empty()) return RenderError("empty separator");
  const Text& text = self.text();
  MACH_RETURN_IF_ERROR(in.Step(text.bytes.size() / 16));
  const size_t at =
      FromRight ? text.bytes.rfind(separator->bytes) : text.bytes.find(separator->bytes);
  const Value empty = in.MakeText("", false, text.safe);
  if (at == std::string::npos) {
    return FromRight ? in.MakeTuple({empty, empty, self}) : in.MakeTuple({self, empty, empty});
  }
  const size_t after = at + separator->bytes.size();
  return in.MakeTuple({in.Part(text, 0, at, text.safe), in.Part(text, at, after, text.safe),
                       in.Part(text, after, text.bytes.size(), text.safe)});
}

// In a Markup's methods, plain strings are escaped.
Value Argument(Interpreter& in, const Value& self, const Value& value) {
  return self.text().safe && !value.text().safe ? Escape(in, value.text()) : value;
}

Result<Value> JoinMethod(Interpreter& in, const Value& self, Arguments& args) {
  MACH_TRY(const Bound bound, Bound::Bind("join", args, {"iterable"}, 1));
  MACH_TRY(std::vector<Value> items, Collect(in, *bound.Get(0)));
  for (size_t i = 0; i < items.size(); ++i) {
    if (self.text().safe) {
      MACH_TRY(items[i], ToText(in, items[i]));
    }
    if (!items[i].is_string()) {
      return RenderError("sequence item " + std::to_string(i) + ": expected str instance, " +
                         std::string(TypeName(items[i])) + " found");
    }
    items[i] = Argument(in, self, items[i]);
  }
  return Join(in, self.text(), items, self.text().safe);
}

Result<Value> ReplaceMethod(Interpreter& in, const Value& self, Arguments& args) {
  MACH_TRY(const Bound bound, Bound::Bind("replace", args, {"old", "new", "count"}, 2));
  for (size_t i = 0; i < 2; ++i) {
    if (!bound.Get(i)->is_string()) {
      return RenderError("replace() argument " + std::to_string(i + 1) + " must be str, not " +
                         std::string(TypeName(*bound.Get(i))));
    }
  }
  MACH_TRY(const int64_t count, bound.Int(2, -1));
  const Value old = Argument(in, self, *bound.Get(0));
  const Value by = Argument(in, self, *bound.Get(1));
  return Replace(in, self.text(), old.text(), by.text(), count, self.text().safe);
}

// The bytes that [start:end) of code points selects.
struct Window {
  bool valid = false;  // start within the string
  size_t begin = 0;
  size_t end = 0;
};

Result<Window> SelectWindow(Interpreter& in, const Text& text, const Bound& bound) {
  MACH_RETURN_IF_ERROR(in.Step(text.bytes.size() / 64));
  const auto size = static_cast<int64_t>(text.Length());
  MACH_TRY(int64_t start, bound.Int(1, 0));
  MACH_TRY(int64_t end, bound.Int(2, size));
  if (start < 0) start = std::max<int64_t>(std::max(start, -size) + size, 0);
  if (end < 0) end = std::max<int64_t>(std::max(end, -size) + size, 0);
  end = std::min(end, size);
  if (start > end) return Window{};
  return Window{true, text.Offset(static_cast<size_t>(start)),
                text.Offset(static_cast<size_t>(end))};
}

Result<Value> Affix(Interpreter& in, const Value& self, const Arguments& args, bool prefix) {
  MACH_TRY(const Bound bound, Bound::Bind(prefix ? "startswith" : "endswith", args,
                                          {prefix ? "prefix" : "suffix", "start", "end"}, 1));
  MACH_TRY(const Window window, SelectWindow(in, self.text(), bound));
  const std::string_view text =
      std::string_view(self.bytes()).substr(window.begin, window.end - window.begin);
  std::vector<Value> candidates = {*bound.Get(0)};
  if (candidates[0].is(Kind::kTuple)) candidates = std::vector<Value>(bound.Get(0)->items());
  for (const Value& candidate : candidates) {
    if (!candidate.is_string()) {
      return RenderError(std::string(prefix ? "startswith" : "endswith") +
                         " first arg must be str or a tuple of str, not " +
                         std::string(TypeName(candidate)));
    }
    const std::string& affix = candidate.bytes();
    if (window.valid && (prefix ? text.starts_with(affix) : text.ends_with(affix))) {
      return Value(true);
    }
  }
  return Value(false);
}

Result<Value> StartsWith(Interpreter& in, const Value& self, Arguments& args) {
  return Affix(in, self, args, true);
}

Result<Value> EndsWith(Interpreter& in, const Value& self, Arguments& args) {
  return Affix(in, self, args, false);
}

template <bool FromRight, bool MustExist>
Result<Value> FindMethodOf(Interpreter& in, const Value& self, Arguments& args) {
  MACH_TRY(const Bound bound, Bound::Bind("find", args, {"sub", "start", "end"}, 1));
  if (!bound.Get(0)->is_string()) {
    return RenderError("must be str, not " + std::string(TypeName(*bound.Get(0))));
  }
  const std::string& wanted = bound.Get(0)->bytes();
  MACH_TRY(const Window window, SelectWindow(in, self.text(), bound));
  const std::string_view text =
      std::string_view(self.bytes()).substr(window.begin, window.end - window.begin);
  const size_t at = !window.valid ? std::string_view::npos
                    : FromRight   ? text.rfind(wanted)
                                  : text.find(wanted);
  if (at == std::string_view::npos) {
    if (MustExist) return RenderError("substring not found");
    return Value(int64_t{-1});
  }
  return Value(static_cast<int64_t>(
      unicode::Length(std::string_view(self.bytes()).substr(0, window.begin + at))));
}

Result<Value> Count(Interpreter& in, const Value& self, Arguments& args) {
  MACH_TRY(const Bound bound, Bound::Bind("count", args, {"sub", "start", "end"}, 1));
  if (!bound.Get(0)->is_string()) {
    return RenderError("must be str, not " + std::string(TypeName(*bound.Get(0))));
  }
  const std::string& wanted = bound.Get(0)->bytes();
  MACH_TRY(const Window window, SelectWindow(in, self.text(), bound));
  if (!window.valid) return Value(int64_t{0});
  const std::string_view text =
      std::string_view(self.bytes()).substr(window.begin, window.end - window.begin);
  if (wanted.empty()) return Value(static_cast<int64_t>(unicode::Length(text)) + 1);
  int64_t count = 0;
  for (size_t at = text.find(wanted); at != std::string_view::npos;
       at = text.find(wanted, at + wanted.size())) {
    ++count;
  }
  return Value(count);
}

template <Side FillSide>
Result<Value> Justify(Interpreter& in, const Value& self, Arguments& args) {
  MACH_TRY(const Bound bound, Bound::Bind("justify", args, {"width", "fillchar"}, 1));
  MACH_TRY(const int64_t width, bound.Int(0, 0));
  MACH_TRY(const Text* fill, bound.String(1));
  if (fill != nullptr && fill->Length() != 1) {
    return RenderError("the fill character must be exactly one character long");
  }
  return Pad(in, self.text(), width, fill == nullptr ? std::string_view(" ") : fill->bytes,
             FillSide);
}

Result<Value> ZFill(Interpreter& in, const Value& self, Arguments& args) {
  MACH_TRY(const Bound bound, Bound::Bind("zfill", args, {"width"}, 1));
  MACH_TRY(const int64_t width, bound.Int(0, 0));
  const Text& text = self.text();
  const bool sign = text.bytes.starts_with('-') || text.bytes.starts_with('+');
  if (!sign) return Pad(in, text, width, "0", Side::kLeft);
  const Value digits = in.Part(text, 1, text.bytes.size(), text.safe);
  const int64_t rest = width > INT64_MIN ? width - 1 : width;
  MACH_TRY(const Value padded, Pad(in, digits.text(), rest, "0", Side::kLeft));
  return Binary(in, BinaryOp::kAdd, in.Part(text, 0, 1, text.safe), padded);
}

template <bool Prefix>
Result<Value> RemoveAffix(Interpreter& in, const Value& self, Arguments& args) {
  MACH_TRY(const Bound bound, Bound::Bind("removeprefix", args, {"affix"}, 1));
  MACH_TRY(const Text* affix, bound.String(0));
  if (affix == nullptr) return RenderError("removeprefix() argument must be str");
  const Text& text = self.text();
  const bool has =
      Prefix ? text.bytes.starts_with(affix->bytes) : text.bytes.ends_with(affix->bytes);
  if (!has || affix->bytes.empty()) return self;
  const size_t cut = affix->bytes.size();
  return in.Part(text, Prefix ? cut : 0, text.bytes.size() - (Prefix ? 0 : cut), text.safe);
}

Result<Value> ExpandTabs(Interpreter& in, const Value& self, Arguments& args) {
  MACH_TRY(const Bound bound, Bound::Bind("expandtabs", args, {"tabsize"}));
  MACH_TRY(const int64_t size, bound.Int(0, 8));
  const Text& text = self.text();
  TextBuilder out;
  int64_t column = 0;
  for (size_t at = 0; at < text.bytes.size();) {
    const size_t length = utf8::Decode(text.bytes, at).length;
    if (text.bytes[at] == '\t') {
      const int64_t blanks = size > 0 ? size - column % size : 0;
      const auto count = static_cast<size_t>(blanks);
      MACH_RETURN_IF_ERROR(in.Step(1 + count / 64));
      if (count > in.options().limits.max_memory_bytes) {
        return RenderError("expandtabs(): the tab size is too large");
      }
      MACH_RETURN_IF_ERROR(in.Reserve(out.size() + count));
      out.Append(count, ' ');
      column += blanks;
    } else {
      out.Append(text, at, at + length);
      const bool line_end = text.bytes[at] == '\n' || text.bytes[at] == '\r';
      column = line_end ? 0 : column + 1;
    }
    at += length;
  }
  MACH_RETURN_IF_ERROR(in.Step(text.bytes.size() / 16));
  return in.MakeText(std::move(out), text.safe);
}

}  // namespace

std::span<const Method> StringMethods() {
  static constexpr Method kMethods[] = {
      {"capitalize", MappedMethod<unicode::Capitalize>},
      {"casefold", MappedMethod<unicode::CaseFold>},
      {"center", Justify<Side::kBoth>},
      {"count", Count},
      {"endswith", EndsWith},
      {"expandtabs", ExpandTabs},
      {"find", FindMethodOf<false, false>},
      {"index", FindMethodOf<false, true>},
      {"join", JoinMethod},
      {"ljust", Justify<Side::kRight>},
      {"lower", MappedMethod<unicode::Lower>},
      {"lstrip", StripMethod<Side::kLeft>},
      {"partition", Partition<false>},
      {"removeprefix", RemoveAffix<true>},
      {"removesuffix", RemoveAffix<false>},
      {"replace", ReplaceMethod},
      {"rfind", FindMethodOf<true, false>},
      {"rindex", FindMethodOf<true, true>},
      {"rjust", Justify<Side::kLeft>},
      {"rpartition", Partition<true>},
      {"rsplit", SplitMethod<true>},
      {"rstrip", StripMethod<Side::kRight>},
      {"split", SplitMethod<false>},
      {"splitlines", SplitLinesMethod},
      {"startswith", StartsWith},
      {"strip", StripMethod<Side::kBoth>},
      {"swapcase", MappedMethod<unicode::SwapCase>},
      {"title", MappedMethod<unicode::Title>},
      {"upper", MappedMethod<unicode::Upper>},
      {"zfill", ZFill},
  };
  return kMethods;
}

}  // namespace mach::jinja
