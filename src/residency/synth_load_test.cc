// Synthetic checkpoints written to a directory, read back and run.
#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "io/checkpoint.h"
#include "io/file.h"
#include "model/synth/synth.h"
#include "ops/context.h"
#include "ops/ffn.h"
#include "residency/loaded_model.h"

namespace mach::residency {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr size_t kTokens = 48;

class ChosenExperts final : public model::ForwardObserver {
 public:
  explicit ChosenExperts(size_t layers) : used(layers), times(layers) {}
  void OnHidden(size_t, const float*, size_t) override {}
  void OnExperts(size_t layer, const ExpertId* ids, size_t count, size_t top_k) override {
    for (size_t i = 0; i < count * top_k; ++i) {
      used[layer].insert(Index(ids[i]));
      ++times[layer][Index(ids[i])];
    }
  }
  std::vector<std::set<size_t>> used;
  std::vector<std::map<size_t, size_t>> times;
};

class SynthTest : public testing::Test {
 protected:
  void SetUp() override {
    base_ = testing::TempDir() + "synth_" +
            testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(base_);
    fs::create_directories(base_);
  }
  void TearDown() override { fs::remove_all(base_); }

  model::SynthOptions Options(const std::string& name) const {
    model::SynthOptions options;
    options.output = base_ + "/" + name;
    options.shape.hidden = 128;
    options.shape.width = 64;
    options.shape.shared_width = 64;
    options.shape.vocab = 512;
    options.shape.context = 256;
    return options;
  }
  static model::SynthSummary Write(const model::SynthOptions& options) {
    const auto written = model::WriteSynthetic(options, nullptr);
    EXPECT_TRUE(written.ok()) << written.error().message;
    return written.ok() ? *written : model::SynthSummary{};
  }
  // Every tensor of a checkpoint by name.
  static std::map<std::string, std::vector<std::byte>> Contents(const std::string& directory) {
    std::map<std::string, std::vector<std::byte>> contents;
    const auto checkpoint = io::Checkpoint::Open(io::PosixFileSystem(), directory);
    EXPECT_TRUE(checkpoint.ok()) << checkpoint.error().message;
    for (const auto& [name, t] : (*checkpoint)->tensors()) {
      std::vector<std::byte> bytes(t.data.bytes);
      EXPECT_TRUE((*checkpoint)->Read(t.data, bytes).ok());
      contents[name] = std::move(bytes);
    }
    return contents;
  }
  size_t Entries() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(base_), {}));
  }

  std::string base_;
};

// Runs a prompt and some single tokens: logits are finite and about 1, and tokens have experts of
// their own.
void RunModel(const std::string& directory, ops::Compute compute) {
  auto loaded = LoadedModel::Load(io::PosixFileSystem(), {.checkpoint = directory,
                                                          .context_tokens = 2 * kTokens,
                                                          .threads = 1,
                                                          .max_rows = kTokens,
                                                          .compute = compute});
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  LoadedModel& model = **loaded;
  const model::ModelConfig& config = model.config();
  auto state = model.NewState();
  ASSERT_TRUE(state.ok());
  ChosenExperts chosen(config.layers.size());
  std::vector<TokenId> tokens;
  for (size_t i = 0; i < 2 * kTokens; ++i) {
    tokens.push_back(static_cast<TokenId>(UniformAt(7, i) * static_cast<double>(config.vocab)));
  }
  std::vector<float> hidden(kTokens * config.hidden);
  std::vector<float> logits(config.vocab);
  double squares = 0;
  size_t at = 0;
  for (size_t count = kTokens; at < tokens.size(); at += count, count = 1) {
    const auto part = std::span<const TokenId>(tokens).subspan(at, count);
    ASSERT_TRUE(model.model()
                    .Forward(model.workspace(), {.tokens = part, .observer = &chosen}, **state,
                             hidden.data())
                    .ok());
    ASSERT_TRUE(model.model()
                    .Logits(model.workspace(), hidden.data() + (count - 1) * config.hidden, 1,
                            logits.data())
                    .ok());
    for (const float l : logits) {
      ASSERT_TRUE(std::isfinite(l));
      squares += static_cast<double>(l) * static_cast<double>(l);
    }
  }
  const double size = std::sqrt(squares / static_cast<double>((kTokens + 1) * config.vocab));
  EXPECT_GT(size, 0.7);
  EXPECT_LT(size, 1.4);
  for (size_t layer = 0; layer < config.layers.size(); ++layer) {
    const auto& moe = std::get<ops::MoeShape>(config.layers[layer].ffn);
    EXPECT_EQ(chosen.used[layer].size(), moe.experts) << "layer " << layer;
    for (const auto& [expert, times] : chosen.times[layer]) {
      EXPECT_LT(times, tokens.size() * 3 / 4) << "expert " << expert << " of layer " << layer;
    }
  }
}

TEST_F(SynthTest, EveryFamilyAndLayoutRuns) {
  for (const model::SynthFamily family :
       {model::SynthFamily::kQwen3Moe, model::SynthFamily::kQwen35Moe}) {
    for (const int bits : {4, 8, 16}) {
      model::SynthOptions options =
          Options(std::string(model::SynthFamilyName(family)) + std::to_string(bits));
      SCOPED_TRACE(options.output);
      options.shape.family = family;
      options.bits = bits;
      Write(options);
      RunModel(options.output, ops::Compute::kInt8);
      RunModel(options.output, ops::Compute::kF32);
    }
  }
}

TEST_F(SynthTest, TensorsDependOnTheSeedAlone) {
  model::SynthOptions options = Options("one");
  options.shape.vocab = 16384;  // tensors of more than one block
  const model::SynthSummary one = Write(options);
  EXPECT_EQ(one.shards, 1u);
  const auto contents = Contents(options.output);
  EXPECT_EQ(contents.size(), one.tensors);

  options.output = base_ + "/many";
  options.shard_bytes = 300 << 10;
  const model::SynthSummary many = Write(options);
  EXPECT_GT(many.shards, 5u);
  EXPECT_EQ(many.tensor_bytes, one.tensor_bytes);
  EXPECT_EQ(Contents(options.output), contents);
  // The embedding and the head are larger than a shard may be, and have theirs alone.
  for (const auto& entry : fs::directory_iterator(options.output)) {
    EXPECT_LT(entry.file_size(), (2 << 20) + (64 << 10)) << entry.path();
  }

  options.output = base_ + "/other";
  options.seed = 1;
  Write(options);
  const auto others = Contents(options.output);
  ASSERT_EQ(others.size(), contents.size());
  for (const auto& [name, bytes] : contents) EXPECT_NE(others.at(name), bytes) << name;
}

TEST_F(SynthTest, WritesTheFilesBeside) {
  model::SynthOptions options = Options("new");
  options.files = {{"tokenizer.json", "{}"}};
  Write(options);
  for (const char* name : {"config.json", "generation_config.json", "tokenizer.json",
                           "model.safetensors", "model.safetensors.index.json"}) {
    EXPECT_TRUE(fs::exists(options.output + "/" + name)) << name;
  }
  EXPECT_EQ(Entries(), 1u);
}

TEST_F(SynthTest, LeavesNothingWhenItFails) {
  const auto message = [&](const model::SynthOptions& options, Code code,
                           const model::LoadProgress& progress = nullptr) -> std::string {
    const auto written = model::WriteSynthetic(options, progress);
    EXPECT_FALSE(written.ok());
    if (written.ok()) return "";
    EXPECT_EQ(written.error().code, code);
    return written.error().message;
  };
  model::SynthOptions options = Options("new");
  uint64_t most = 0;
  uint64_t all = 0;
  const model::LoadProgress stop = [&](uint64_t done, uint64_t total) {
    most = done;
    all = total;
    return done < total / 2;
  };
  EXPECT_THAT(message(options, Code::kCancelled, stop), HasSubstr("cancelled"));
  EXPECT_GT(most, 0u);
  EXPECT_LT(most, all);

  options.shape.top_k = 17;
  EXPECT_THAT(message(options, Code::kUnsupported), HasSubstr("no model has these sizes"));
  options = Options("new");
  options.shape.hidden = 1 << 20;
  options.shape.experts = 256;
  options.shape.width = 1 << 20;
  options.shape.layers = 1000;
  EXPECT_THAT(message(options, Code::kIo), HasSubstr("iB free; write elsewhere"));
  options.shape.hidden = options.shape.width = options.shape.vocab = 1 << 28;
  EXPECT_THAT(message(options, Code::kInvalidArgument), HasSubstr("lower the sizes"));
  options = Options("no/where");
  EXPECT_THAT(message(options, Code::kNotFound), HasSubstr("no/where.partial"));
  EXPECT_EQ(Entries(), 0u);

  options = Options("new");
  Write(options);
  EXPECT_THAT(message(options, Code::kInvalidArgument), HasSubstr("is not empty"));
  EXPECT_EQ(Entries(), 1u);
}

}  // namespace
}  // namespace mach::residency
