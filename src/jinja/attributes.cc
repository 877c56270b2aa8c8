// Attribute and item access, as the sandbox of Jinja2 resolves them.
#include "jinja/format.h"
#include "jinja/interpreter.h"
#include "jinja/methods.h"
#include "jinja/operators.h"

namespace mach::jinja {

// Undefined, with the message that its use gives.
Value Interpreter::Missing(const Value& object, const Value& key) {
  std::string type(object.is_none() ? "None" : TypeName(object));
  if (!object.is_none()) type += " object";
  if (key.is_string()) {
    return MakeUndefined("'" + type + "' has no attribute '" + key.bytes() + "'");
  }
  std::string element;
  bool saw_plain = false;
  if (!AppendRepr(*this, key, element, saw_plain)) element = "...";
  return MakeUndefined(type + " has no element " + element);
}

Result<bool> Interpreter::FindLoopAttribute(Loop& loop, std::string_view name, Value& out) {
  const auto index = [&loop] { return loop.index0 + 1; };
  if (name == "index") {
    out = Value(index());
  } else if (name == "index0") {
    out = Value(loop.index0);
  } else if (name == "first") {
    out = Value(loop.index0 == 0);
  } else if (name == "last") {
    MACH_TRY(const Value* next, loop.Peek(*this));
    out = Value(next == nullptr);
  } else if (name == "length") {
    MACH_TRY(const int64_t length, loop.Length(*this));
    out = Value(length);
  } else if (name == "revindex" || name == "revindex0") {
    MACH_TRY(const int64_t length, loop.Length(*this));
    out = Value(length - (name == "revindex" ? loop.index0 : index()));
  } else if (name == "previtem") {
    out = loop.index0 == 0 ? MakeUndefined("there is no previous item") : loop.before;
  } else if (name == "nextitem") {
    MACH_TRY(const Value* next, loop.Peek(*this));
    out = next == nullptr ? MakeUndefined("there is no next item") : *next;
  } else if (name == "depth") {
    out = Value(loop.depth0 + 1);
  } else if (name == "depth0") {
    out = Value(loop.depth0);
  } else {
    return false;
  }
  return true;
}

Result<bool> Interpreter::FindAttribute(const Value& object, std::string_view name, Value& out) {
  if (object.is(Kind::kNamespace)) {
    Namespace& name_space = object.name_space();
    MACH_RETURN_IF_ERROR(Step(name_space.attributes.size() / 8));
    const Value* attribute = name_space.Find(name);
    if (attribute == nullptr) return false;
    out = *attribute;
    return true;
  }
  if (object.is(Kind::kLoop)) {
    MACH_TRY(const bool found, FindLoopAttribute(object.loop(), name, out));
    if (found) return true;
  }
  if (object.is(Kind::kMacro) && name == "name") {
    out = MakeText(object.macro().definition->name);
    return true;
  }
  if (object.is(Kind::kTuple) && static_cast<const Sequence&>(*object.object()).is_group &&
      (name == "grouper" || name == "list")) {
    out = object.items()[name == "list" ? 1 : 0];
    return true;
  }
  const Method* method = FindMethod(object, name);
  if (method != nullptr && method->call != nullptr) {
    out = MakeFunction(method->name, method->call, object);
    return true;
  }
  if (method != nullptr || IsInternalName(object, name)) {
    out = MakeUndefined("access to attribute '" + std::string(name) + "' of '" +
                        std::string(TypeName(object)) + "' object is unsafe.");
    return true;
  }
  return false;
}

Result<bool> Interpreter::FindItem(const Value& object, const Value& key, Value& out) {
  switch (object.kind()) {
    case Kind::kDict: {
      const Value* found = object.dict().Find(key);
      if (found == nullptr) return false;
      out = *found;
      return true;
    }
    case Kind::kString: {
      if (!key.is_integral()) return false;
      const Text& text = object.text();
      const std::optional<size_t> at = NormalizeIndex(key.AsInt(), text.Length());
      if (!at) return false;
      const size_t begin = text.Offset(*at);
      out = Part(text, begin, text.Offset(*at + 1), text.safe);
      return true;
    }
    case Kind::kList:
    case Kind::kTuple: {
      if (!key.is_integral()) return false;
      const std::optional<size_t> at = NormalizeIndex(key.AsInt(), object.items().size());
      if (!at) return false;
      out = object.items()[*at];
      return true;
    }
    case Kind::kRange: {
      if (!key.is_integral()) return false;
      const Range& range = object.range();
      const std::optional<size_t> at =
          NormalizeIndex(key.AsInt(), static_cast<size_t>(range.length));
      if (!at) return false;
      out = Value(range.start + range.step * static_cast<int64_t>(*at));
      return true;
    }
    default:
      return false;
  }
}

Result<Value> Interpreter::AttributeOnly(const Value& object, std::string_view name) {
  if (object.is_undefined()) return RenderError(object.undefined().message);
  Value out;
  MACH_TRY(const bool found, FindAttribute(object, name, out));
  return found ? out : Missing(object, MakeText(std::string(name)));
}

Result<Value> Interpreter::Attribute(const Value& object, std::string_view name) {
  if (object.is_undefined()) return RenderError(object.undefined().message);
  Value out;
  MACH_TRY(const bool found, FindAttribute(object, name, out));
  if (found) return out;
  if (object.is(Kind::kDict)) {
    if (const Value* member = object.dict().Find(name)) return *member;
  }
  return Missing(object, MakeText(std::string(name)));
}

Result<Value> Interpreter::Item(const Value& object, const Value& key) {
  if (object.is_undefined()) return RenderError(object.undefined().message);
  Value out;
  MACH_TRY(const bool found, FindItem(object, key, out));
  if (found) return out;
  if (key.is_string()) {
    MACH_TRY(const bool attribute, FindAttribute(object, key.bytes(), out));
    if (attribute) return out;
  }
  return Missing(object, key);
}

}  // namespace mach::jinja
