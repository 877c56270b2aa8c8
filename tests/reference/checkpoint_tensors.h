// The tensors of a checkpoint directory as float64 values, whatever their type and quantization.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "io/safetensors.h"
#include "json/value.h"

namespace mach::reference {

// A tensor as its file has it.
struct StoredTensor {
  tensor::DType dtype = tensor::DType::kF32;
  std::vector<uint64_t> shape;
  std::vector<std::byte> bytes;

  size_t Elements() const;
  // Element i of a float tensor. REQUIRES a float type.
  double Float(size_t i) const;
  // Element i of a U32 tensor.
  uint32_t Word(size_t i) const;
};

// rows x cols values of a weight [out, in]. Stacked weights [.., R, C] are one matrix of .. * R
// rows. Decoded row by row; shares the stored tensors.
class Matrix {
 public:
  // Plain values; cols is the last dimension.
  static Matrix Dense(std::shared_ptr<const StoredTensor> values);
  // MLX affine: value = scales[r, c / group] * q[r, c] + biases[r, c / group].
  struct Affine {
    std::shared_ptr<const StoredTensor> packed;  // U32 [.., cols * bits / 32]
    std::shared_ptr<const StoredTensor> scales;  // [.., cols / group]
    std::shared_ptr<const StoredTensor> biases;
    unsigned bits = 0;
    size_t group = 0;
  };
  static Matrix Quantized(Affine affine);

  size_t rows() const { return rows_; }
  size_t cols() const { return cols_; }
  // REQUIRES first + count <= rows().
  Matrix Rows(size_t first, size_t count) const;
  std::vector<double> Row(size_t row) const;

 private:
  std::shared_ptr<const StoredTensor> dense_;
  Affine affine_;
  size_t first_ = 0;
  size_t rows_ = 0;
  size_t cols_ = 0;
};

// Every *.safetensors file of a directory, and the quantization settings of its config.
class CheckpointTensors {
 public:
  // config: the whole config.json.
  static Result<CheckpointTensors> Open(const std::string& directory, const json::Value& config);

  bool Has(const std::string& name) const { return places_.contains(name); }
  // The values of a float tensor, flattened.
  Result<std::vector<double>> Values(const std::string& name);
  Result<std::shared_ptr<const StoredTensor>> Stored(const std::string& name);
  // The weight of a module: MODULE.weight, quantized when MODULE.scales exists.
  Result<Matrix> Weight(const std::string& module);
  // A weight whose tensor has no suffix (stacked experts of Hugging Face).
  Result<Matrix> Plain(const std::string& name);

 private:
  struct Place {
    std::shared_ptr<io::File> file;
    io::TensorEntry entry;
  };
  std::map<std::string, Place> places_;
  json::Value quantization_;
};

}  // namespace mach::reference
