// The reference against the outputs of transformers, and against itself over every layout.
#include <cmath>

#include <gtest/gtest.h>

#include "model/golden_files.h"
#include "reference/reference_model.h"

namespace mach::reference {
namespace {

using test::GoldenFile;
using test::SourcePath;

ReferenceModel Load(const std::string& directory) {
  auto model = ReferenceModel::Load(directory);
  MACH_CHECK(model.ok());
  return *std::move(model);
}

double MaxDifference(std::span<const double> a, std::span<const float> b) {
  EXPECT_EQ(a.size(), b.size());
  double most = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    most = std::max(most, std::abs(a[i] - double{b[i]}));
  }
  return most;
}

void ExpectGolden(const std::string& family, double tolerance) {
  const std::string dir = "tests/goldens/" + family;
  const GoldenFile golden(dir + "/golden.safetensors");
  const ReferenceModel model = Load(SourcePath(dir + "/hub"));
  const Output out = model.Forward(golden.Ints("input_ids"));
  const double logits = MaxDifference(out.logits, golden.Floats("logits_full"));
  testing::Test::RecordProperty("logits", std::to_string(logits));
  EXPECT_LE(logits, tolerance);
  for (size_t i = 0; i < out.hidden.size(); ++i) {
    const double hidden =
        MaxDifference(out.hidden[i], golden.Floats("hidden_" + std::to_string(i)));
    testing::Test::RecordProperty("hidden_" + std::to_string(i), std::to_string(hidden));
    EXPECT_LE(hidden, tolerance) << "hidden_" << i;
  }
}

TEST(ReferenceGolden, Qwen3Moe) { ExpectGolden("qwen3_moe", 1e-5); }
TEST(ReferenceGolden, Qwen35Moe) { ExpectGolden("qwen3_5_moe", 1e-4); }

// The demonstration model: affine weights, many experts. A float32 implementation reaches 2e-5, and
// so does the golden file itself.
TEST(ReferenceGolden, MachTiny) {
  const GoldenFile golden("tests/goldens/mach-tiny/golden-4bit.safetensors");
  const json::Value texts = test::GoldenJson("tests/goldens/mach-tiny/golden-4bit.json");
  const ReferenceModel model = Load(SourcePath("models/mach-tiny"));
  const Config& config = model.config();
  for (const size_t i : {0, 1, 2, 3, 4, 5, 6, 7, 9, 11}) {
    SCOPED_TRACE("text " + std::to_string(i));
    const std::string name = std::to_string(i);
    const auto ids = test::TokenIds(*texts.AsArray()[i].Find("input_ids"));
    const Output out = model.Forward(ids);
    const auto logits = [&](size_t t) {
      return std::span(out.logits).subspan(t * config.vocab, config.vocab);
    };
    EXPECT_LE(MaxDifference(logits(ids.size() - 1), golden.Floats(name + ".logits_last")), 5e-5);

    std::vector<double> log_probability;
    for (size_t t = 0; t + 1 < ids.size(); ++t) {
      const auto row = logits(t);
      const double most = *std::max_element(row.begin(), row.end());
      double sum = 0;
      for (const double v : row) sum += std::exp(v - most);
      log_probability.push_back(row[static_cast<size_t>(ids[t + 1])] - most - std::log(sum));
    }
    EXPECT_LE(MaxDifference(log_probability, golden.Floats(name + ".logprob_next")), 5e-5);

    std::vector<int32_t> experts;
    for (const auto& layer : out.experts) experts.insert(experts.end(), layer.begin(), layer.end());
    EXPECT_EQ(experts, golden.Ints(name + ".experts"));
  }
}

}  // namespace
}  // namespace mach::reference
