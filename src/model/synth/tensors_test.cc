// Which tensors a synthetic checkpoint has, against checkpoints that other tools wrote.
#include "model/synth/tensors.h"

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/checkpoint.h"
#include "model/arch_registry.h"
#include "model/synth/shape.h"

namespace mach::model {
namespace {

using testing::HasSubstr;
using Shapes = std::map<std::string, std::vector<uint64_t>>;

Result<SynthLayout> List(const SynthShape& shape, int bits) {
  MACH_TRY(const ModelConfig config, ParseConfig(SynthConfig(shape)));
  return ListSynthTensors(config, bits);
}

SynthLayout Listed(const SynthShape& shape, int bits) {
  auto layout = List(shape, bits);
  EXPECT_TRUE(layout.ok()) << layout.error().message;
  return *std::move(layout);
}

Shapes ShapesOf(const SynthLayout& layout) {
  Shapes shapes;
  for (const SynthTensor& t : layout.tensors) shapes[t.spec.name] = t.spec.shape;
  return shapes;
}

uint64_t BytesOf(const SynthLayout& layout) {
  uint64_t bytes = 0;
  for (const SynthTensor& t : layout.tensors) bytes += *io::DenseBytes(t.spec.shape, t.spec.dtype);
  return bytes;
}

std::unique_ptr<io::Checkpoint> Open(const std::string& directory) {
  auto opened = io::Checkpoint::Open(io::PosixFileSystem(), MACH_SOURCE_DIR + ("/" + directory));
  EXPECT_TRUE(opened.ok()) << opened.error().message;
  return *std::move(opened);
}

// mlx-lm wrote mach-tiny.
TEST(SynthTensors, QuantizedLayoutIsMlxs) {
  const auto tiny = Open("models/mach-tiny");
  const SynthLayout layout = Listed({.layers = 8,
                                     .hidden = 256,
                                     .experts = 48,
                                     .top_k = 4,
                                     .width = 128,
                                     .heads = 4,
                                     .kv_heads = 2,
                                     .head_dim = 64,
                                     .vocab = 8192,
                                     .context = 8192,
                                     .shared_width = 256,
                                     .linear_key_heads = 2,
                                     .linear_value_heads = 4,
                                     .linear_head_dim = 64,
                                     .attention_interval = 4},
                                    4);
  EXPECT_EQ(layout.tensors.size(), tiny->tensors().size());
  for (const SynthTensor& t : layout.tensors) {
    const io::CheckpointTensor* other = tiny->Find(t.spec.name);
    ASSERT_NE(other, nullptr) << t.spec.name;
    EXPECT_EQ(t.spec.shape, other->shape) << t.spec.name;
    EXPECT_EQ(t.spec.dtype, other->dtype) << t.spec.name;
  }
  const json::Value* quantization = tiny->config().Find("quantization");
  ASSERT_NE(quantization, nullptr);
  EXPECT_EQ(layout.quantization.size(), quantization->AsObject().size());
  for (const json::Member& m : quantization->AsObject()) {
    const json::Value* ours = layout.quantization.Find(m.key);
    ASSERT_NE(ours, nullptr) << m.key;
    EXPECT_EQ(*ours, m.value) << m.key;
  }
}

// transformers wrote the golden checkpoint.
TEST(SynthTensors, DenseLayoutIsThePublishedOne) {
  const auto golden = Open("tests/goldens/qwen3_moe/hub");
  const auto config = ParseConfig(golden->config());
  ASSERT_TRUE(config.ok());
  const auto layout = ListSynthTensors(*config, 16);
  ASSERT_TRUE(layout.ok()) << layout.error().message;
  Shapes expected;
  for (const auto& [name, t] : golden->tensors()) expected[name] = t.shape;
  EXPECT_EQ(ShapesOf(*layout), expected);
  EXPECT_TRUE(layout->quantization.empty());
}

TEST(SynthTensors, PresetsHaveThePublishedSizes) {
  // The "total_size" of the index of Qwen3-30B-A3B.
  EXPECT_EQ(BytesOf(Listed(*SynthPreset("30b-a3b"), 16)), 61064245248u);

  const SynthLayout large = Listed(*SynthPreset("35b-a3b"), 16);
  const Shapes shapes = ShapesOf(large);
  const std::string layers = "model.language_model.layers.";
  const std::pair<std::string, std::vector<uint64_t>> some[] = {
      {"model.language_model.embed_tokens.weight", {248320, 2048}},
      {"lm_head.weight", {248320, 2048}},
      {layers + "0.linear_attn.in_proj_qkv.weight", {8192, 2048}},
      {layers + "0.linear_attn.in_proj_z.weight", {4096, 2048}},
      {layers + "0.linear_attn.conv1d.weight", {8192, 1, 4}},
      {layers + "0.linear_attn.A_log", {32}},
      {layers + "38.linear_attn.out_proj.weight", {2048, 4096}},
      {layers + "39.self_attn.q_proj.weight", {8192, 2048}},
      {layers + "39.self_attn.k_norm.weight", {256}},
      {layers + "39.mlp.experts.gate_up_proj", {256, 1024, 2048}},
      {layers + "39.mlp.experts.down_proj", {256, 2048, 512}},
      {layers + "39.mlp.shared_expert_gate.weight", {1, 2048}},
  };
  for (const auto& [name, shape] : some) {
    const auto found = shapes.find(name);
    ASSERT_NE(found, shapes.end()) << name;
    EXPECT_EQ(found->second, shape) << name;
  }
  EXPECT_NEAR(static_cast<double>(BytesOf(large)) / 2, 35e9, 1e9);
  EXPECT_FALSE(SynthPreset("7b").has_value());
}

TEST(SynthTensors, ScalesAndBiasesShareANoise) {
  for (const SynthTensor& t : Listed({}, 4).tensors) {
    if (t.noise.kind != Noise::Kind::kBiases) continue;
    const std::string module = t.spec.name.substr(0, t.spec.name.rfind('.'));
    EXPECT_EQ(t.stream, module + ".scales");
  }
}

TEST(SynthTensors, RefusesWhatNoModelHas) {
  const auto message = [](const SynthShape& shape, int bits) {
    const auto layout = List(shape, bits);
    EXPECT_FALSE(layout.ok());
    return layout.ok() ? "" : layout.error().message;
  };
  EXPECT_THAT(message({.experts = 4, .top_k = 5}, 4), HasSubstr("num_experts_per_tok"));
  EXPECT_THAT(message({.heads = 3, .kv_heads = 2}, 4), HasSubstr("num_attention_heads"));
  EXPECT_THAT(message({.layers = 2000}, 4), HasSubstr("num_hidden_layers"));
  EXPECT_THAT(message({.attention_interval = 0}, 4), HasSubstr("full_attention_interval"));
  EXPECT_THAT(message({.width = 96}, 4),
              HasSubstr("down_proj' would have 96 columns, but 4 and 8 bit"));
  EXPECT_THAT(message({.layers = 1024, .experts = 257}, 16), HasSubstr("more than 262144 experts"));
  EXPECT_TRUE(List({.width = 96}, 16).ok());
}

}  // namespace
}  // namespace mach::model
