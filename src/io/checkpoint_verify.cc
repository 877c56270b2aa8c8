#include "io/checkpoint_verify.h"

#include <algorithm>
#include <cmath>

#include "tensor/dtype.h"

namespace mach::io {
namespace {

using tensor::DType;

constexpr uint64_t kWeightBandBytes = uint64_t{4} << 20;  // read at a time

bool IsFloat(DType dtype) {
  return dtype == DType::kF16 || dtype == DType::kBF16 || dtype == DType::kF32 ||
         dtype == DType::kF64;
}

// Adds what a band holds; begin: index of its first element.
void Scan(DType dtype, std::span<const std::byte> band, uint64_t begin, NonFiniteTensor& found) {
  const size_t each = tensor::DTypeBytes(dtype);
  for (size_t i = 0; i * each < band.size(); ++i) {
    if (std::isfinite(tensor::LoadFloat(dtype, band.data() + i * each))) continue;
    if (found.count++ == 0) found.first = begin + i;
  }
}

}  // namespace

Result<std::vector<NonFiniteTensor>> FindNonFinite(
    const Checkpoint& checkpoint,
    const std::function<bool(uint64_t done, uint64_t total)>& progress) {
  std::vector<std::pair<std::string_view, const CheckpointTensor*>> tensors;
  uint64_t total = 0;
  for (const auto& [name, tensor] : checkpoint.tensors()) {
    if (!IsFloat(tensor.dtype)) continue;
    tensors.emplace_back(name, &tensor);
    total += tensor.data.bytes;
  }
  std::ranges::sort(tensors);
  std::vector<NonFiniteTensor> broken;
  std::vector<std::byte> buffer;
  uint64_t done = 0;
  for (const auto& [name, tensor] : tensors) {
    NonFiniteTensor found{.name = std::string(name),
                          .file = checkpoint.file(tensor->data.file).path()};
    for (uint64_t at = 0; at < tensor->data.bytes; at += kWeightBandBytes) {
      Slice band = tensor->data;
      band.offset += at;
      band.bytes = std::min(kWeightBandBytes, tensor->data.bytes - at);
      buffer.resize(band.bytes);
      MACH_RETURN_IF_ERROR(checkpoint.Read(band, buffer));
      Scan(tensor->dtype, buffer, at / tensor::DTypeBytes(tensor->dtype), found);
      done += band.bytes;
      if (progress && !progress(done, total)) {
        return Error{Code::kCancelled, "the check was interrupted"};
      }
    }
    if (found.count != 0) broken.push_back(std::move(found));
  }
  return broken;
}

}  // namespace mach::io
