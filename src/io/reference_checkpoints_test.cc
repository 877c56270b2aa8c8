// The checkpoints of the repository through TensorSource: every tensor that the architecture needs
// is found, and together they are every byte of the files.
#include <gtest/gtest.h>

#include "io/tensor_source.h"

namespace mach::io {
namespace {

// Finds tensors and counts their bytes in the files.
class Inventory {
 public:
  Inventory(const std::string& relative, std::string prefix) : prefix_(std::move(prefix)) {
    auto opened =
        Checkpoint::Open(PosixFileSystem(), std::string(MACH_SOURCE_DIR) + "/" + relative);
    MACH_CHECK(opened.ok());
    checkpoint_ = *std::move(opened);
    auto created = TensorSource::Create(*checkpoint_);
    MACH_CHECK(created.ok());
    source_.emplace(*std::move(created));
  }

  const TensorSource& source() const { return *source_; }
  void ExpectComplete() const {
    EXPECT_TRUE(problems_.empty()) << problems_.size() << " problems, first: " << problems_[0];
    EXPECT_EQ(bytes_, checkpoint_->tensor_bytes());
  }

  void Matrix(const std::string& name, uint64_t rows, uint64_t cols, int bits) {
    const auto m = source_->Matrix(name, rows, cols);
    if (Failed(m)) return;
    Count(*m, bits);
  }
  void Experts(const std::string& mlp, uint32_t experts, uint64_t hidden, uint64_t width,
               int bits) {
    for (uint32_t e = 0; e < experts; ++e) {
      const auto expert = source_->Expert(mlp, ExpertId{e}, experts, hidden, width);
      if (Failed(expert)) continue;
      for (const MatrixSource* m : {&expert->gate, &expert->up, &expert->down}) Count(*m, bits);
    }
  }
  std::vector<float> Norm(const std::string& name, uint64_t elements, bool centered) {
    return Small(name, source_->Norm(name, elements, centered));
  }
  void Vector(const std::string& name, uint64_t elements) {
    Small(name, source_->Vector(name, elements));
  }
  void Conv(const std::string& name, uint64_t channels, uint64_t taps) {
    Small(name, source_->Conv(name, channels, taps));
  }

 private:
  template <class T>
  bool Failed(const Result<T>& result) {
    if (!result) problems_.push_back(result.error().message);
    return !result.ok();
  }
  void Count(const MatrixSource& m, int bits) {
    if (m.bits != bits) problems_.push_back(m.name + " has " + std::to_string(m.bits) + " bits");
    for (const Slice& slice : {m.weight, m.scales, m.biases}) {
      std::vector<std::byte> data(slice.bytes);
      if (slice.bytes != 0) Failed(checkpoint_->Read(slice, data));
      bytes_ += slice.bytes;
    }
  }
  std::vector<float> Small(const std::string& name, Result<std::vector<float>> values) {
    if (Failed(values)) return {};
    const CheckpointTensor* t = checkpoint_->Find(prefix_ + name);
    if (t == nullptr) t = checkpoint_->Find(prefix_ + name + ".weight");
    MACH_CHECK(t != nullptr);
    bytes_ += t->data.bytes;
    return *std::move(values);
  }

  const std::string prefix_;
  std::unique_ptr<Checkpoint> checkpoint_;
  std::optional<TensorSource> source_;
  std::vector<std::string> problems_;
  uint64_t bytes_ = 0;
};

struct Sizes {
  uint32_t layers, experts;
  uint64_t vocab, hidden, width, shared;  // shared 0: no shared expert
  uint64_t heads, kv_heads, head_dim;
  uint64_t key_heads, value_heads, linear_dim;  // of the linear layers
  int bits, wide_bits;                          // wide: embedding, head, routers
};

void AddFullAttention(Inventory& inventory, const Sizes& s, const std::string& at, bool gated) {
  const uint64_t q = s.heads * s.head_dim;
  inventory.Matrix(at + "q_proj", gated ? 2 * q : q, s.hidden, s.bits);
  inventory.Matrix(at + "k_proj", s.kv_heads * s.head_dim, s.hidden, s.bits);
  inventory.Matrix(at + "v_proj", s.kv_heads * s.head_dim, s.hidden, s.bits);
  inventory.Matrix(at + "o_proj", s.hidden, q, s.bits);
  inventory.Norm(at + "q_norm", s.head_dim, gated);
  inventory.Norm(at + "k_norm", s.head_dim, gated);
}

void AddLinearAttention(Inventory& inventory, const Sizes& s, const std::string& at) {
  const uint64_t values = s.value_heads * s.linear_dim;
  const uint64_t channels = 2 * s.key_heads * s.linear_dim + values;
  inventory.Matrix(at + "in_proj_qkv", channels, s.hidden, s.bits);
  inventory.Matrix(at + "in_proj_z", values, s.hidden, s.bits);
  inventory.Matrix(at + "in_proj_a", s.value_heads, s.hidden, s.bits);
  inventory.Matrix(at + "in_proj_b", s.value_heads, s.hidden, s.bits);
  inventory.Matrix(at + "out_proj", s.hidden, values, s.bits);
  inventory.Conv(at + "conv1d", channels, 4);
  inventory.Vector(at + "A_log", s.value_heads);
  inventory.Vector(at + "dt_bias", s.value_heads);
  inventory.Norm(at + "norm", s.linear_dim, false);
}

// linear: three of four layers are linear attention, and norms are centered.
void AddModel(Inventory& inventory, const Sizes& s, bool linear) {
  inventory.Matrix("embed_tokens", s.vocab, s.hidden, s.wide_bits);
  inventory.Matrix("lm_head", s.vocab, s.hidden, s.wide_bits);
  inventory.Norm("norm", s.hidden, linear);
  for (uint32_t i = 0; i < s.layers; ++i) {
    const std::string at = "layers." + std::to_string(i) + ".";
    inventory.Norm(at + "input_layernorm", s.hidden, linear);
    inventory.Norm(at + "post_attention_layernorm", s.hidden, linear);
    if (linear && i % 4 != 3) {
      AddLinearAttention(inventory, s, at + "linear_attn.");
    } else {
      AddFullAttention(inventory, s, at + "self_attn.", linear);
    }
    inventory.Matrix(at + "mlp.gate", s.experts, s.hidden, s.wide_bits);
    inventory.Experts(at + "mlp", s.experts, s.hidden, s.width, s.bits);
    if (s.shared == 0) continue;
    inventory.Matrix(at + "mlp.shared_expert_gate", 1, s.hidden, s.wide_bits);
    inventory.Matrix(at + "mlp.shared_expert.gate_proj", s.shared, s.hidden, s.bits);
    inventory.Matrix(at + "mlp.shared_expert.up_proj", s.shared, s.hidden, s.bits);
    inventory.Matrix(at + "mlp.shared_expert.down_proj", s.hidden, s.shared, s.bits);
  }
}

TEST(ReferenceCheckpoints, MachTiny) {
  Inventory inventory("models/mach-tiny", "language_model.model.");
  EXPECT_EQ(inventory.source().layout(), TensorSource::Layout::kMlx);
  AddModel(inventory,
           {.layers = 8,
            .experts = 48,
            .vocab = 8192,
            .hidden = 256,
            .width = 128,
            .shared = 256,
            .heads = 4,
            .kv_heads = 2,
            .head_dim = 64,
            .key_heads = 2,
            .value_heads = 4,
            .linear_dim = 64,
            .bits = 4,
            .wide_bits = 8},
           true);
  inventory.ExpectComplete();
  // MLX stores the whole factor.
  EXPECT_EQ(*inventory.source().Norm("norm", 256, true), *inventory.source().Vector("norm", 256));
}

TEST(ReferenceCheckpoints, Qwen35Moe) {
  Inventory inventory("tests/goldens/qwen3_5_moe/hub", "model.");
  EXPECT_EQ(inventory.source().layout(), TensorSource::Layout::kHf);
  AddModel(inventory,
           {.layers = 4,
            .experts = 8,
            .vocab = 256,
            .hidden = 64,
            .width = 32,
            .shared = 48,
            .heads = 4,
            .kv_heads = 2,
            .head_dim = 32,
            .key_heads = 2,
            .value_heads = 4,
            .linear_dim = 16,
            .bits = 0,
            .wide_bits = 0},
           true);
  inventory.ExpectComplete();
  const auto stored = *inventory.source().Vector("norm", 64);
  const auto factor = *inventory.source().Norm("norm", 64, true);
  for (size_t i = 0; i < stored.size(); ++i) EXPECT_EQ(factor[i], 1.0f + stored[i]);
}

TEST(ReferenceCheckpoints, Qwen3Moe) {
  Inventory inventory("tests/goldens/qwen3_moe/hub", "model.");
  EXPECT_EQ(inventory.source().layout(), TensorSource::Layout::kHf);
  AddModel(inventory,
           {.layers = 4,
            .experts = 8,
            .vocab = 256,
            .hidden = 64,
            .width = 32,
            .shared = 0,
            .heads = 4,
            .kv_heads = 2,
            .head_dim = 32,
            .key_heads = 0,
            .value_heads = 0,
            .linear_dim = 0,
            .bits = 0,
            .wide_bits = 0},
           false);
  inventory.ExpectComplete();
}

TEST(ReferenceCheckpoints, MachTinyDrafter) {
  Inventory inventory("models/mach-tiny-dflash", "");
  EXPECT_FALSE(inventory.source().Has("embed_tokens"));
  const Sizes sizes = {.layers = 3,
                       .experts = 0,
                       .vocab = 0,
                       .hidden = 256,
                       .width = 512,
                       .shared = 0,
                       .heads = 4,
                       .kv_heads = 2,
                       .head_dim = 64,
                       .key_heads = 0,
                       .value_heads = 0,
                       .linear_dim = 0,
                       .bits = 0,
                       .wide_bits = 0};
  inventory.Matrix("fc", 256, 768, 0);
  inventory.Norm("hidden_norm", 256, false);
  inventory.Norm("norm", 256, false);
  for (uint32_t i = 0; i < sizes.layers; ++i) {
    const std::string at = "layers." + std::to_string(i) + ".";
    inventory.Norm(at + "input_layernorm", 256, false);
    inventory.Norm(at + "post_attention_layernorm", 256, false);
    AddFullAttention(inventory, sizes, at + "self_attn.", false);
    inventory.Matrix(at + "mlp.gate_proj", 512, 256, 0);
    inventory.Matrix(at + "mlp.up_proj", 512, 256, 0);
    inventory.Matrix(at + "mlp.down_proj", 256, 512, 0);
  }
  inventory.ExpectComplete();
}

}  // namespace
}  // namespace mach::io
