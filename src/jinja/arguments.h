// Arguments of a call bound to the parameters of a native function, as Python binds them.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "jinja/value.h"

namespace mach::jinja {

class Bound {
 public:
  // Errors: too many arguments, one given twice, an unknown keyword, fewer than `required`.
  static Result<Bound> Bind(std::string_view function, const Arguments& args,
                            std::initializer_list<std::string_view> parameters,
                            size_t required = 0);

  // Null where the argument was not passed.
  const Value* Get(size_t i) const { return values_[i]; }
  // The value, or None.
  Value Or(size_t i, const Value& fallback = Value()) const {
    return values_[i] ? *values_[i] : fallback;
  }
  bool Flag(size_t i, bool fallback = false) const;
  // None counts as absent for the typed readers.
  Result<int64_t> Int(size_t i, int64_t fallback) const;
  // Null when absent; an error when it is no string.
  Result<const Text*> String(size_t i) const;

 private:
  Error WrongType(size_t i, std::string_view expected) const;
  std::string function_;
  std::vector<std::string> names_;
  std::vector<const Value*> values_;
};

}  // namespace mach::jinja
