#include "cli/options/option_value.h"

#include <charconv>
#include <cmath>

#include "base/check.h"

namespace mach::cli {

std::optional<double> ToNumber(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    return std::nullopt;
  }
  return value;
}

std::optional<int64_t> ToInteger(const std::string& text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

void Assign(const OptionValue&, bool& member) { member = true; }

void Assign(const OptionValue& value, std::string& member) { member = value.texts.back(); }

void Assign(const OptionValue& value, std::vector<std::string>& member) { member = value.texts; }

void Assign(const OptionValue& value, double& member) {
  const auto number = ToNumber(value.texts.back());
  MACH_CHECK(number.has_value());
  member = *number;
}

void Assign(const OptionValue& value, int64_t& member) {
  const auto integer = ToInteger(value.texts.back());
  MACH_CHECK(integer.has_value());
  member = *integer;
}

}  // namespace mach::cli
