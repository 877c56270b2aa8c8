// The texts that an option was given, and the types that they become.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mach::cli {

struct OptionValue {
  std::string_view name;           // of the option
  std::vector<std::string> texts;  // more than one only of a repeatable option; of a flag "1"
  std::string variable;            // the environment variable that they come from; empty: none
};

// The number that the whole text is; a double is finite.
std::optional<double> ToNumber(const std::string& text);
std::optional<int64_t> ToInteger(const std::string& text);

// Each REQUIRES a value that was checked against an option of the member's type.
void Assign(const OptionValue& value, bool& member);
void Assign(const OptionValue& value, std::string& member);
void Assign(const OptionValue& value, std::vector<std::string>& member);
void Assign(const OptionValue& value, double& member);
void Assign(const OptionValue& value, int64_t& member);

// REQUIRES: the option's range is within that of the type.
template <std::integral Integer>
void Assign(const OptionValue& value, Integer& member) {
  int64_t wide = 0;
  Assign(value, wide);
  member = static_cast<Integer>(wide);
}

template <class T>
void Assign(const OptionValue& value, std::optional<T>& member) {
  Assign(value, member.emplace());
}

}  // namespace mach::cli
