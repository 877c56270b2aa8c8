#include "jinja/methods.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "jinja/arguments.h"
#include "jinja/interpreter.h"
#include "jinja/operators.h"

namespace mach::jinja {
namespace {

Result<Value> IndexOf(Interpreter& in, const Value& self, Arguments& args) {
  MACH_TRY(const Bound bound, Bound::Bind("index", args, {"value", "start", "stop"}, 1));
  MACH_TRY(const int64_t start, bound.Int(1, 0));
  MACH_TRY(const int64_t stop, bound.Int(2, INT64_MAX));
  const auto size = static_cast<int64_t>(self.items().size());
  const auto clamp = [size](int64_t at) {
    return std::clamp<int64_t>(at < 0 ? std::max(at, -size) + size : at, 0, size);
  };
  for (int64_t i = clamp(start); i < clamp(stop); ++i) {
    MACH_TRY(const bool equal, Equal(in, self.items()[static_cast<size_t>(i)], *bound.Get(0)));
    if (equal) return Value(i);
  }
  return RenderError("the value is not in the " + std::string(TypeName(self)));
}

Result<Value> CountOf(Interpreter& in, const Value& self, Arguments& args) {
  MACH_TRY(const Bound bound, Bound::Bind("count", args, {"value"}, 1));
  int64_t count = 0;
  for (const Value& item : self.items()) {
    MACH_TRY(const bool equal, Equal(in, item, *bound.Get(0)));
    count += equal ? 1 : 0;
  }
  return Value(count);
}

// Values are immutable, so a copy is the same.
Result<Value> Copy(Interpreter&, const Value& self, Arguments& args) {
  MACH_RETURN_IF_ERROR(Bound::Bind("copy", args, {}));
  return self;
}

Result<Value> Get(Interpreter&, const Value& self, Arguments& args) {
  MACH_TRY(const Bound bound, Bound::Bind("get", args, {"key", "default"}, 1));
  if (const Value* found = self.dict().Find(*bound.Get(0))) return *found;
  if (!HashKey(*bound.Get(0))) {
    return RenderError("unhashable type: '" + std::string(TypeName(*bound.Get(0))) + "'");
  }
  return bound.Or(1);
}

template <DictView::What What>
Result<Value> View(Interpreter& in, const Value& self, Arguments& args) {
  MACH_RETURN_IF_ERROR(Bound::Bind("keys, values and items", args, {}));
  return in.MakeDictView(self, What);
}

Result<Value> Cycle(Interpreter&, const Value& self, Arguments& args) {
  if (args.positional.empty()) return RenderError("no items for cycling given");
  const auto index = static_cast<size_t>(std::max<int64_t>(self.loop().index0, 0));
  return args.positional[index % args.positional.size()];
}

Result<Value> Changed(Interpreter& in, const Value& self, Arguments& args) {
  Loop& loop = self.loop();
  if (loop.changed && loop.changed->size() == args.positional.size()) {
    bool same = true;
    for (size_t i = 0; i < args.positional.size() && same; ++i) {
      MACH_TRY(same, Equal(in, (*loop.changed)[i], args.positional[i]));
    }
    if (same) return Value(false);
  }
  in.Keep(self);
  loop.changed = std::move(args.positional);
  return Value(true);
}

Result<Value> IsInteger(Interpreter&, const Value& self, Arguments& args) {
  MACH_RETURN_IF_ERROR(Bound::Bind("is_integer", args, {}));
  const double d = self.AsDouble();
  return Value(std::isfinite(d) && std::floor(d) == d);
}

const Method* Search(std::span<const Method> table, std::string_view name) {
  const auto it = std::find_if(table.begin(), table.end(),
                               [name](const Method& method) { return method.name == name; });
  return it == table.end() ? nullptr : &*it;
}

}  // namespace

std::span<const Method> ListMethods() {
  static constexpr Method kMethods[] = {
      {"append", nullptr}, {"clear", nullptr},   {"copy", Copy},      {"count", CountOf},
      {"extend", nullptr}, {"index", IndexOf},   {"insert", nullptr}, {"pop", nullptr},
      {"remove", nullptr}, {"reverse", nullptr}, {"sort", nullptr},
  };
  return kMethods;
}

std::span<const Method> TupleMethods() {
  static constexpr Method kMethods[] = {{"count", CountOf}, {"index", IndexOf}};
  return kMethods;
}

std::span<const Method> DictMethods() {
  static constexpr Method kMethods[] = {
      {"clear", nullptr},
      {"copy", Copy},
      {"get", Get},
      {"items", View<DictView::What::kItems>},
      {"keys", View<DictView::What::kKeys>},
      {"pop", nullptr},
      {"popitem", nullptr},
      {"setdefault", nullptr},
      {"update", nullptr},
      {"values", View<DictView::What::kValues>},
  };
  return kMethods;
}

std::span<const Method> LoopMethods() {
  static constexpr Method kMethods[] = {{"changed", Changed}, {"cycle", Cycle}};
  return kMethods;
}

std::span<const Method> NumberMethods() {
  static constexpr Method kMethods[] = {{"is_integer", IsInteger}};
  return kMethods;
}

const Method* FindMethod(const Value& object, std::string_view name) {
  switch (object.kind()) {
    case Kind::kString: {
      const Method* method = Search(StringMethods(), name);
      return method != nullptr ? method : Search(StringClassMethods(), name);
    }
    case Kind::kList:
      return Search(ListMethods(), name);
    case Kind::kTuple:
      return Search(TupleMethods(), name);
    case Kind::kDict:
      return Search(DictMethods(), name);
    case Kind::kLoop:
      return Search(LoopMethods(), name);
    case Kind::kFloat:
      return Search(NumberMethods(), name);
    default:
      return nullptr;
  }
}

bool IsInternalName(const Value& object, std::string_view name) {
  if (!name.starts_with("__")) return false;
  static constexpr std::string_view kEveryObject[] = {
      "__class__",  "__delattr__", "__dir__",         "__doc__",           "__eq__",
      "__format__", "__ge__",      "__gt__",          "__getattribute__",  "__hash__",
      "__init__",   "__le__",      "__lt__",          "__init_subclass__", "__ne__",
      "__new__",    "__reduce__",  "__reduce_ex__",   "__repr__",          "__setattr__",
      "__sizeof__", "__str__",     "__subclasshook__"};
  static constexpr std::string_view kContainers[] = {"__contains__", "__getitem__", "__iter__",
                                                     "__len__"};
  const auto in = [name](std::span<const std::string_view> names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  const bool container = object.is_string() || object.is_sequence() || object.is(Kind::kDict) ||
                         object.is(Kind::kRange);
  return in(kEveryObject) || (container && in(kContainers));
}

}  // namespace mach::jinja
