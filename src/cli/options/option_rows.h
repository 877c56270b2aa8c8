// Rows that fill a member of a command's options. The compiler refuses a row whose member has
// another type than its option, and two rows of a list that fill the same member.
#pragma once

#include <array>
#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "cli/options/option_table.h"
#include "cli/options/option_value.h"

namespace mach::cli {

// Reads a value of the option's type and range, which the command line, the environment or the
// option's default gave. Without any of these the member keeps what it was constructed with.
template <class Target>
using ReadOption = void (*)(const OptionValue& value, Target& target);

template <class Target>
struct OptionReader {
  ReadOption<Target> read = nullptr;
  bool (*fits)(const Option& option) = nullptr;
};

// Not defined: a call is an error of the compiler.
void TheMemberHasAnotherTypeThanTheOption();

template <class Target>
struct OptionOf {
  constexpr OptionOf() = default;
  consteval OptionOf(const Option& o, OptionReader<Target> reader) : option(o), read(reader.read) {
    if (!reader.fits(o)) TheMemberHasAnotherTypeThanTheOption();
  }
  // For what no member is a copy of.
  constexpr OptionOf(const Option& o, ReadOption<Target> r) : option(o), read(r) {}

  Option option;
  ReadOption<Target> read = nullptr;
};

template <class Member>
constexpr bool Fits(const Option& option) {
  const bool text = option.type == OptionType::kText || option.type == OptionType::kPath ||
                    option.type == OptionType::kChoice;
  if constexpr (std::same_as<Member, bool>) {
    return option.type == OptionType::kFlag;
  } else if constexpr (std::same_as<Member, std::string>) {
    return text && !option.repeatable;
  } else if constexpr (std::same_as<Member, std::vector<std::string>>) {
    return text && option.repeatable;
  } else if constexpr (std::same_as<Member, double>) {
    return option.type == OptionType::kNumber;
  } else if constexpr (std::integral<Member>) {
    return option.type == OptionType::kInteger;
  } else {
    return Fits<typename Member::value_type>(option);  // std::optional
  }
}

template <class Class, class Member>
Class ClassOf(Member Class::*);
template <auto member>
using TargetOf = decltype(ClassOf(member));

template <class Class, class Member>
Member MemberOf(Member Class::*);

template <auto member>
void ReadInto(const OptionValue& value, TargetOf<member>& target) {
  Assign(value, target.*member);
}

// Into<&ModelOptions::chunk>: what was given, in the member's type.
template <auto member>
inline constexpr OptionReader<TargetOf<member>> Into = {&ReadInto<member>,
                                                        &Fits<decltype(MemberOf(member))>};

// A choice by its name.
template <class T>
struct Choice {
  std::string_view name;
  T value;
};

template <const auto& choices>
inline constexpr auto kNamesOf = [] {
  std::array<std::string_view, std::size(choices)> names;
  for (size_t i = 0; i < names.size(); ++i) names[i] = choices[i].name;
  return names;
}();

template <const auto& choices, auto member>
void ReadChoice(const OptionValue& value, TargetOf<member>& target) {
  for (const auto& choice : choices) {
    if (choice.name != value.texts.back()) continue;
    target.*member = choice.value;
    return;
  }
  MACH_CHECK(false);  // the parser knows the names
}

// With -fsanitize=undefined, g++ takes no comparison of addresses for a constant: what compares
// them accepts everything, and other builds check it.
#ifdef __SANITIZE_ADDRESS__
inline constexpr bool kAddressesCompare = false;
#else
inline constexpr bool kAddressesCompare = true;
#endif

template <const auto& choices>
constexpr bool OffersAll(const Option& option) {
  if (option.type != OptionType::kChoice) return false;
  return !kAddressesCompare || option.choices.data() == kNamesOf<choices>.data();
}

// OneOf<kLevels, &LogOptions::level>: what the chosen name stands for. The row's choices are
// kNamesOf<kLevels>.
template <const auto& choices, auto member>
inline constexpr OptionReader<TargetOf<member>> OneOf = {&ReadChoice<choices, member>,
                                                         &OffersAll<choices>};

template <class Target, size_t n>
constexpr bool FillDifferentMembers(const std::array<OptionOf<Target>, n>& rows) {
  if (!kAddressesCompare) return true;
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (rows[i].read == rows[j].read) return false;
    }
  }
  return true;
}

template <auto part, const auto& rows, size_t i>
void ReadPart(const OptionValue& value, TargetOf<part>& target) {
  rows[i].read(value, target.*part);
}

// Rows of a member, In<&ServeOptions::model, kModelOptions>(), as rows of what has the member.
template <auto part, const auto& rows>
constexpr auto In() {
  static_assert(FillDifferentMembers(rows));
  return []<size_t... i>(std::index_sequence<i...>) {
    using Row = OptionOf<TargetOf<part>>;
    return std::array{Row(rows[i].option, ReadOption<TargetOf<part>>(&ReadPart<part, rows, i>))...};
  }
  (std::make_index_sequence<std::size(rows)>());
}

// The rows of several lists, one after the other.
template <class Target, size_t... n>
constexpr std::array<OptionOf<Target>, (n + ...)> Join(
    const std::array<OptionOf<Target>, n>&... lists) {
  std::array<OptionOf<Target>, (n + ...)> all;
  size_t at = 0;
  const auto append = [&](const auto& list) {
    for (const OptionOf<Target>& row : list) all[at++] = row;
  };
  (append(lists), ...);
  return all;
}

template <const auto& rows>
inline constexpr auto kOptionsOf = [] {
  std::array<Option, std::size(rows)> options;
  for (size_t i = 0; i < options.size(); ++i) options[i] = rows[i].option;
  return options;
}();

template <class Target, size_t n>
CommandOptions ReadRows(const std::array<OptionOf<Target>, n>& rows,
                        std::span<const OptionValue> values) {
  Target target;
  for (size_t i = 0; i < n; ++i) {
    if (!values[i].texts.empty()) rows[i].read(values[i], target);
  }
  return target;
}

// The command with the rows as its options.
template <const auto& rows>
constexpr Command WithOptions(Command command) {
  static_assert(FillDifferentMembers(rows));
  command.options = kOptionsOf<rows>;
  command.read = [](std::span<const OptionValue> values) { return ReadRows(rows, values); };
  return command;
}

}  // namespace mach::cli
