// What is advised where a plan does not fit has to work.
#include "residency/ceiling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/units.h"
#include "residency/headers.h"
#include "residency/loaded_model.h"
#include "residency/residency.h"

namespace mach::model {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr size_t kMib = size_t{1} << 20;
constexpr size_t kGib = size_t{1} << 30;

// The number after a phrase of a message.
double NumberAfter(const std::string& text, const std::string& phrase) {
  const size_t at = text.find(phrase);
  EXPECT_NE(at, std::string::npos) << text;
  return at == std::string::npos ? 0 : std::stod(text.substr(at + phrase.size()));
}

class CeilingTest : public testing::Test {
 protected:
  CeilingTest()
      : headers_(
            residency::Headers::Open(io::PosixFileSystem(), MACH_SOURCE_DIR "/models/mach-tiny")) {}
  void SetUp() override { ASSERT_TRUE(headers_.ok()) << headers_.error().message; }

  const ModelConfig& config() const { return headers_->config; }
  residency::PlanOptions Plan(size_t context) const {
    return {.context_tokens = context, .max_rows = std::min<size_t>(256, context), .threads = 2};
  }
  residency::MemoryNeeds Needs(size_t context) const {
    const auto needs = residency::MeasureNeeds(config(), headers_->source, Plan(context));
    EXPECT_TRUE(needs.ok());
    return *needs;
  }
  std::string AllResident(size_t context, size_t ceiling, size_t free) const {
    const Status fits = residency::CheckAllResident(config(), Needs(context), ceiling, free);
    return fits ? "" : fits.error().message;
  }

  Result<residency::Headers> headers_;
};

TEST(HowToFit, NeverAdvisesWhatIsRefused) {
  const residency::Shortfall s{.least = 10 * kGib,
                               .ceiling = 9 * kGib,
                               .free = 12 * kGib,
                               .kv = 2 * kGib,
                               .context_tokens = 32768};
  EXPECT_EQ(residency::HowToFit(s),
            "raise --wired-gb to at least 10, or lower --ctx-size to at most 16384");
  residency::Shortfall full = s;
  full.free = 9 * kGib;
  EXPECT_EQ(residency::HowToFit(full), "lower --ctx-size to at most 16384");
  full.kv = kGib / 2;
  EXPECT_THAT(residency::HowToFit(full),
              AllOf(HasSubstr("9.00 GiB that are free"), Not(HasSubstr("--"))));
  residency::Shortfall large = s;
  large.kv = kGib;  // all of it is not enough to leave a token
  EXPECT_EQ(residency::HowToFit(large), "raise --wired-gb to at least 10");
}

TEST_F(CeilingTest, AllExpertsInMemory) {
  const residency::MemoryNeeds needs = Needs(8192);
  const size_t least = needs.resident() + needs.all_experts();
  EXPECT_EQ(AllResident(8192, least, kGib), "");
  const std::string message = AllResident(8192, least - kMib, kGib);
  EXPECT_THAT(message,
              AllOf(HasSubstr("all experts in memory take 21.0 MiB"), HasSubstr("--streaming")));
  const size_t advised = BytesOfGigabytes(NumberAfter(message, "raise --wired-gb to at least "));
  EXPECT_EQ(AllResident(8192, advised, kGib), "");
  EXPECT_LT(advised - least, 2 * kMib);
  const auto shorter = static_cast<size_t>(NumberAfter(message, "--ctx-size to at most "));
  EXPECT_EQ(AllResident(shorter, least - kMib, kGib), "");
  // No streaming where that does not fit either, and no ceiling beyond what is free.
  EXPECT_THAT(AllResident(8192, 2 * kMib, 3 * kMib),
              AllOf(Not(HasSubstr("--streaming")), Not(HasSubstr("raise")),
                    HasSubstr("3.0 MiB that are free")));
}

TEST_F(CeilingTest, ABank) {
  const residency::ExpertsOnDisk disk =
      residency::ImagineExpertsOnDisk(config(), Needs(8192).expert_layout);
  const auto fit = [&](size_t ceiling, std::optional<size_t> bank, size_t free = kGib,
                       size_t context = 8192) {
    residency::ExpertOptions wish;
    wish.bank_bytes = bank;
    residency::MemoryNeeds needs = Needs(context);
    EXPECT_TRUE(residency::UseExperts(disk, config(), wish, needs).ok());
    needs.prefix = residency::DefaultPrefixBytes(needs, needs.least_bank, ceiling);
    const auto found = residency::FitBank(disk, config(), needs, ceiling, wish, free);
    return found ? "" : found.error().message;
  };
  residency::MemoryNeeds needs = Needs(8192);
  ASSERT_TRUE(residency::UseExperts(disk, config(), {}, needs).ok());
  const size_t least = needs.resident() + needs.least_bank;
  EXPECT_EQ(fit(least, std::nullopt), "");
  const std::string below = fit(least - kMib, std::nullopt);
  EXPECT_THAT(below, AllOf(HasSubstr("one token needs 36 experts of 56.0 KiB (2.0 MiB)")));
  EXPECT_EQ(fit(BytesOfGigabytes(NumberAfter(below, "--wired-gb to at least ")), std::nullopt), "");
  EXPECT_EQ(fit(least - kMib, std::nullopt, kGib,
                static_cast<size_t>(NumberAfter(below, "--ctx-size to at most "))),
            "");
  EXPECT_THAT(fit(least - kMib, std::nullopt, least - 1), Not(HasSubstr("--wired-gb to")));

  // A bank that was asked for: too small, or beyond the ceiling.
  const std::string small = fit(kGib, kMib);
  EXPECT_THAT(small, HasSubstr("--expert-cache-gb gives the bank 1.0 MiB"));
  EXPECT_EQ(fit(kGib, BytesOfGigabytes(NumberAfter(small, "--expert-cache-gb to at least "))), "");
  const std::string both = fit(kMib, kMib);
  EXPECT_EQ(fit(BytesOfGigabytes(NumberAfter(both, "--wired-gb to at least ")),
                BytesOfGigabytes(NumberAfter(both, "--expert-cache-gb to at least "))),
            "");
  const std::string large = fit(least + 4 * kMib, 16 * kMib);
  EXPECT_THAT(large, HasSubstr("--expert-cache-gb asks for 16.0 MiB"));
  EXPECT_EQ(fit(least + 4 * kMib, BytesOfGigabytes(NumberAfter(large, "lower it to at most "))),
            "");
  EXPECT_EQ(fit(BytesOfGigabytes(NumberAfter(large, "--wired-gb to at least ")), 16 * kMib), "");
  EXPECT_THAT(fit(least + 4 * kMib, 16 * kMib, least + 5 * kMib), Not(HasSubstr("--wired-gb to")));
}

TEST_F(CeilingTest, TheLongestContext) {
  const auto longest = [&](size_t bytes) {
    const auto found = residency::LongestContext(config(), Plan(8192), bytes, nullptr);
    EXPECT_TRUE(found.ok());
    return *found;
  };
  const auto takes = [&](size_t context) {
    const residency::MemoryNeeds needs = Needs(context);
    return needs.state + needs.kv + needs.scratch;
  };
  EXPECT_EQ(longest(kGib), 8192u);
  EXPECT_EQ(longest(0), 0u);
  for (const size_t context : {size_t{64}, size_t{1024}, size_t{5056}}) {
    EXPECT_EQ(longest(takes(context)), context);
    EXPECT_EQ(longest(takes(context) - 1), context - 64);
  }
  const auto failing = residency::LongestContext(
      config(), Plan(64), kGib, [](const residency::PlanOptions&) -> Result<size_t> {
        return Error{Code::kIo, "no drafter"};
      });
  EXPECT_FALSE(failing.ok());
}

TEST_F(CeilingTest, AContextBeyondTheModel) {
  EXPECT_TRUE(residency::CheckContext(config(), 0).ok());
  EXPECT_TRUE(residency::CheckContext(config(), 8192).ok());
  EXPECT_EQ(residency::CheckContext(config(), 8193).error().message,
            "--ctx-size is 8193, but the model has 8192 positions; give at most 8192");
}

TEST(ChooseCeiling, NamesTheMostThatIsFree) {
  const auto refused = residency::ChooseCeiling(20 * kGib, 10 * kGib + 1);
  ASSERT_FALSE(refused.ok());
  const std::string& message = refused.error().message;
  EXPECT_THAT(message, HasSubstr("--wired-gb asks for 20.00 GiB, but 10.00 GiB are free"));
  EXPECT_TRUE(residency::ChooseCeiling(
                  BytesOfGigabytes(NumberAfter(message, "lower it to at most ")), 10 * kGib + 1)
                  .ok());
}

}  // namespace
}  // namespace mach::model
