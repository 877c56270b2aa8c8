// Progress of a load moves within a tensor, and a load can be stopped within one.
#include <algorithm>
#include <filesystem>
#include <vector>

#include <gtest/gtest.h>

#include "model/synth/synth.h"
#include "residency/loaded_model.h"

namespace mach::model {
namespace {

// A model whose embedding is most of it.
class LargeTensor : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = (std::filesystem::temp_directory_path() / "mach-progress-XXXXXX").string();
    ASSERT_NE(mkdtemp(directory_.data()), nullptr);
    SynthOptions synth;
    synth.output = directory_;
    synth.bits = 16;
    synth.shape.layers = 1;
    synth.shape.hidden = 256;
    synth.shape.vocab = kVocab;
    synth.shape.experts = 4;
    const auto written = WriteSynthetic(synth, nullptr);
    ASSERT_TRUE(written.ok()) << written.error().message;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  Result<std::unique_ptr<residency::LoadedModel>> Load(const LoadProgress& progress) const {
    residency::LoadOptions options;
    options.checkpoint = directory_;
    options.context_tokens = 64;
    options.threads = 1;
    options.progress = progress;
    return residency::LoadedModel::Load(io::PosixFileSystem(), options);
  }

  static constexpr size_t kVocab = 65536;
  static constexpr uint64_t kEmbeddingBytes = uint64_t{kVocab} * 256 * 2;
  std::string directory_;
};

TEST_F(LargeTensor, MovesTheBarWithinItself) {
  std::vector<uint64_t> steps;
  uint64_t last = 0;
  uint64_t total = 0;
  const auto loaded = Load([&](uint64_t done, uint64_t all) {
    EXPECT_GE(done, last);
    EXPECT_LE(done, all);
    steps.push_back(done - last);
    last = done;
    total = all;
    return true;
  });
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_EQ(last, total);
  EXPECT_GT(total, kEmbeddingBytes);
  EXPECT_LE(*std::ranges::max_element(steps), kEmbeddingBytes / 4);
}

TEST_F(LargeTensor, CanBeStoppedWithinItself) {
  uint64_t reached = 0;
  const auto stopped = Load([&](uint64_t done, uint64_t) {
    reached = done;
    return done < kEmbeddingBytes / 2;
  });
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().code, Code::kCancelled);
  EXPECT_LT(reached, kEmbeddingBytes);
}

}  // namespace
}  // namespace mach::model
