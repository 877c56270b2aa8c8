#include "cli/options/foreign_names.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mach::cli {
namespace {

using testing::HasSubstr;

bool Has(const Command& command, std::string_view option) {
  for (const Option& o : command.options) {
    if (o.name == option) return true;
  }
  return false;
}

bool AnyHas(std::string_view option) {
  for (const Command& command : Commands()) {
    if (Has(command, option)) return true;
  }
  return false;
}

// "--name" of every option that a text speaks of.
std::vector<std::string> OptionsIn(std::string_view text) {
  std::vector<std::string> found;
  for (size_t at = 0; (at = text.find("--", at)) != std::string_view::npos;) {
    const size_t end = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-", at + 2);
    found.emplace_back(text.substr(at + 2, end == std::string_view::npos ? end : end - at - 2));
    at += 2;
  }
  return found;
}

// "'mach NAME" of every command that a text speaks of.
std::vector<std::string> CommandsIn(std::string_view text) {
  std::vector<std::string> found;
  constexpr std::string_view kMach = "'mach ";
  for (size_t at = 0; (at = text.find(kMach, at)) != std::string_view::npos;) {
    at += kMach.size();
    const size_t end = text.find_first_of(" '", at);
    found.emplace_back(text.substr(at, end - at));
  }
  return found;
}

// Nothing in the tables may speak of what there is not.
TEST(ForeignNames, SpeakOfWhatThereIs) {
  const std::set<std::string> not_ours = {"local-dir", "version"};
  std::set<std::string_view> seen;
  const auto check = [&](std::string_view theirs, std::string_view says) {
    EXPECT_TRUE(seen.insert(theirs).second) << theirs << " is there twice";
    for (const std::string& option : OptionsIn(says)) {
      EXPECT_TRUE(AnyHas(option) || not_ours.contains(option)) << theirs << ": --" << option;
    }
    for (const std::string& command : CommandsIn(says)) {
      EXPECT_TRUE(FindCommand(command) != nullptr || command == "bench" || command == "--version")
          << theirs << ": mach " << command;
    }
  };
  for (const ForeignOption& row : ForeignOptions()) {
    check(row.theirs, row.says);
    EXPECT_TRUE(row.theirs.starts_with('-'));
    EXPECT_TRUE(row.ours.empty() || AnyHas(row.ours)) << row.theirs << ": " << row.ours;
    EXPECT_FALSE(row.ours.empty() && row.says.empty()) << row.theirs;
  }
  for (const ForeignCommand& row : ForeignCommands()) {
    check(row.theirs, row.says);
    EXPECT_EQ(FindCommand(row.theirs), nullptr) << row.theirs;
  }
}

// Whatever the command, an answer names an option that it has, or a command that has it.
TEST(ForeignNames, AnswersFitTheCommand) {
  for (const Command& command : Commands()) {
    for (const ForeignOption& row : ForeignOptions()) {
      const std::string meant = OptionMeant(command, row.theirs);
      if (row.ours.empty() || row.ours == "checkpoint") continue;
      if (command.name == "synth" && row.ours == "output") continue;  // given without an option
      const std::string ours = "it is --" + std::string(row.ours);
      EXPECT_THAT(meant, HasSubstr(ours));
      const bool here = meant.find(ours + " here") != std::string::npos;
      EXPECT_EQ(here, Has(command, row.ours)) << command.name << ": " << meant;
      if (!here) {
        EXPECT_THAT(meant, HasSubstr(ours + " of 'mach "));
      }
    }
  }
}

TEST(ForeignNames, KnowWhatPeopleTypeFirst) {
  const Command& serve = *FindCommand("serve");
  const Command& generate = *FindCommand("generate");
  const Command& archs = *FindCommand("archs");
  EXPECT_EQ(OptionMeant(serve, "-c"), "it is --ctx-size here");
  EXPECT_EQ(OptionMeant(serve, "-m"),
            "it is given without an option here: mach serve <checkpoint>");
  EXPECT_EQ(OptionMeant(archs, "-m"), "");
  EXPECT_THAT(OptionMeant(serve, "-ngl"), HasSubstr("GPUs, which mach does not use yet"));
  EXPECT_EQ(OptionMeant(serve, "-p"), "it is --prompt of 'mach generate'");
  EXPECT_EQ(OptionMeant(serve, "--prompt"), "it is an option of 'mach generate'");
  EXPECT_EQ(OptionMeant(generate, "-p"), "it is --prompt here");
  EXPECT_THAT(OptionMeant(serve, "--api-key"), HasSubstr("it is --api-key-file here: a file"));
  EXPECT_THAT(OptionMeant(serve, "--gpu-memory-utilization"), HasSubstr("it is --wired-gb here"));
  EXPECT_EQ(OptionMeant(serve, "--frobnicate"), "");

  const std::vector<std::string> model = {"--port", "models/my model"};
  EXPECT_THAT(CommandMeant("run", model),
              HasSubstr("'mach generate 'models/my model' --prompt TEXT'"));
  EXPECT_THAT(CommandMeant("run", {}), HasSubstr("'mach serve MODEL --no-streaming'"));
  const std::vector<std::string> id = {"Qwen/Qwen3-30B-A3B"};
  EXPECT_THAT(CommandMeant("pull", id), HasSubstr("'hf download Qwen/Qwen3-30B-A3B --local-dir "
                                                  "models/Qwen3-30B-A3B'"));
  EXPECT_THAT(CommandMeant("models/mach-tiny", {}),
              HasSubstr("'mach serve models/mach-tiny --no-streaming'"));
  EXPECT_EQ(CommandMeant("frobnicate", {}), "");
  EXPECT_THAT(LeadingOptionMeant("-m", model), HasSubstr("'mach serve 'models/my model'"));
  EXPECT_THAT(LeadingOptionMeant("--port", {}), HasSubstr("a command comes first"));
  EXPECT_EQ(ArgumentMeant(generate, "What is it?"), "did you mean '--prompt 'What is it?''?");
  EXPECT_EQ(ArgumentMeant(serve, "x"), "");
}

}  // namespace
}  // namespace mach::cli
