// Reads of experts that fail: the right error, a bank that stays consistent, and a next request
// that gets its tokens.
#include <cstdio>

#include "streaming_setting.h"

namespace mach::test {
namespace {

class StreamingFaults : public StreamingTest {
 protected:
  // Fails the Nth read of 32 tokens for N = 1, 2, ... until they have no Nth read; from `dense` on
  // in growing steps.
  static void FailReads(io::ReadMode mode, uint64_t dense);
};

void StreamingFaults::FailReads(io::ReadMode mode, uint64_t dense) {
  SCOPED_TRACE(io::ReadModeName(mode));
  io::FaultReader* reader = nullptr;
  const Setting setting{.bank = 0.25, .mode = mode};
  const auto model = Load(setting, &reader);
  if (model == nullptr) return;
  experts::StreamingStore& store = *model->loaded().streaming();
  const Question run = ShortQuestion();
  const auto resident = TestModel::Load(MachTiny(2));
  const auto expected = Generate(*resident, run, setting.chunk);
  ASSERT_TRUE(expected.ok());
  ASSERT_EQ(expected->size(), 32u);

  uint64_t failures = 0;
  uint64_t retries = 0;
  const uint64_t step = mode == io::ReadMode::kIoUring ? 4 : 2;
  for (uint64_t n = 1;; n += n < dense ? 1 : n / step) {
    SCOPED_TRACE("read " + std::to_string(n));
    // From the Nth on: the request fails, and says where.
    reader->SetFaults({.fail = n, .persistent = true});
    const auto broken = Generate(*model, run, setting.chunk);
    store.TEST_CheckIdle();
    if (!broken.ok()) {
      ++failures;
      EXPECT_EQ(broken.error().code, Code::kIo);
      EXPECT_EQ(broken.error().message.rfind("layer ", 0), 0u) << broken.error().message;
      EXPECT_NE(broken.error().message.find(".bin'): injected"), std::string::npos)
          << broken.error().message;
    } else {
      EXPECT_EQ(*broken, *expected);
    }
    // The Nth alone: it is tried again. And this is the next request after the failed one.
    reader->SetFaults({.fail = n});
    const uint64_t before = store.Stats().read_retries;
    const auto mended = Generate(*model, run, setting.chunk);
    ASSERT_TRUE(mended.ok()) << mended.error().message;
    EXPECT_EQ(*mended, *expected);
    retries += store.Stats().read_retries - before;
    store.TEST_CheckIdle();
    if (broken.ok() && store.Stats().read_retries == before) break;
  }
  std::printf("%s: %lu requests failed, %lu reads were tried again\n",
              std::string(io::ReadModeName(mode)).c_str(), failures, retries);
  EXPECT_GT(failures, 64u);
  EXPECT_GT(retries, 64u);
}

TEST_F(StreamingFaults, EveryReadMayFail) {
  FailReads(io::ReadMode::kIoUring, 64);
  FailReads(io::ReadMode::kPread, 64);
}

// Without a step: minutes. CTest runs it as streaming_fault_all.
TEST_F(StreamingFaults, DISABLED_EveryReadMayFailWithoutASkip) {
  FailReads(io::ReadMode::kIoUring, UINT64_MAX);
  FailReads(io::ReadMode::kPread, UINT64_MAX);
}

}  // namespace
}  // namespace mach::test
