// Arbitrary bytes as a safetensors file and, when they have the separators, as a checkpoint:
// config.json 0x1E model.safetensors.index.json (or nothing) 0x1E header 0x1E data.
#include <array>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "io/tensor_source.h"
#include "io/testing/memory_file_system.h"

namespace mach::io {
namespace {

constexpr char kSeparator = '\x1E';

void CheckSlice(const Checkpoint& checkpoint, const Slice& slice) {
  const uint64_t size = checkpoint.file(slice.file).size();
  MACH_CHECK(slice.offset <= size && slice.bytes <= size - slice.offset);
  std::vector<std::byte> data(slice.bytes);
  MACH_CHECK(checkpoint.Read(slice, data).ok());
}

void CheckMatrix(const Checkpoint& checkpoint, const MatrixSource& m) {
  CheckSlice(checkpoint, m.weight);
  const uint64_t elements = m.rows * m.cols;
  if (m.bits == 0) {
    MACH_CHECK(m.weight.bytes == elements * tensor::DTypeBytes(m.type));
    return;
  }
  MACH_CHECK(m.weight.bytes * 8 == elements * static_cast<uint64_t>(m.bits));
  for (const Slice& slice : {m.scales, m.biases}) {
    CheckSlice(checkpoint, slice);
    MACH_CHECK(slice.bytes ==
               elements / static_cast<uint64_t>(m.group) * tensor::DTypeBytes(m.type));
  }
}

// The names that a caller may use for a tensor of the file.
std::set<std::string> CanonicalNames(std::string name) {
  std::set<std::string> names = {name};
  for (const std::string_view prefix : {"model.", "language_model.", "model."}) {
    if (name.starts_with(prefix)) name.erase(0, prefix.size());
    names.insert(name);
  }
  for (const std::string& known : std::set<std::string>(names)) {
    if (known.ends_with(".weight")) names.insert(known.substr(0, known.size() - 7));
  }
  return names;
}

void UseTensor(const Checkpoint& checkpoint, const TensorSource& source, const std::string& name,
               const CheckpointTensor& t) {
  const auto dim = [&](size_t i) { return i < t.shape.size() ? t.shape[i] : 1; };
  for (const std::string& canonical : CanonicalNames(name)) {
    (void)source.Has(canonical);
    (void)source.Norm(canonical, dim(0), true);
    (void)source.Conv(canonical, dim(0), dim(1) * dim(2));
    for (const uint64_t per_word : {1, 4, 8}) {
      const auto m = source.Matrix(canonical, dim(0), dim(1) * per_word);
      if (m.ok()) CheckMatrix(checkpoint, *m);
    }
    for (const std::string_view marker : {".experts.", ".switch_mlp."}) {
      const size_t at = canonical.find(marker);
      if (at == std::string::npos || t.shape.size() < 2) continue;
      const bool stacked = t.shape.size() == 3;
      const uint64_t experts = stacked ? dim(0) : 2;
      if (experts == 0) continue;
      const uint64_t rows = stacked ? dim(1) : dim(0);
      const uint64_t cols = stacked ? dim(2) : dim(1);
      for (const uint64_t per_word : {1, 4, 8}) {
        for (const uint64_t width : {rows, rows / 2}) {
          const auto last = static_cast<uint32_t>(std::min<uint64_t>(experts - 1, 1u << 30));
          const auto expert = source.Expert(std::string_view(canonical).substr(0, at),
                                            ExpertId{last}, experts, cols * per_word, width);
          if (!expert) continue;
          for (const MatrixSource* m : {&expert->gate, &expert->up, &expert->down}) {
            CheckMatrix(checkpoint, *m);
          }
        }
      }
    }
  }
}

void UseCheckpoint(FileSystem& fs) {
  const auto opened = Checkpoint::Open(fs, "m");
  if (!opened) {
    MACH_CHECK(!opened.error().message.empty());
    return;
  }
  const Checkpoint& checkpoint = **opened;
  const auto source = TensorSource::Create(checkpoint);
  size_t used = 0;
  for (const auto& [name, t] : checkpoint.tensors()) {
    CheckSlice(checkpoint, t.data);
    if (source.ok() && ++used <= 64) UseTensor(checkpoint, *source, name, t);
  }
}

std::string WithLength(std::string_view header, std::string_view data) {
  std::string bytes(8, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<char>(uint64_t{header.size()} >> (8 * i) & 0xFF);
  }
  return bytes.append(header).append(data);
}

void Run(std::string_view input) {
  MemoryFileSystem fs;
  fs.Put("m/config.json", "{}");
  fs.Put("m/model.safetensors", std::string(input));
  UseCheckpoint(fs);

  std::array<std::string_view, 4> parts;
  for (size_t i = 0; i < parts.size(); ++i) {
    const size_t end = i + 1 < parts.size() ? input.find(kSeparator) : input.size();
    if (end == std::string_view::npos) return;
    parts[i] = input.substr(0, end);
    input.remove_prefix(std::min(input.size(), end + 1));
  }
  fs.Put("m/config.json", std::string(parts[0]));
  fs.Put("m/model.safetensors", WithLength(parts[2], parts[3]));
  if (!parts[1].empty()) fs.Put("m/model.safetensors.index.json", std::string(parts[1]));
  UseCheckpoint(fs);
}

}  // namespace
}  // namespace mach::io

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  mach::io::Run(std::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
