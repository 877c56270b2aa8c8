// Small tensor files, made in memory, for tests and fuzz targets.
#pragma once

#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "io/safetensors_writer.h"
#include "tensor/dtype.h"

namespace mach::io {

// Tensors of one file. Data is the caller's, or counts up so that every element names its place.
class TestTensors {
 public:
  TestTensors& Add(TensorSpec spec, std::string data) {
    MACH_CHECK(DenseBytes(spec.shape, spec.dtype) == data.size());
    specs_.push_back(std::move(spec));
    data_.push_back(std::move(data));
    return *this;
  }

  // Element i is first + i: exact as U32, as F32 below 2^24, as BF16 below 2^8.
  TestTensors& Count(std::string name, tensor::DType dtype, std::vector<uint64_t> shape,
                     uint32_t first = 0) {
    const size_t width = tensor::DTypeBytes(dtype);
    std::string data(static_cast<size_t>(*DenseBytes(shape, dtype)), '\0');
    for (size_t i = 0; i < data.size() / width; ++i) {
      const uint32_t bits = Encode(dtype, first + static_cast<uint32_t>(i));
      std::memcpy(data.data() + i * width, &bits, std::min(width, sizeof(bits)));
    }
    return Add({std::move(name), dtype, std::move(shape)}, std::move(data));
  }

  // An affine module of [.., rows, cols], whose packed words, scales and biases all count up.
  TestTensors& Affine(const std::string& module, std::vector<uint64_t> shape, uint64_t bits,
                      uint64_t group, tensor::DType type = tensor::DType::kF32) {
    const uint64_t cols = shape.back();
    shape.back() = cols * bits / 32;
    Count(module + ".weight", tensor::DType::kU32, shape);
    shape.back() = cols / group;
    Count(module + ".scales", type, shape, 7);
    return Count(module + ".biases", type, shape, 9);
  }

  const std::vector<TensorSpec>& specs() const { return specs_; }
  TensorSpec& spec(std::string_view name) {
    for (TensorSpec& s : specs_) {
      if (s.name == name) return s;
    }
    MACH_CHECK(false && "no such tensor");
    return specs_[0];
  }

  // The whole file.
  std::string Bytes() const {
    auto header = MakeSafetensorsHeader(specs_);
    MACH_CHECK(header.ok());
    std::string bytes = *std::move(header);
    for (const std::string& data : data_) bytes += data;
    return bytes;
  }

  Status WriteTo(const std::string& path) const {
    MACH_TRY(SafetensorsWriter writer, SafetensorsWriter::Create(path, specs_));
    for (const std::string& data : data_) {
      MACH_RETURN_IF_ERROR(writer.Append(std::as_bytes(std::span(data))));
    }
    return writer.Finish();
  }

 private:
  static uint32_t Encode(tensor::DType dtype, uint32_t n) {
    switch (dtype) {
      case tensor::DType::kF32:
        return std::bit_cast<uint32_t>(static_cast<float>(n));
      case tensor::DType::kBF16:
        return tensor::F32ToBF16(static_cast<float>(n));
      case tensor::DType::kF16:
        return tensor::F32ToF16(static_cast<float>(n));
      default:
        return n;
    }
  }

  std::vector<TensorSpec> specs_;
  std::vector<std::string> data_;
};

}  // namespace mach::io
