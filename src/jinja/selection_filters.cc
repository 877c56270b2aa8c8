// map, select and their kin, which take an attribute, a filter or a test by name.
#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>

#include "jinja/arguments.h"
#include "jinja/filters.h"
#include "jinja/interpreter.h"
#include "jinja/operators.h"

namespace mach::jinja {
namespace {

Result<std::string> NameArgument(const Value& value, std::string_view what) {
  if (value.is_string()) return value.bytes();
  return RenderError("the name of a " + std::string(what) + " must be a string, not " +
                     std::string(TypeName(value)));
}

unsigned Depth(const Value& subject, const Arguments& args) {
  unsigned depth = subject.depth();
  for (const Value& arg : args.positional) depth = std::max(depth, arg.depth());
  for (const auto& [name, arg] : args.keywords) depth = std::max(depth, arg.depth());
  return depth;
}

// A generator over subject; f(item, out) gives whether out is yielded.
Value Generate(Interpreter& in, const Value& subject, unsigned depth,
               std::function<Result<bool>(const Value&, Value&)> f) {
  auto it = std::make_shared<std::optional<Iterator>>();
  return in.MakeGenerator(
      [&in, it, subject, f = std::move(f)](Value& out) -> Result<bool> {
        if (!*it) {
          if (!Truth(subject)) return false;
          MACH_TRY(*it, Iterator::Make(subject));
        }
        Value item;
        while (true) {
          MACH_TRY(const bool more, (*it)->Next(in, item));
          if (!more) return false;
          MACH_TRY(const bool yields, f(item, out));
          if (yields) return true;
        }
      },
      depth);
}

Result<Value> MapFilter(Interpreter& in, const Value& subject, Arguments& args) {
  const unsigned depth = Depth(subject, args);
  if (args.positional.empty() && !args.keywords.empty()) {
    MACH_TRY(const Bound bound, Bound::Bind("map", args, {"attribute", "default"}, 1));
    const Value attribute = *bound.Get(0);
    const Value fallback = bound.Or(1);
    return Generate(
        in, subject, depth,
        [&in, attribute, fallback](const Value& item, Value& out) -> Result<bool> {
          MACH_TRY(out, ItemByPath(in, item, attribute, fallback.is_none() ? nullptr : &fallback));
          return true;
        });
  }
  if (args.positional.empty()) return RenderError("map requires a filter or an attribute");
  MACH_TRY(const std::string name, NameArgument(args.positional[0], "filter"));
  auto rest = std::make_shared<Arguments>(std::move(args));
  rest->positional.erase(rest->positional.begin());
  return Generate(in, subject, depth,
                  [&in, name, rest](const Value& item, Value& out) -> Result<bool> {
                    Arguments copy = *rest;
                    MACH_TRY(out, in.CallFilter(name, item, copy));
                    return true;
                  });
}

Result<Value> Select(Interpreter& in, const Value& subject, Arguments& args, bool wanted,
                     bool by_attribute) {
  const unsigned depth = Depth(subject, args);
  Value attribute;
  auto rest = std::make_shared<Arguments>(std::move(args));
  std::vector<Value>& positional = rest->positional;
  if (by_attribute) {
    if (positional.empty()) return RenderError("missing parameter for attribute name");
    attribute = positional[0];
    positional.erase(positional.begin());
  }
  std::optional<std::string> test;
  if (!positional.empty()) {
    MACH_TRY(test, NameArgument(positional[0], "test"));
    positional.erase(positional.begin());
  }
  return Generate(
      in, subject, depth,
      [&in, attribute, rest, test, wanted](const Value& item, Value& out) -> Result<bool> {
        MACH_TRY(const Value tested, ItemByPath(in, item, attribute, nullptr));
        bool holds = Truth(tested);
        if (test) {
          MACH_TRY(holds, in.CallTest(*test, tested, *rest));
        }
        out = item;
        return holds == wanted;
      });
}

template <bool Wanted, bool ByAttribute>
Result<Value> SelectFilter(Interpreter& in, const Value& subject, Arguments& args) {
  return Select(in, subject, args, Wanted, ByAttribute);
}

Result<Value> Default(Interpreter&, const Value& subject, Arguments& args) {
  MACH_TRY(const Bound bound, Bound::Bind("default", args, {"default_value", "boolean"}));
  if (!subject.is_undefined() && (!bound.Flag(1) || Truth(subject))) return subject;
  if (bound.Get(0) != nullptr) return *bound.Get(0);
  return Value(Kind::kString, std::make_shared<Text>());
}

Result<Value> Attr(Interpreter& in, const Value& subject, Arguments& args) {
  MACH_TRY(const Bound bound, Bound::Bind("attr", args, {"name"}, 1));
  MACH_TRY(const std::string name, NameArgument(*bound.Get(0), "attribute"));
  return in.AttributeOnly(subject, name);
}

}  // namespace

Result<Value> ItemByPath(Interpreter& in, const Value& item, const Value& path,
                         const Value* fallback) {
  if (path.is_none()) return item;
  Value current = item;
  const auto step = [&](const Value& key) -> Status {
    MACH_TRY(current, in.Item(current, key));
    if (fallback != nullptr && !fallback->is_none() && current.is_undefined()) {
      current = *fallback;
    }
    return Ok();
  };
  if (!path.is_string()) {
    MACH_RETURN_IF_ERROR(step(path));
    return current;
  }
  const std::string_view names = path.bytes();
  for (size_t begin = 0; begin <= names.size();) {
    const size_t end = std::min(names.find('.', begin), names.size());
    const std::string_view name = names.substr(begin, end - begin);
    int64_t index = 0;
    const auto [rest, error] = std::from_chars(name.data(), name.data() + name.size(), index);
    const bool number = !name.empty() && name[0] != '-' && error == std::errc() &&
                        rest == name.data() + name.size();
    MACH_RETURN_IF_ERROR(step(number ? Value(index) : in.MakeText(std::string(name))));
    begin = end + 1;
  }
  return current;
}

std::span<const Filter> SelectionFilters() {
  static constexpr Filter kFilters[] = {
      {"attr", Attr},
      {"d", Default},
      {"default", Default},
      {"map", MapFilter},
      {"reject", SelectFilter<false, false>},
      {"rejectattr", SelectFilter<false, true>},
      {"select", SelectFilter<true, false>},
      {"selectattr", SelectFilter<true, true>},
  };
  return kFilters;
}

}  // namespace mach::jinja
