// Writes safetensors files, tensor after tensor, without holding them.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "io/output_file.h"
#include "io/safetensors.h"
#include "json/value.h"
#include "tensor/dtype.h"

namespace mach::io {

struct TensorSpec {
  std::string name;
  tensor::DType dtype = tensor::DType::kF32;
  std::vector<uint64_t> shape = {};
};

// The first bytes of a file that holds these tensors in this order: length and header, padded with
// spaces so that the data begins at a multiple of 8. metadata: strings. kInvalidArgument for what
// ReadSafetensorsHeader would refuse.
Result<std::string> MakeSafetensorsHeader(std::span<const TensorSpec> specs,
                                          const json::Object& metadata = {});

// Used by one thread at a time. Destruction without Finish leaves no file.
class SafetensorsWriter {
 public:
  // Writes the header. The file appears when Finish succeeds.
  static Result<SafetensorsWriter> Create(std::unique_ptr<OutputFile> file,
                                          std::span<const TensorSpec> specs,
                                          const json::Object& metadata = {});
  // With CreateOutputFile(path).
  static Result<SafetensorsWriter> Create(const std::string& path,
                                          std::span<const TensorSpec> specs,
                                          const json::Object& metadata = {});

  // The next bytes of the data: the tensors in the order of the specs, back to back, in pieces of
  // any size. More bytes than the specs have are kInvalidArgument.
  Status Append(std::span<const std::byte> data);
  template <class T>
  Status Append(std::span<const T> values) {
    return Append(std::as_bytes(values));
  }

  // Fewer bytes than the specs have are kInvalidArgument. Once.
  Status Finish();

 private:
  SafetensorsWriter(std::unique_ptr<OutputFile> file, uint64_t left)
      : file_(std::move(file)), left_(left) {}
  std::unique_ptr<OutputFile> file_;
  uint64_t left_;  // bytes of data still to come
};

}  // namespace mach::io
