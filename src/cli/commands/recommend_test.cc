#include "cli/commands/recommend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mach::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr size_t kGibibyte = size_t{1} << 30;

CheckReport Report(Verdict stacked, Verdict streaming) {
  CheckReport r;
  r.ceiling = 9 * kGibibyte;
  r.free_bytes = 12 * kGibibyte;
  r.needs.weights = 2 * kGibibyte;
  r.needs.expert_count = 100;
  r.needs.expert_record = kGibibyte / 5;
  r.modes = {
      {.mode = "streaming", .verdict = streaming, .reason = "a bank", .bytes = 5 * kGibibyte},
      {.mode = "stacked", .verdict = stacked, .reason = "all", .bytes = 22 * kGibibyte},
      {.mode = "bf16_streaming", .verdict = streaming, .reason = "a dense bank"}};
  return r;
}

TEST(Recommend, AllInMemoryWhereItFitsElseABank) {
  CheckReport r = Report(Verdict::kFits, Verdict::kFits);
  Recommendation best = Recommend(r, false);
  EXPECT_EQ(best.flag, "--no-streaming");
  EXPECT_EQ(best.reason,
            "all experts fit into memory: with the rest 22.00 GiB of the ceiling of "
            "9.00 GiB (--wired-gb)");
  EXPECT_EQ(Recommend(Report(Verdict::kTight, Verdict::kFits), false).flag, "--no-streaming");

  r = Report(Verdict::kWontFit, Verdict::kTight);
  best = Recommend(r, false);
  EXPECT_EQ(best.flag, "--streaming");
  EXPECT_THAT(best.reason, AllOf(HasSubstr("all experts in memory would take 22.00 GiB"),
                                 HasSubstr("; a bank")));
  EXPECT_FALSE(best.export_first);
  r.sidecar_problem = "'m/expert_sidecar' has no expert sidecar; write it";
  EXPECT_TRUE(Recommend(r, false).export_first);
  // Experts of the checkpoint need no sidecar.
  best = Recommend(r, true);
  EXPECT_EQ(best.flag, "--streaming");
  EXPECT_FALSE(best.export_first);
  EXPECT_THAT(best.reason, HasSubstr("a dense bank"));
}

TEST(Recommend, OfWhatDoesNotFitTheLeastCeilingThatThereCanBe) {
  CheckReport r = Report(Verdict::kWontFit, Verdict::kWontFit);
  r.modes[0].bytes = 11 * kGibibyte;
  const Recommendation possible = Recommend(r, false);
  EXPECT_EQ(possible.mode, nullptr);
  EXPECT_EQ(possible.flag, "--streaming");
  EXPECT_EQ(possible.wired_gb, "11");
  EXPECT_THAT(possible.reason, HasSubstr("streaming at least 11.00 GiB"));
  r.modes[0].bytes = 13 * kGibibyte;
  const Recommendation impossible = Recommend(r, false);
  EXPECT_EQ(impossible.flag, "");
  EXPECT_EQ(impossible.wired_gb, "");
  EXPECT_THAT(impossible.reason, HasSubstr("12.00 GiB are free on this machine"));
}

TEST(Recommend, TheCommandIsTheUsersOwn) {
  const std::vector<std::string> words = {"mach", "serve", "my model", "--port", "9000"};
  EXPECT_EQ(CommandWith(words, "--streaming"), "mach serve 'my model' --port 9000 --streaming");
  EXPECT_EQ(CommandWith({"mach-serve", "--", "m"}, "--streaming"), "mach-serve --streaming -- m");
  EXPECT_EQ(CommandWith({"mach", "serve", "m", "--wired-gb", "1", "--port=0", "--wired-gb=2"},
                        "--streaming", "3.5"),
            "mach serve m --port=0 --streaming --wired-gb 3.5");
  ModelOptions options;
  options.checkpoint = "my model";
  options.words = {"build/release/bin/mach-serve", "my model"};
  EXPECT_EQ(ExportCommandFor(options), "build/release/bin/mach export-sidecar 'my model'");
  options.sidecar_dir = "/ssd/x";
  options.words = {"mach", "serve", "my model"};
  EXPECT_EQ(ExportCommandFor(options), "mach export-sidecar 'my model' --output /ssd/x");
}

}  // namespace
}  // namespace mach::cli
