// A plain forward pass in float64, written from the description of the families alone and sharing
// nothing with the engine's: what the real one is held against where no golden file reaches. One
// sequence from position 0, every token at once, nothing cached, nothing in parallel.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "reference/reference_config.h"

namespace mach::reference {

struct Output {
  std::vector<double> logits;  // [T, vocab]; row t is what follows token t
  // [layers + 1][T * hidden]: 0 is the embedding, i the residual stream after layer i - 1, the last
  // one the stream after the final norm (the head's input).
  std::vector<std::vector<double>> hidden;
  // [layers][T * top_k], in order of falling probability; empty for dense layers.
  std::vector<std::vector<int32_t>> experts;
  // [layers][T]: the smallest difference between neighbours among the top_k + 1 greatest
  // probabilities. An order is only defined for arithmetic that is finer than this.
  std::vector<std::vector<double>> router_gaps;
};

// qwen3_moe and qwen3_5_moe in the layouts of Hugging Face (experts apart or stacked) and of MLX
// (dense or affine of 2, 4 or 8 bits). Const after Load.
class ReferenceModel {
 public:
  static Result<ReferenceModel> Load(const std::string& directory);
  ReferenceModel(ReferenceModel&&) noexcept;
  ReferenceModel& operator=(ReferenceModel&&) noexcept;
  ~ReferenceModel();

  const Config& config() const;
  // REQUIRES: every token < vocab.
  Output Forward(std::span<const int32_t> tokens) const;

 private:
  struct Weights;
  ReferenceModel();
  std::unique_ptr<Weights> weights_;
};

}  // namespace mach::reference
