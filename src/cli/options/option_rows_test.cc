#include "cli/options/option_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mach::cli {
namespace {

using testing::ElementsAre;

constexpr Option kFlag{.name = "flag", .type = OptionType::kFlag};
constexpr Option kText{.name = "text", .type = OptionType::kText};
constexpr Option kList{.name = "list", .type = OptionType::kText, .repeatable = true};
constexpr Option kInteger{.name = "integer", .type = OptionType::kInteger};
constexpr Option kNumber{.name = "number", .type = OptionType::kNumber};

// What the constructor of a row holds a member to.
static_assert(Fits<bool>(kFlag) && !Fits<bool>(kText) && !Fits<bool>(kInteger));
static_assert(Fits<std::string>(kText) && !Fits<std::string>(kList) && !Fits<std::string>(kNumber));
static_assert(Fits<std::vector<std::string>>(kList) && !Fits<std::vector<std::string>>(kText));
static_assert(Fits<uint16_t>(kInteger) && !Fits<uint16_t>(kNumber) && !Fits<size_t>(kFlag));
static_assert(Fits<double>(kNumber) && !Fits<double>(kInteger));
static_assert(Fits<std::optional<double>>(kNumber) && !Fits<std::optional<double>>(kText));

constexpr Choice<bool> kChoices[] = {{"no", false}, {"yes", true}};
constexpr Choice<bool> kOthers[] = {{"off", false}, {"on", true}};
static_assert(OffersAll<kChoices>({.type = OptionType::kChoice, .choices = kNamesOf<kChoices>}));
static_assert(!kAddressesCompare ||
              !OffersAll<kChoices>({.type = OptionType::kChoice, .choices = kNamesOf<kOthers>}));

constexpr auto kTwice = std::to_array<OptionOf<ModelsOptions>>(
    {{kText, Into<&ModelsOptions::directory>}, {kText, Into<&ModelsOptions::directory>}});
constexpr auto kOnce = std::to_array<OptionOf<ModelsOptions>>(
    {{kText, Into<&ModelsOptions::directory>}, {kFlag, Into<&ModelsOptions::json>}});
static_assert(!kAddressesCompare || !FillDifferentMembers(kTwice));
static_assert(FillDifferentMembers(kOnce));

TEST(OptionRows, FillTheMembersOfAPart) {
  static constexpr auto kModel = std::to_array<OptionOf<ModelOptions>>(
      {{kInteger, Into<&ModelOptions::chunk>}, {kNumber, Into<&ModelOptions::wired_gb>}});
  static constexpr auto kOwn =
      std::to_array<OptionOf<CheckCommandOptions>>({{kFlag, Into<&CheckCommandOptions::json>}});
  static constexpr auto kAll = Join(kOwn, In<&CheckCommandOptions::model, kModel>());
  const Command command = WithOptions<kAll>({.name = "check"});
  ASSERT_EQ(command.options.size(), 3u);
  EXPECT_EQ(command.options[0].name, "flag");
  EXPECT_EQ(command.options[2].name, "number");

  const std::vector<OptionValue> given = {{"flag", {"1"}, ""}, {"integer", {"7"}, ""}, {}};
  const auto options = std::get<CheckCommandOptions>(command.read(given));
  EXPECT_TRUE(options.json);
  EXPECT_EQ(options.model.chunk, 7u);
  EXPECT_FALSE(options.model.wired_gb.has_value());
  const auto none = std::get<CheckCommandOptions>(command.read(std::vector<OptionValue>(3)));
  EXPECT_FALSE(none.json);
  EXPECT_EQ(none.model.chunk, ModelOptions().chunk);
}

TEST(OptionValue, BecomesTheTypeOfItsMember) {
  const auto value = [](std::vector<std::string> texts) {
    return OptionValue{"name", std::move(texts), ""};
  };
  uint16_t port = 0;
  Assign(value({"65535"}), port);
  EXPECT_EQ(port, 65535);
  std::optional<uint64_t> seed;
  Assign(value({"9007199254740992"}), seed);
  EXPECT_EQ(seed, uint64_t{9007199254740992});
  std::optional<double> share;
  Assign(value({"0.25"}), share);
  EXPECT_EQ(share, 0.25);
  std::optional<std::string> prompt;
  Assign(value({""}), prompt);
  EXPECT_EQ(prompt, "");
  std::vector<std::string> names;
  Assign(value({"a", "b"}), names);
  EXPECT_THAT(names, ElementsAre("a", "b"));
}

}  // namespace
}  // namespace mach::cli
