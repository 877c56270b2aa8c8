#include "reference/checkpoint_tensors.h"

#include <cmath>
#include <cstring>

#include "io/file.h"

namespace mach::reference {
namespace {

using tensor::DType;

bool IsFloat(DType t) {
  return t == DType::kF16 || t == DType::kBF16 || t == DType::kF32 || t == DType::kF64;
}

template <class T>
T ReadAt(const std::vector<std::byte>& bytes, size_t i) {
  MACH_CHECK((i + 1) * sizeof(T) <= bytes.size());
  T value;
  std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
  return value;
}

// IEEE 754 binary16: 1 sign, 5 exponent, 10 fraction bits.
double HalfValue(uint16_t h) {
  const int exponent = (h >> 10) & 31;
  const int fraction = h & 1023;
  double magnitude = 0;
  if (exponent == 0) {
    magnitude = std::ldexp(fraction, -24);
  } else if (exponent == 31) {
    magnitude = fraction == 0 ? INFINITY : NAN;
  } else {
    magnitude = std::ldexp(1024 + fraction, exponent - 25);
  }
  return (h & 0x8000) != 0 ? -magnitude : magnitude;
}

Error Wrong(const std::string& name, const std::string& what) {
  return {Code::kCorrupt, "reference: " + name + ": " + what};
}

}  // namespace

size_t StoredTensor::Elements() const {
  size_t n = 1;
  for (const uint64_t d : shape) n *= d;
  return n;
}

double StoredTensor::Float(size_t i) const {
  switch (dtype) {
    case DType::kF64:
      return ReadAt<double>(bytes, i);
    case DType::kF32:
      return ReadAt<float>(bytes, i);
    case DType::kBF16:
      return std::bit_cast<float>(uint32_t{ReadAt<uint16_t>(bytes, i)} << 16);
    default:
      MACH_CHECK(dtype == DType::kF16);
      return HalfValue(ReadAt<uint16_t>(bytes, i));
  }
}

uint32_t StoredTensor::Word(size_t i) const {
  MACH_CHECK(dtype == DType::kU32);
  return ReadAt<uint32_t>(bytes, i);
}

Matrix Matrix::Dense(std::shared_ptr<const StoredTensor> values) {
  Matrix m;
  m.cols_ = values->shape.back();
  m.rows_ = values->Elements() / m.cols_;
  m.dense_ = std::move(values);
  return m;
}

Matrix Matrix::Quantized(Affine affine) {
  Matrix m;
  m.cols_ = affine.scales->shape.back() * affine.group;
  m.rows_ = affine.scales->Elements() / affine.scales->shape.back();
  m.affine_ = std::move(affine);
  return m;
}

Matrix Matrix::Rows(size_t first, size_t count) const {
  MACH_CHECK(first + count <= rows_);
  Matrix m = *this;
  m.first_ = first_ + first;
  m.rows_ = count;
  return m;
}

std::vector<double> Matrix::Row(size_t row) const {
  MACH_CHECK(row < rows_);
  row += first_;
  std::vector<double> values(cols_);
  if (dense_) {
    for (size_t c = 0; c < cols_; ++c) values[c] = dense_->Float(row * cols_ + c);
    return values;
  }
  const size_t words = cols_ * affine_.bits / 32;
  const size_t groups = cols_ / affine_.group;
  const unsigned per_word = 32 / affine_.bits;
  for (size_t c = 0; c < cols_; ++c) {
    const uint32_t word = affine_.packed->Word(row * words + c / per_word);
    const uint32_t q = (word >> (c % per_word * affine_.bits)) & ((1u << affine_.bits) - 1);
    const size_t g = row * groups + c / affine_.group;
    values[c] = affine_.scales->Float(g) * q + affine_.biases->Float(g);
  }
  return values;
}

Result<CheckpointTensors> CheckpointTensors::Open(const std::string& directory,
                                                  const json::Value& config) {
  CheckpointTensors tensors;
  for (const char* key : {"quantization", "quantization_config"}) {
    const json::Value* q = config.Find(key);
    if (q != nullptr && q->is_object()) {
      tensors.quantization_ = *q;
      break;
    }
  }
  io::FileSystem& fs = io::PosixFileSystem();
  MACH_TRY(const std::vector<std::string> names, fs.List(directory));
  for (const std::string& name : names) {
    if (!name.ends_with(".safetensors")) continue;
    MACH_TRY(std::unique_ptr<io::File> opened, fs.Open(directory + "/" + name));
    const std::shared_ptr<io::File> file = std::move(opened);
    MACH_TRY(io::SafetensorsHeader header, io::ReadSafetensorsHeader(*file));
    for (io::TensorEntry& entry : header.tensors) {
      const std::string key = entry.name;
      if (!tensors.places_.emplace(key, Place{file, std::move(entry)}).second) {
        return Wrong(key, "is in two files");
      }
    }
  }
  return tensors;
}

Result<std::shared_ptr<const StoredTensor>> CheckpointTensors::Stored(const std::string& name) {
  const auto it = places_.find(name);
  if (it == places_.end()) return Error{Code::kNotFound, "reference: no tensor " + name};
  const io::TensorEntry& entry = it->second.entry;
  auto stored = std::make_shared<StoredTensor>();
  stored->dtype = entry.dtype;
  stored->shape = entry.shape;
  stored->bytes.resize(entry.bytes);
  MACH_RETURN_IF_ERROR(io::ReadExactly(*it->second.file, entry.offset, stored->bytes));
  return std::shared_ptr<const StoredTensor>(std::move(stored));
}

Result<std::vector<double>> CheckpointTensors::Values(const std::string& name) {
  MACH_TRY(const auto stored, Stored(name));
  if (!IsFloat(stored->dtype)) return Wrong(name, "is no float tensor");
  std::vector<double> values(stored->Elements());
  for (size_t i = 0; i < values.size(); ++i) values[i] = stored->Float(i);
  return values;
}

Result<Matrix> CheckpointTensors::Plain(const std::string& name) {
  MACH_TRY(auto stored, Stored(name));
  if (!IsFloat(stored->dtype) || stored->shape.size() < 2) return Wrong(name, "is no float matrix");
  return Matrix::Dense(std::move(stored));
}

Result<Matrix> CheckpointTensors::Weight(const std::string& module) {
  if (!Has(module + ".scales")) return Plain(module + ".weight");
  // A module's own settings win over the general ones.
  const json::Value* own = quantization_.Find(module);
  const json::Value& settings = own != nullptr && own->is_object() ? *own : quantization_;
  MACH_TRY(const int64_t general_group, json::GetInt(quantization_, "group_size"));
  MACH_TRY(const int64_t general_bits, json::GetInt(quantization_, "bits"));
  MACH_TRY(const int64_t group, json::GetInt(settings, "group_size", general_group));
  MACH_TRY(const int64_t bits, json::GetInt(settings, "bits", general_bits));
  if (bits != 2 && bits != 4 && bits != 8) return Wrong(module, "is neither 2, 4 nor 8 bits wide");

  Matrix::Affine affine;
  MACH_TRY(affine.packed, Stored(module + ".weight"));
  MACH_TRY(affine.scales, Stored(module + ".scales"));
  MACH_TRY(affine.biases, Stored(module + ".biases"));
  affine.bits = static_cast<unsigned>(bits);
  affine.group = static_cast<size_t>(group);
  const size_t cols = affine.scales->shape.back() * affine.group;
  if (affine.packed->dtype != DType::kU32 || !IsFloat(affine.scales->dtype) ||
      !IsFloat(affine.biases->dtype) || affine.scales->shape != affine.biases->shape ||
      affine.packed->shape.back() * 32 != cols * affine.bits ||
      affine.packed->Elements() / affine.packed->shape.back() !=
          affine.scales->Elements() / affine.scales->shape.back()) {
    return Wrong(module, "weight, scales and biases do not match each other and the config");
  }
  return Matrix::Quantized(std::move(affine));
}

}  // namespace mach::reference
