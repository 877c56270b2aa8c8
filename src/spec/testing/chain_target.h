// A target model with hand-made weights, whose logits and features a test can tell in advance.
#pragma once

#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/memory_ledger.h"
#include "base/thread_pool.h"
#include "cache/sequence_state.h"
#include "experts/expert_store.h"
#include "io/testing/memory_file_system.h"
#include "io/testing/test_checkpoint.h"
#include "kernels/table.h"
#include "model/model.h"
#include "ops/attention.h"
#include "ops/context.h"
#include "ops/ffn.h"
#include "sample/sampler.h"
#include "spec/verifier.h"
#include "tensor/dtype.h"

namespace mach::spec {

// One attention layer over one-hot embeddings e_t, vocab == hidden. With the tokens t_0 ... t_n of
// the state,
//
//   feature = e_(t_n) + 1/4 * mean(e_(t_0), ..., e_(t_n))      what layer 0 puts out (tap 0)
//   logits  = W feature * c,  W[successor(t), t] = 1, others 0
//
// so that the greedy token after t is successor(t), whatever precedes it, while a feature shows
// every token that attention sees: a rejected token that stayed in the state, too. kPoison has an
// infinite embedding, so that a pass over it is kNonFinite.
class ChainTarget {
 public:
  static constexpr size_t kVocab = 64;
  static constexpr TokenId kPoison = 63;

  struct Options {
    std::function<TokenId(TokenId)> successor = [](TokenId t) { return (t + 1) % 50; };
    size_t max_rows = 32;
    size_t context = 256;
    size_t taps = 1;
  };

  explicit ChainTarget(const Options& options) : ledger_(size_t{1} << 30), pool_(1) {
    WriteCheckpoint(options.successor);
    checkpoint_ = Must(io::Checkpoint::Open(fs_, "chain"));
    source_ = std::make_unique<io::TensorSource>(Must(io::TensorSource::Create(*checkpoint_)));
    model_ = Must(
        model::Model::Load(Config(options.context), *source_, ops::ExpertLayout{}, ledger_, {}));
    workspace_ = Must(model::Workspace::Create(*model_, *Must(kernels::SelectKernels()), pool_,
                                               experts_, ops::Compute::kF32, options.max_rows,
                                               options.context, ledger_));
    verifier_ = Must(Verifier::Create(*model_, *workspace_, options.taps, ledger_));
    state_ =
        Must(cache::SequenceState::Create(model_->StateShape(options.context, false), ledger_));
  }

  Verifier& verifier() { return *verifier_; }
  cache::SequenceState& state() { return *state_; }
  const model::ModelConfig& config() const { return model_->config(); }
  const MemoryLedger& ledger() const { return ledger_; }

  // What the expert store was told of forward passes, in order: "3", "3d" with drafts, and "=2" for
  // a commit of two rows.
  std::string& passes() { return experts_.passes; }

  // feature of the last token of `tokens`.
  static std::vector<float> Feature(std::span<const TokenId> tokens) {
    std::vector<float> feature(kVocab);
    for (const TokenId t : tokens) {
      feature[static_cast<size_t>(t)] += 0.25f / static_cast<float>(tokens.size());
    }
    feature[static_cast<size_t>(tokens.back())] += 1;
    return feature;
  }
  // The last token of a row of features.
  static TokenId TokenOf(const float* feature) { return sample::Argmax({feature, kVocab}); }

 private:
  class Store final : public experts::ExpertStore {
   public:
    void BeginPass(const experts::ExpertPass& pass) override {
      passes += (passes.empty() ? "" : " ") + std::to_string(pass.rows) + (pass.draft ? "d" : "");
    }
    void Commit(size_t rows) override { passes += "=" + std::to_string(rows); }
    Status Acquire(const experts::ExpertRequest&, experts::Acquisition&) override {
      return NoExperts();
    }
    Status Wait(experts::Acquisition&) override { return NoExperts(); }
    std::string passes;

   private:
    static Status NoExperts() { return Error{Code::kUnsupported, "the model has no experts"}; }
    void Unpin(uint32_t) override {}
  };

  template <class T>
  static T Must(Result<T> result) {
    MACH_CHECK(result.ok());
    return *std::move(result);
  }

  static model::ModelConfig Config(size_t context) {
    model::ModelConfig c;
    c.architecture = "qwen3_moe";
    c.vocab = c.hidden = c.rotary = kVocab;
    c.norm_eps = 1e-6f;
    c.rope_theta = 1e6;
    c.max_positions = context;
    c.layers.push_back({ops::AttentionShape{.hidden = kVocab,
                                            .heads = 1,
                                            .kv_heads = 1,
                                            .head_dim = kVocab,
                                            .rotary = kVocab,
                                            .eps = c.norm_eps},
                        model::DenseShape{kWidth}});
    return c;
  }

  void WriteCheckpoint(const std::function<TokenId(TokenId)>& successor) {
    io::TestTensors tensors;
    const auto add = [&](const std::string& name, std::vector<uint64_t> shape,
                         const std::function<float(size_t, size_t)>& value) {
      const size_t rows = shape.size() == 2 ? shape[0] : 1;
      const size_t cols = shape.back();
      std::vector<float> values;
      for (size_t r = 0; r < rows; ++r) {
        for (size_t c = 0; c < cols; ++c) values.push_back(value(r, c));
      }
      std::string bytes(values.size() * sizeof(float), '\0');
      std::memcpy(bytes.data(), values.data(), bytes.size());
      tensors.Add({name + ".weight", tensor::DType::kF32, std::move(shape)}, std::move(bytes));
    };
    const auto zero = [](size_t, size_t) { return 0.0f; };
    const auto one = [](size_t, size_t) { return 1.0f; };
    const auto scaled = [](float x) {
      return [x](size_t r, size_t c) { return r == c ? x : 0.0f; };
    };
    const std::vector<uint64_t> vector = {kVocab};
    const std::vector<uint64_t> square = {kVocab, kVocab};
    const std::string layer = "model.layers.0.";
    add("model.embed_tokens", square, [](size_t r, size_t c) {
      if (r != c) return 0.0f;
      return r == kPoison ? std::numeric_limits<float>::infinity() : 1.0f;
    });
    add(layer + "input_layernorm", vector, one);
    add(layer + "post_attention_layernorm", vector, one);
    // Queries and keys are 0, so that all positions weigh the same. The norm of a one-hot row of 64
    // is 8 times the row.
    add(layer + "self_attn.q_proj", square, zero);
    add(layer + "self_attn.k_proj", square, zero);
    add(layer + "self_attn.v_proj", square, scaled(1.0f / 8));
    add(layer + "self_attn.o_proj", square, scaled(0.25f));
    add(layer + "self_attn.q_norm", vector, one);
    add(layer + "self_attn.k_norm", vector, one);
    add(layer + "mlp.gate_proj", {kWidth, kVocab}, zero);
    add(layer + "mlp.up_proj", {kWidth, kVocab}, zero);
    add(layer + "mlp.down_proj", {kVocab, kWidth}, zero);
    add("model.norm", vector, one);
    add("lm_head", square, [&](size_t r, size_t c) {
      return successor(static_cast<TokenId>(c)) == static_cast<TokenId>(r) ? 1.0f : 0.0f;
    });
    fs_.Put("chain/config.json", R"({"model_type": "qwen3_moe"})");
    fs_.Put("chain/model.safetensors", tensors.Bytes());
  }

  static constexpr size_t kWidth = 16;
  io::MemoryFileSystem fs_;
  MemoryLedger ledger_;
  ThreadPool pool_;
  Store experts_;
  std::unique_ptr<io::Checkpoint> checkpoint_;
  std::unique_ptr<io::TensorSource> source_;
  std::unique_ptr<model::Model> model_;
  std::unique_ptr<model::Workspace> workspace_;
  std::unique_ptr<Verifier> verifier_;
  std::unique_ptr<cache::SequenceState> state_;
};

}  // namespace mach::spec
