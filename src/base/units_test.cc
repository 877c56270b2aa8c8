#include "base/units.h"

#include <cstdlib>
#include <vector>

#include <gtest/gtest.h>

#include "base/nearest.h"
#include "base/shell_words.h"

namespace mach {
namespace {

TEST(Units, BytesHaveTheUnitThatPeopleRead) {
  EXPECT_EQ(BytesText(0), "0 bytes");
  EXPECT_EQ(BytesText(1), "1 byte");
  EXPECT_EQ(BytesText(1023), "1023 bytes");
  EXPECT_EQ(BytesText(4096), "4.0 KiB");
  EXPECT_EQ(BytesText(uint64_t{35} << 20), "35.0 MiB");
  EXPECT_EQ(BytesText((uint64_t{5} << 30) / 4), "1.25 GiB");
  EXPECT_EQ(BytesText((uint64_t{1} << 30) - 1), "1.00 GiB");
  EXPECT_EQ(BytesText((uint64_t{1} << 30) - (1 << 17)), "1023.9 MiB");
}

TEST(Units, SizesThatLookAlikeAreToldApart) {
  EXPECT_EQ(SizesText((uint64_t{3} << 30) - 1, uint64_t{3} << 30),
            "3.00 GiB, expected 3.00 GiB (1 byte less)");
  EXPECT_EQ(SizesText(6144, 2048), "6.0 KiB, expected 2.0 KiB (4.0 KiB more)");
}

TEST(Units, DurationsHaveTwoParts) {
  EXPECT_EQ(DurationText(0.44), "0.4 s");
  EXPECT_EQ(DurationText(9.96), "10 s");
  EXPECT_EQ(DurationText(59.4), "59 s");
  EXPECT_EQ(DurationText(59.6), "1 min 0 s");
  EXPECT_EQ(DurationText(200), "3 min 20 s");
  EXPECT_EQ(DurationText(7500), "2 h 5 min");
  EXPECT_EQ(DurationText(1e300), "a long time");
}

// What is advised has to be enough, and no more than a step beyond it.
TEST(Units, GigabytesAreRoundedToTheSideThatWorks) {
  EXPECT_EQ(GigabytesUp(uint64_t{9} << 30), "9");
  EXPECT_EQ(GigabytesUp((uint64_t{9} << 30) + 1), "9.01");
  EXPECT_EQ(GigabytesDown((uint64_t{9} << 30) - 1), "8.99");
  EXPECT_EQ(GigabytesUp(36 << 20), "0.036");
  EXPECT_EQ(GigabytesUp(1), "0.001");
  EXPECT_EQ(GigabytesDown(1), "0");
  uint64_t bytes = 12345;
  for (int i = 0; i < 2000; ++i) {
    bytes = (bytes * 6364136223846793005u + 1442695040888963407u) % (uint64_t{200} << 30) + 1;
    const double up = std::atof(GigabytesUp(bytes).c_str());
    const double down = std::atof(GigabytesDown(bytes).c_str());
    const double step = bytes < uint64_t{1} << 30 ? 0.001 : 0.01;
    EXPECT_GE(BytesOfGigabytes(up), bytes) << bytes;
    EXPECT_LE(BytesOfGigabytes(down), bytes) << bytes;
    EXPECT_LT(BytesOfGigabytes(up - 1.01 * step), bytes) << bytes;
    EXPECT_GT(BytesOfGigabytes(down + 1.01 * step), bytes) << bytes;
  }
}

TEST(ShellWords, AreQuotedWhereTheyMustBe) {
  EXPECT_EQ(ShellQuoted("models/mach-tiny"), "models/mach-tiny");
  EXPECT_EQ(ShellQuoted("--port=8080"), "--port=8080");
  EXPECT_EQ(ShellQuoted(""), "''");
  EXPECT_EQ(ShellQuoted("a b"), "'a b'");
  EXPECT_EQ(ShellQuoted("it's $HOME"), R"('it'\''s $HOME')");
  EXPECT_EQ(ShellQuoted("~/x"), "'~/x'");
  EXPECT_EQ(ShellQuoted("a~"), "a~");
  EXPECT_EQ(ShellQuoted("*"), "'*'");
  EXPECT_EQ(ShellQuoted("a\nb"), "'a\nb'");
  EXPECT_EQ(ShellQuoted("é"), "'é'");
  const std::vector<std::string> words = {"mach", "serve", "my model", "--streaming"};
  EXPECT_EQ(ShellCommand(words), "mach serve 'my model' --streaming");
}

TEST(Nearest, IsNearOrNothing) {
  const std::string_view names[] = {"serve", "generate", "eval"};
  EXPECT_EQ(Nearest("generat", names), "generate");
  EXPECT_EQ(Nearest("evl", names), "eval");
  EXPECT_EQ(Nearest("frobnicate", names), "");
  EXPECT_EQ(Nearest(std::string(10000, 'x'), names), "");
}

}  // namespace
}  // namespace mach
