// Filters on text.
#include <algorithm>

#include "base/utf8.h"
#include "jinja/arguments.h"
#include "jinja/filters.h"
#include "jinja/format.h"
#include "jinja/interpreter.h"
#include "jinja/operators.h"
#include "jinja/text_operations.h"
#include "jinja/unicode.h"

namespace mach::jinja {
namespace {

// A filter that maps all characters by Function.
template <std::string (*Function)(std::string_view)>
Result<Value> MappedFilter(Interpreter& in, const Value& subject, Arguments& args) {
  MACH_RETURN_IF_ERROR(Bound::Bind("filter", args, {}));
  MACH_TRY(const Value text, ToText(in, subject));
  MACH_RETURN_IF_ERROR(in.Step(text.bytes().size() / 16));
  return Map(in, text.text(), Function);
}

// Words begin after blanks, hyphens and opening brackets; unlike str.title.
std::string TitleWords(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const auto separates = [text](size_t i) {
      const uint32_t c = utf8::Decode(text, i).code_point;
      return c == '-' || c == '(' || c == '{' || c == '[' || c == '<' || unicode::IsSpace(c);
    };
    size_t end = at;
    const bool separator = separates(at);
    while (end < text.size() && separates(end) == separator) {
      end += utf8::Decode(text, end).length;
    }
    const std::string_view word = text.substr(at, end - at);
    const size_t first = utf8::Decode(word, 0).length;
    out += unicode::Upper(word.substr(0, first)) + unicode::Lower(word.substr(first));
    at = end;
  }
  return out;
}

Result<Value> StringFilter(Interpreter& in, const Value& subject, Arguments& args) {
  MACH_RETURN_IF_ERROR(Bound::Bind("string", args, {}));
  return ToText(in, subject);
}

Result<Value> Safe(Interpreter& in, const Value& subject, Arguments& args) {
  MACH_RETURN_IF_ERROR(Bound::Bind("safe", args, {}));
  TextBuilder builder;
  MACH_RETURN_IF_ERROR(AppendStr(in, subject, builder));
  return in.MakeText(std::move(builder), true);
}

Result<Value> EscapeFilter(Interpreter& in, const Value& subject, Arguments& args) {
  MACH_RETURN_IF_ERROR(Bound::Bind("escape", args, {}));
  MACH_TRY(const Value text, ToText(in, subject));
  if (text.text().safe) return text;
  return Escape(in, text.text());
}

Result<Value> ForceEscape(Interpreter& in, const Value& subject, Arguments& args) {
  MACH_RETURN_IF_ERROR(Bound::Bind("forceescape", args, {}));
  MACH_TRY(const Value text, ToText(in, subject));
  return Escape(in, text.text());
}

Result<Value> Trim(Interpreter& in, const Value& subject, Arguments& args) {
  MACH_TRY(const Bound bound, Bound::Bind("trim", args, {"chars"}));
  MACH_TRY(const Text* chars, bound.String(0));
  MACH_TRY(const Value text, ToText(in, subject));
  MACH_RETURN_IF_ERROR(in.Step(text.bytes().size() / 64));
  return Strip(in, text.text(), chars, Side::kBoth);
}

Result<Value> ReplaceFilter(Interpreter& in, const Value& subject, Arguments& args) {
  MACH_TRY(const Bound bound, Bound::Bind("replace", args, {"old", "new", "count"}, 2));
  MACH_TRY(const Value text, ToText(in, subject));
  MACH_TRY(const Value old, ToText(in, *bound.Get(0)));
  MACH_TRY(const Value by, ToText(in, *bound.Get(1)));
  MACH_TRY(const int64_t count, bound.Int(2, -1));
  return Replace(in, text.text(), old.text(), by.text(), count, false);
}

Result<Value> JoinFilter(Interpreter& in, const Value& subject, Arguments& args) {
  MACH_TRY(const Bound bound, Bound::Bind("join", args, {"d", "attribute"}));
  MACH_TRY(std::vector<Value> items, Collect(in, subject));
  MACH_TRY(const Value separator, ToText(in, bound.Or(0, in.MakeText(""))));
  for (Value& item : items) {
    if (const Value* attribute = bound.Get(1); attribute != nullptr && !attribute->is_none()) {
      MACH_TRY(item, ItemByPath(in, item, *attribute, nullptr));
    }
    MACH_TRY(item, ToText(in, item));
  }
  return Join(in, separator.text(), items, false);
}

Result<Value> Center(Interpreter& in, const Value& subject, Arguments& args) {
  MACH_TRY(const Bound bound, Bound::Bind("center", args, {"width"}));
  MACH_TRY(const int64_t width, bound.Int(0, 80));
  MACH_TRY(const Value text, ToText(in, subject));
  return Pad(in, text.text(), width, " ", Side::kBoth);
}

Result<Value> Indent(Interpreter& in, const Value& subject, Arguments& args) {
  MACH_TRY(const Bound bound, Bound::Bind("indent", args, {"width", "first", "blank"}));
  Value indention = in.MakeText("    ");
  if (const Value* width = bound.Get(0)) {
    if (width->is_string()) {
      indention = *width;
    } else {
      MACH_TRY(indention, Binary(in, BinaryOp::kMul, in.MakeText(" "), *width));
    }
  }
  MACH_TRY(const Value text, Binary(in, BinaryOp::kAdd, subject, in.MakeText("\n")));
  MACH_TRY(const std::vector<Value> lines, SplitLines(in, text.text(), false));
  const bool blank = bound.Flag(2);
  TextBuilder out;
  for (size_t i = 0; i < lines.size(); ++i) {
    const Text& line = lines[i].text();
    if (i != 0) out.Append("\n");
    const bool indented = i == 0 ? bound.Flag(1) : blank || !line.bytes.empty();
    MACH_RETURN_IF_ERROR(in.Step(1 + (line.bytes.size() + indention.bytes().size()) / 64));
    MACH_RETURN_IF_ERROR(in.Reserve(out.size() + indention.bytes().size() + line.bytes.size()));
    if (indented) out.Append(indention.text());
    out.Append(line);
  }
  return in.MakeText(std::move(out), text.text().safe);
}

Result<Value> Truncate(Interpreter& in, const Value& subject, Arguments& args) {
  MACH_TRY(const Bound bound,
           Bound::Bind("truncate", args, {"length", "killwords", "end", "leeway"}));
  MACH_TRY(const int64_t length, bound.Int(0, 255));
  MACH_TRY(const Value end, ToText(in, bound.Or(2, in.MakeText("..."))));
  MACH_TRY(const int64_t leeway, bound.Int(3, 5));
  const auto end_length = static_cast<int64_t>(end.text().Length());
  if (length < end_length || leeway < 0) {
    return RenderError("truncate: length must not be less than that of `end`");
  }
  const std::optional<size_t> known = LengthOf(subject);
  const auto size = static_cast<int64_t>(known.value_or(0));
  if (known && (size <= length || size - length <= leeway)) return subject;
  if (!subject.is_string()) {
    return RenderError("truncate expects a string, not " + std::string(TypeName(subject)));
  }
  const Text& text = subject.text();
  MACH_RETURN_IF_ERROR(in.Step(text.bytes.size() / 64));
  size_t cut = text.Offset(static_cast<size_t>(length - end_length));
  if (!bound.Flag(1)) {
    const size_t blank = std::string_view(text.bytes).substr(0, cut).rfind(' ');
    if (blank != std::string_view::npos) cut = blank;
  }
  return Binary(in, BinaryOp::kAdd, in.Part(text, 0, cut, text.safe), end);
}

Result<Value> WordCount(Interpreter& in, const Value& subject, Arguments& args) {
  MACH_RETURN_IF_ERROR(Bound::Bind("wordcount", args, {}));
  MACH_TRY(const Value text, ToText(in, subject));
  const std::string& bytes = text.bytes();
  MACH_RETURN_IF_ERROR(in.Step(bytes.size() / 16));
  int64_t count = 0;
  bool inside = false;
  for (size_t at = 0; at < bytes.size();) {
    const utf8::Decoded d = utf8::Decode(bytes, at);
    const bool word =
        d.code_point == '_' || unicode::IsAlpha(d.code_point) || unicode::IsNumeric(d.code_point);
    count += word && !inside ? 1 : 0;
    inside = word;
    at += d.length;
  }
  return Value(count);
}

Result<Value> FormatFilter(Interpreter& in, const Value& subject, Arguments& args) {
  MACH_TRY(const Value text, ToText(in, subject));
  if (args.keywords.empty()) {
    return FormatPercent(in, text, in.MakeTuple(std::move(args.positional)));
  }
  if (!args.positional.empty()) {
    return RenderError("format can't handle positional and keyword arguments at the same time");
  }
  std::vector<std::pair<Value, Value>> items;
  for (auto& [name, value] : args.keywords) {
    items.emplace_back(in.MakeText(name), std::move(value));
  }
  MACH_TRY(const Value dict, in.MakeDict(std::move(items)));
  return FormatPercent(in, text, dict);
}

std::string Quote(std::string_view text, bool query) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if ((u < 0x80 && std::isalnum(u) != 0) || c == '_' || c == '.' || c == '-' || c == '~' ||
        (c == '/' && !query)) {
      out += c;
    } else if (c == ' ' && query) {
      out += '+';
    } else {
      out += '%';
      out += kHex[u >> 4];
      out += kHex[u & 15];
    }
  }
  return out;
}

Result<Value> UrlEncode(Interpreter& in, const Value& subject, Arguments& args) {
  MACH_RETURN_IF_ERROR(Bound::Bind("urlencode", args, {}));
  if (subject.is_string() || !IsIterable(subject)) {
    MACH_TRY(const Value text, ToText(in, subject));
    return in.MakeText(Quote(text.bytes(), false), text.text().AnyPlain());
  }
  const Value pairs =
      subject.is(Kind::kDict) ? in.MakeDictView(subject, DictView::What::kItems) : subject;
  MACH_TRY(const std::vector<Value> items, Collect(in, pairs));
  std::string out;
  bool plain = false;
  for (const Value& item : items) {
    if (!item.is_sequence() || item.items().size() != 2) {
      return RenderError("urlencode expects pairs of a key and a value");
    }
    if (!out.empty()) out += '&';
    for (size_t i = 0; i < 2; ++i) {
      MACH_TRY(const Value text, ToText(in, item.items()[i]));
      plain |= text.text().AnyPlain();
      if (i == 1) out += '=';
      out += Quote(text.bytes(), true);
    }
    MACH_RETURN_IF_ERROR(in.Reserve(out.size()));
  }
  return in.MakeText(std::move(out), plain);
}

}  // namespace

std::span<const Filter> TextFilters() {
  static constexpr Filter kFilters[] = {
      {"capitalize", MappedFilter<unicode::Capitalize>},
      {"center", Center},
      {"e", EscapeFilter},
      {"escape", EscapeFilter},
      {"forceescape", ForceEscape},
      {"format", FormatFilter},
      {"indent", Indent},
      {"join", JoinFilter},
      {"lower", MappedFilter<unicode::Lower>},
      {"replace", ReplaceFilter},
      {"safe", Safe},
      {"string", StringFilter},
      {"title", MappedFilter<TitleWords>},
      {"trim", Trim},
      {"truncate", Truncate},
      {"upper", MappedFilter<unicode::Upper>},
      {"urlencode", UrlEncode},
      {"wordcount", WordCount},
  };
  return kFilters;
}

}  // namespace mach::jinja
