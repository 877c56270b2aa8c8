#include "jinja/globals.h"

#include <cstdint>
#include <ctime>
#include <string>

#include "base/utf8.h"
#include "jinja/arguments.h"
#include "jinja/format.h"
#include "jinja/interpreter.h"

namespace mach::jinja {
namespace {

constexpr int64_t kMaxRange = 100'000;  // the sandbox of Jinja2 has the same

Result<Value> RaiseException(Interpreter& in, const Value&, Arguments& args) {
  MACH_TRY(const Bound bound, Bound::Bind("raise_exception", args, {"message"}, 1));
  MACH_TRY(const Value message, ToText(in, *bound.Get(0)));
  return Error{Code::kInvalidArgument, message.bytes()};
}

Result<Value> StrftimeNow(Interpreter& in, const Value&, Arguments& args) {
  MACH_TRY(const Bound bound, Bound::Bind("strftime_now", args, {"format"}, 1));
  MACH_TRY(const Text* format, bound.String(0));
  if (format == nullptr) return RenderError("strftime_now(): 'format' must be a string");
  constexpr size_t kMaxFormatBytes = 1024;
  if (format->bytes.size() > kMaxFormatBytes) {
    return RenderError("strftime_now(): the format is longer than 1024 bytes");
  }
  // A time without zone: %z and %Z are empty, and %f is not the C library's.
  std::string pattern;
  for (size_t i = 0; i < format->bytes.size(); ++i) {
    const char c = format->bytes[i];
    const char next = i + 1 < format->bytes.size() ? format->bytes[i + 1] : ' ';
    if (c == '\0') return RenderError("strftime_now(): embedded null character");
    if (c != '%') {
      pattern += c;
    } else if (next == 'z' || next == 'Z') {
      ++i;
    } else if (next == 'f') {
      pattern += "000000";
      ++i;
    } else {
      pattern += c;
      if (next == '%') {
        pattern += next;
        ++i;
      }
    }
  }
  const std::time_t now = in.options().now_unix_seconds;
  std::tm time{};
  if (gmtime_r(&now, &time) == nullptr) return RenderError("strftime_now(): no such time");
  if (pattern.empty()) return in.MakeText("");
  char text[8192];
  pattern += '|';  // an empty result is then told from one that does not fit
  const size_t size = std::strftime(text, sizeof(text), pattern.c_str(), &time);
  if (size == 0) return RenderError("strftime_now(): the result is too long");
  return in.MakeText(utf8::Repair(std::string_view(text, size - 1)));
}

Result<Value> MakeNamespace(Interpreter& in, const Value&, Arguments& args) {
  MACH_TRY(const Value name_space, in.MakeNamespace());
  auto& attributes = name_space.name_space().attributes;
  const auto set = [&](const std::string& name, const Value& value) -> Status {
    MACH_RETURN_IF_ERROR(in.Step(1 + attributes.size() / 8));
    if (Value* known = name_space.name_space().Find(name)) {
      *known = value;
    } else {
      attributes.emplace_back(name, value);
    }
    return Ok();
  };
  if (args.positional.size() > 1) return RenderError("namespace() takes at most one argument");
  if (!args.positional.empty()) {
    if (!args.positional[0].is(Kind::kDict)) {
      return RenderError("namespace() expects a mapping, not " +
                         std::string(TypeName(args.positional[0])));
    }
    for (const auto& [key, value] : args.positional[0].dict().items) {
      if (!key.is_string()) return RenderError("namespace() expects names as keys");
      MACH_RETURN_IF_ERROR(set(key.bytes(), value));
    }
  }
  for (const auto& [name, value] : args.keywords) MACH_RETURN_IF_ERROR(set(name, value));
  return name_space;
}

Result<Value> MakeDict(Interpreter& in, const Value&, Arguments& args) {
  std::vector<std::pair<Value, Value>> items;
  if (args.positional.size() > 1) return RenderError("dict() takes at most one argument");
  if (!args.positional.empty()) {
    const Value& source = args.positional[0];
    if (source.is(Kind::kDict)) {
      items = source.dict().items;
    } else {
      MACH_TRY(const std::vector<Value> pairs, Collect(in, source));
      for (const Value& pair : pairs) {
        MACH_TRY(const std::vector<Value> parts, Collect(in, pair));
        if (parts.size() != 2) return RenderError("dict() expects pairs of a key and a value");
        items.emplace_back(parts[0], parts[1]);
      }
    }
  }
  for (auto& [name, value] : args.keywords) {
    items.emplace_back(in.MakeText(name), std::move(value));
  }
  return in.MakeDict(std::move(items));
}

Result<Value> MakeRange(Interpreter& in, const Value&, Arguments& args) {
  if (!args.keywords.empty() || args.positional.empty() || args.positional.size() > 3) {
    return RenderError("range() takes one to three integers");
  }
  int64_t numbers[3] = {0, 0, 1};
  for (size_t i = 0; i < args.positional.size(); ++i) {
    const Value& value = args.positional[i];
    if (value.is_undefined()) return RenderError(value.undefined().message);
    if (!value.is_integral()) {
      return RenderError("range() expects integers, not " + std::string(TypeName(value)));
    }
    numbers[args.positional.size() == 1 ? 1 : i] = value.AsInt();
  }
  const auto [start, stop, step] = numbers;
  if (step == 0) return RenderError("range() arg 3 must not be zero");
  // Differences of 64-bit numbers need 65 bits.
  const auto distance =
      step > 0 ? static_cast<__int128>(stop) - start : static_cast<__int128>(start) - stop;
  const auto stride = step > 0 ? static_cast<__int128>(step) : -static_cast<__int128>(step);
  const __int128 length = distance <= 0 ? 0 : (distance - 1) / stride + 1;
  if (length > kMaxRange) {
    return RenderError("range() of more than " + std::to_string(kMaxRange) + " items");
  }
  return in.MakeRange(start, stop, step, static_cast<int64_t>(length));
}

}  // namespace

std::span<const Global> Globals() {
  static constexpr Global kGlobals[] = {
      {"dict", MakeDict},   {"namespace", MakeNamespace},  {"raise_exception", RaiseException},
      {"range", MakeRange}, {"strftime_now", StrftimeNow},
  };
  return kGlobals;
}

}  // namespace mach::jinja
