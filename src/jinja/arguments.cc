#include "jinja/arguments.h"

#include <algorithm>

#include "jinja/operators.h"
#include "jinja/runtime.h"

namespace mach::jinja {

Result<Bound> Bound::Bind(std::string_view function, const Arguments& args,
                          std::initializer_list<std::string_view> parameters, size_t required) {
  Bound bound;
  bound.function_ = function;
  bound.names_.assign(parameters.begin(), parameters.end());
  bound.values_.resize(parameters.size(), nullptr);
  if (args.positional.size() > parameters.size()) {
    return RenderError(bound.function_ + "() takes at most " + std::to_string(parameters.size()) +
                       " arguments, " + std::to_string(args.positional.size()) + " were given");
  }
  for (size_t i = 0; i < args.positional.size(); ++i) bound.values_[i] = &args.positional[i];
  for (const auto& [name, value] : args.keywords) {
    const auto it = std::find(parameters.begin(), parameters.end(), name);
    if (it == parameters.end()) {
      return RenderError(bound.function_ + "() has no parameter '" + name + "'");
    }
    const Value*& slot = bound.values_[static_cast<size_t>(it - parameters.begin())];
    if (slot != nullptr) {
      return RenderError(bound.function_ + "() got two values for '" + name + "'");
    }
    slot = &value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (bound.values_[i] == nullptr) {
      return RenderError(bound.function_ + "() misses its argument '" + bound.names_[i] + "'");
    }
  }
  return bound;
}

bool Bound::Flag(size_t i, bool fallback) const {
  return values_[i] != nullptr ? Truth(*values_[i]) : fallback;
}

Result<int64_t> Bound::Int(size_t i, int64_t fallback) const {
  if (values_[i] == nullptr || values_[i]->is_none()) return fallback;
  if (!values_[i]->is_integral()) return WrongType(i, "an integer");
  return values_[i]->AsInt();
}

Result<const Text*> Bound::String(size_t i) const {
  if (values_[i] == nullptr || values_[i]->is_none()) return nullptr;
  if (!values_[i]->is_string()) return WrongType(i, "a string");
  return &values_[i]->text();
}

Error Bound::WrongType(size_t i, std::string_view expected) const {
  return RenderError(function_ + "(): '" + names_[i] + "' must be " + std::string(expected) +
                     ", not " + std::string(TypeName(*values_[i])));
}

}  // namespace mach::jinja
