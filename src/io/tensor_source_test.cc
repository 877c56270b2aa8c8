#include "io/tensor_source.h"

#include <gtest/gtest.h>

namespace mach::io {
namespace {

std::unique_ptr<Checkpoint> OpenRepo(const std::string& relative) {
  auto opened = Checkpoint::Open(PosixFileSystem(), std::string(MACH_SOURCE_DIR) + "/" + relative);
  EXPECT_TRUE(opened.ok()) << opened.error().message;
  return *std::move(opened);
}

struct Found {
  const Checkpoint& checkpoint;
  const TensorSource& source;
  std::vector<std::string> problems;
  uint64_t bytes = 0;

  void Add(const Result<MatrixSource>& m) {
    if (!m) {
      problems.push_back(m.error().message);
      return;
    }
    bytes += m->weight.bytes + m->scales.bytes + m->biases.bytes;
  }
  void Matrix(const std::string& name, uint64_t rows, uint64_t cols) {
    Add(source.Matrix(name, rows, cols));
  }
  void Floats(const Result<std::vector<float>>& v) {
    if (!v) problems.push_back(v.error().message);
  }
};

TEST(TensorSource, MachTinyHasEveryTensor) {
  const auto checkpoint = OpenRepo("models/mach-tiny");
  ASSERT_NE(checkpoint, nullptr);
  const auto source = TensorSource::Create(*checkpoint);
  ASSERT_TRUE(source.ok()) << source.error().message;
  EXPECT_EQ(source->layout(), TensorSource::Layout::kMlx);
  Found f{*checkpoint, *source, {}};
  f.Matrix("embed_tokens", 8192, 256);
  f.Matrix("lm_head", 8192, 256);
  f.Floats(source->Norm("norm", 256, true));
  for (int i = 0; i < 8; ++i) {
    const std::string l = "layers." + std::to_string(i) + ".";
    f.Floats(source->Norm(l + "input_layernorm", 256, true));
    f.Floats(source->Norm(l + "post_attention_layernorm", 256, true));
    if (i % 4 == 3) {
      f.Matrix(l + "self_attn.q_proj", 512, 256);
      f.Matrix(l + "self_attn.k_proj", 128, 256);
      f.Matrix(l + "self_attn.v_proj", 128, 256);
      f.Matrix(l + "self_attn.o_proj", 256, 256);
      f.Floats(source->Norm(l + "self_attn.q_norm", 64, true));
      f.Floats(source->Norm(l + "self_attn.k_norm", 64, true));
    } else {
      f.Matrix(l + "linear_attn.in_proj_qkv", 512, 256);
      f.Matrix(l + "linear_attn.in_proj_z", 256, 256);
      f.Matrix(l + "linear_attn.in_proj_a", 4, 256);
      f.Matrix(l + "linear_attn.in_proj_b", 4, 256);
      f.Matrix(l + "linear_attn.out_proj", 256, 256);
      f.Floats(source->Conv(l + "linear_attn.conv1d", 512, 4));
      f.Floats(source->Vector(l + "linear_attn.A_log", 4));
      f.Floats(source->Vector(l + "linear_attn.dt_bias", 4));
      f.Floats(source->Norm(l + "linear_attn.norm", 64, false));
    }
    f.Matrix(l + "mlp.gate", 48, 256);
    f.Matrix(l + "mlp.shared_expert_gate", 1, 256);
    f.Matrix(l + "mlp.shared_expert.gate_proj", 256, 256);
    f.Matrix(l + "mlp.shared_expert.up_proj", 256, 256);
    f.Matrix(l + "mlp.shared_expert.down_proj", 256, 256);
    for (uint32_t e = 0; e < 48; ++e) {
      const auto expert = source->Expert(l + "mlp", ExpertId{e}, 48, 256, 128);
      ASSERT_TRUE(expert.ok()) << expert.error().message;
      f.Add(expert->gate);
      f.Add(expert->up);
      f.Add(expert->down);
    }
  }
  EXPECT_TRUE(f.problems.empty()) << f.problems[0];
}

}  // namespace
}  // namespace mach::io
