#include "io/tensor_source.h"

#include <algorithm>
#include <array>

#include "io/corrupt.h"
#include "json/value.h"
#include "tensor/dtype.h"

namespace mach::io {
namespace {

using tensor::DType;

constexpr std::array<std::string_view, 5> kPrefixes = {
    "model.language_model.", "language_model.model.", "language_model.", "model.", ""};
constexpr std::array<std::string_view, 4> kHeads = {"lm_head", "language_model.lm_head",
                                                    "model.lm_head", "head"};
constexpr std::array<std::string_view, 3> kExpertParts = {"gate_proj", "up_proj", "down_proj"};

// Sizes beyond this are nonsense, and below it their arithmetic cannot overflow.
constexpr uint64_t kMaxDimension = uint64_t{1} << 31;

std::string Cat(std::string_view a, std::string_view b) { return std::string(a).append(b); }

std::string ShapeText(const std::vector<uint64_t>& shape) {
  std::string text = "[";
  for (const uint64_t dim : shape) {
    if (text.size() > 1) text += ", ";
    text += std::to_string(dim);
  }
  return text + "]";
}

std::string Describe(const CheckpointTensor& t) {
  return Cat(tensor::DTypeName(t.dtype), " ") + ShapeText(t.shape);
}

bool IsDense(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kBF16 || dtype == DType::kF16;
}

Error Unsupported(std::string message) { return {Code::kUnsupported, std::move(message)}; }
// The rows of t that belong to one matrix: `first` of `rows` counted over all leading axes.
Slice RowsOf(const CheckpointTensor& t, uint64_t first, uint64_t rows) {
  const uint64_t row_bytes = t.shape.back() * tensor::DTypeBytes(t.dtype);
  return {t.data.file, t.data.offset + first * row_bytes, rows * row_bytes};
}

}  // namespace

// Where a matrix lies in a tensor [experts, file_rows, cols], or [file_rows, cols] without experts.
struct TensorSource::Stack {
  std::optional<uint64_t> experts = std::nullopt;
  uint64_t expert = 0;
  uint64_t file_rows = 0;
  uint64_t cols = 0;
  uint64_t first_row = 0;  // of the expert
  uint64_t rows = 0;

  std::vector<uint64_t> Shape(uint64_t last) const {
    if (experts) return {*experts, file_rows, last};
    return {file_rows, last};
  }
  Slice Of(const CheckpointTensor& t) const {
    return RowsOf(t, expert * file_rows + first_row, rows);
  }
};

Result<TensorSource> TensorSource::Create(const Checkpoint& checkpoint) {
  TensorSource self(checkpoint);
  self.FindPrefix();
  MACH_RETURN_IF_ERROR(self.FindLayout());
  MACH_RETURN_IF_ERROR(self.ReadQuantization());
  return self;
}

void TensorSource::FindPrefix() {
  const auto has = [&](std::string_view prefix, std::string_view rest) {
    return checkpoint_->Find(Cat(prefix, rest)) != nullptr;
  };
  // A drafter has layers and a norm, but no embedding.
  for (const std::string_view sign : {"embed_tokens.weight", "norm.weight"}) {
    const auto it = std::ranges::find_if(kPrefixes, [&](auto p) { return has(p, sign); });
    if (it == kPrefixes.end()) continue;
    prefix_ = *it;
    break;
  }
  const auto head = std::ranges::find_if(kHeads, [&](auto h) { return has(h, ".weight"); });
  head_ = head == kHeads.end() ? kHeads[0] : *head;
}

Status TensorSource::FindLayout() {
  const std::string* hf_conv = nullptr;
  const std::string* mlx_conv = nullptr;
  bool mlx_names = false;
  for (const auto& [name, t] : checkpoint_->tensors()) {
    if (!name.starts_with(prefix_)) continue;
    if (name.ends_with(".conv1d.weight") && t.shape.size() == 3) {
      if (t.shape[2] == 1 && t.shape[1] != 1) mlx_conv = &name;
      if (t.shape[1] == 1 && t.shape[2] != 1) hf_conv = &name;
    }
    mlx_names = mlx_names || name.find(".switch_mlp.") != std::string::npos ||
                (t.dtype == DType::kU32 && name.ends_with(".weight"));
  }
  if (hf_conv != nullptr && mlx_conv != nullptr) {
    return Corrupt("'" + checkpoint_->directory() + "': '" + *hf_conv +
                   "' is [channels, 1, taps] " + "but '" + *mlx_conv +
                   "' is [channels, taps, 1]; expected one layout");
  }
  // mlx-lm's own rule: the axes of conv1d decide, where there are any.
  const bool mlx = mlx_conv != nullptr || (hf_conv == nullptr && mlx_names);
  layout_ = mlx ? Layout::kMlx : Layout::kHf;
  return Ok();
}

Status TensorSource::ReadQuantization() {
  const json::Value& config = checkpoint_->config();
  std::string_view key = "quantization";
  const json::Value* root = config.Find(key);
  if (root == nullptr || root->is_null()) {
    key = "quantization_config";
    root = config.Find(key);
  }
  if (root == nullptr || root->is_null()) return Ok();
  const std::string where = "config.json: '" + std::string(key) + "'";
  if (!root->is_object()) {
    return Corrupt(where + " is " + std::string(root->KindName()) + ", expected an object");
  }
  // Another tool's scheme ("quant_method": "fp8"): its tensors are refused by their types.
  if (root->Find("bits") == nullptr && root->Find("group_size") == nullptr) return Ok();

  const auto read = [](const json::Value& from, Scheme scheme) -> Result<Scheme> {
    MACH_TRY(scheme.bits, json::GetInt(from, "bits", scheme.bits));
    MACH_TRY(scheme.group, json::GetInt(from, "group_size", scheme.group));
    MACH_TRY(scheme.mode, json::GetString(from, "mode", scheme.mode));
    return scheme;
  };
  auto whole = read(*root, Scheme{});
  if (!whole) return Corrupt(where + ": " + whole.error().message);
  for (const json::Member& member : root->AsObject()) {
    Scheme scheme = *whole;
    if (member.value.is_bool()) {
      scheme.quantized = member.value.AsBool();
    } else if (member.value.is_object()) {
      scheme.mode = Scheme{}.mode;  // not inherited: entries without a mode are affine
      auto own = read(member.value, scheme);
      if (!own) return Corrupt(where + " of '" + member.key + "': " + own.error().message);
      scheme = *std::move(own);
    } else {
      continue;
    }
    exceptions_.emplace(member.key, std::move(scheme));
  }
  scheme_ = *std::move(whole);
  return Ok();
}

std::string TensorSource::FileName(std::string_view canonical) const {
  constexpr std::string_view kHead = "lm_head";
  if (canonical == kHead || canonical.starts_with("lm_head.")) {
    return Cat(head_, canonical.substr(kHead.size()));
  }
  return Cat(prefix_, canonical);
}

const TensorSource::Scheme* TensorSource::SchemeOf(std::string_view module) const {
  if (!scheme_) return nullptr;
  const auto it = exceptions_.find(module);
  return it == exceptions_.end() ? &*scheme_ : &it->second;
}

bool TensorSource::Has(std::string_view name) const {
  const std::string full = FileName(name);
  return checkpoint_->Find(full) != nullptr || checkpoint_->Find(full + ".weight") != nullptr;
}

Status TensorSource::BindAffine(const std::string& module, const CheckpointTensor& weight,
                                const Stack& stack, MatrixSource& out) const {
  const CheckpointTensor* scales = checkpoint_->Find(module + ".scales");
  const CheckpointTensor* biases = checkpoint_->Find(module + ".biases");
  const std::string where = "'" + module + "': ";
  if (scales == nullptr) {
    return Corrupt(where + "the weight is packed (" + Describe(weight) + ") but there is no '" +
                   module + ".scales'");
  }
  const Scheme* scheme = SchemeOf(module);
  if (scheme == nullptr) {
    return Corrupt(where + "is quantized (it has '.scales'), but config.json has no " +
                   "'quantization' with 'bits' and 'group_size'");
  }
  if (!scheme->quantized) {
    return Corrupt(where +
                   "is quantized (it has '.scales'), but 'quantization' in config.json "
                   "says false for it");
  }
  if (scheme->mode != "affine" || biases == nullptr) {
    return Unsupported(where + "is quantized in mode '" + scheme->mode + "'" +
                       (biases == nullptr ? " without '.biases'" : "") +
                       "; Mach reads mode 'affine' (with '.biases') only");
  }
  const int64_t bits = scheme->bits;
  const int64_t group = scheme->group;
  if ((bits != 4 && bits != 8) || (group != 32 && group != 64 && group != 128)) {
    return Unsupported(where + "is quantized with " + std::to_string(bits) + " bits in groups of " +
                       std::to_string(group) +
                       " ('quantization' in config.json); Mach reads 4 and 8 bits in groups of 32, "
                       "64 and 128");
  }
  if (weight.dtype != DType::kU32) {
    return Corrupt(where + "the weight is " + Describe(weight) + ", expected packed U32 beside '" +
                   module + ".scales'");
  }
  if (stack.cols % static_cast<uint64_t>(group) != 0) {
    return Unsupported(where + "groups of " + std::to_string(group) + " do not divide the " +
                       std::to_string(stack.cols) + " columns");
  }
  const auto packed = stack.Shape(stack.cols / 32 * static_cast<uint64_t>(bits));
  const auto groups = stack.Shape(stack.cols / static_cast<uint64_t>(group));
  if (weight.shape != packed || scales->shape != groups || biases->shape != groups) {
    return Corrupt(where + "weight " + ShapeText(weight.shape) + ", scales " +
                   ShapeText(scales->shape) + " and biases " + ShapeText(biases->shape) +
                   ", expected " + ShapeText(packed) + ", " + ShapeText(groups) + " and " +
                   ShapeText(groups) + " for " + ShapeText(stack.Shape(stack.cols)) + " at " +
                   std::to_string(bits) + " bits in groups of " + std::to_string(group) +
                   " (config.json)");
  }
  if (!IsDense(scales->dtype) || biases->dtype != scales->dtype) {
    return Unsupported(where + "scales are " + std::string(tensor::DTypeName(scales->dtype)) +
                       " and biases " + std::string(tensor::DTypeName(biases->dtype)) +
                       ", expected both F32, both BF16 or both F16");
  }
  out.type = scales->dtype;
  out.bits = static_cast<int>(bits);
  out.group = static_cast<int>(group);
  out.weight = stack.Of(weight);
  out.scales = stack.Of(*scales);
  out.biases = stack.Of(*biases);
  return Ok();
}

Result<MatrixSource> TensorSource::Bind(const std::string& module, const Stack& stack) const {
  for (const uint64_t size : {stack.experts.value_or(1), stack.rows, stack.cols}) {
    if (size == 0 || size > kMaxDimension) {
      return Error{Code::kInvalidArgument, "'" + module + "': a size of " + std::to_string(size) +
                                               " (from config.json), expected 1 to " +
                                               std::to_string(kMaxDimension)};
    }
  }
  MatrixSource out{.name = module + ".weight", .rows = stack.rows, .cols = stack.cols};
  const CheckpointTensor* weight = checkpoint_->Find(out.name);
  if (weight == nullptr) {
    out.name = module;  // stacked experts have no suffix
    weight = checkpoint_->Find(module);
  }
  if (weight == nullptr) {
    return Corrupt("'" + checkpoint_->directory() + "' has no tensor '" + module +
                   ".weight', expected " + ShapeText(stack.Shape(stack.cols)) +
                   "; config.json and weights are not of one model, or a file is missing");
  }
  if (weight->dtype == DType::kU32 || checkpoint_->Find(module + ".scales") != nullptr) {
    MACH_RETURN_IF_ERROR(BindAffine(module, *weight, stack, out));
    return out;
  }
  if (!IsDense(weight->dtype)) {
    return Unsupported("'" + out.name + "' is " + Describe(*weight) +
                       "; Mach reads F32, BF16 and F16 weights and MLX affine 4 and 8 bit");
  }
  if (weight->shape != stack.Shape(stack.cols)) {
    return Corrupt("'" + out.name + "' is " + Describe(*weight) + ", expected " +
                   ShapeText(stack.Shape(stack.cols)) + " (from config.json)");
  }
  out.type = weight->dtype;
  out.weight = stack.Of(*weight);
  return out;
}

Result<MatrixSource> TensorSource::Matrix(std::string_view module, uint64_t rows,
                                          uint64_t cols) const {
  return Bind(FileName(module), {.file_rows = rows, .cols = cols, .rows = rows});
}

Result<ExpertSource> TensorSource::Expert(std::string_view mlp, ExpertId expert, uint64_t experts,
                                          uint64_t hidden, uint64_t width) const {
  MACH_CHECK(Index(expert) < experts);
  const std::string base = FileName(mlp);
  const auto exists = [&](const std::string& module) {
    return checkpoint_->Find(module) != nullptr || checkpoint_->Find(module + ".weight") != nullptr;
  };
  Stack in{.experts = experts,
           .expert = Index(expert),
           .file_rows = width,
           .cols = hidden,
           .rows = width};
  Stack down = in;
  down.file_rows = down.rows = hidden;
  down.cols = width;

  if (const std::string fused = base + ".experts.gate_up_proj"; exists(fused)) {
    in.file_rows = 2 * width;
    Stack up = in;
    up.first_row = width;
    MACH_TRY(MatrixSource gate_rows, Bind(fused, in));
    MACH_TRY(MatrixSource up_rows, Bind(fused, up));
    MACH_TRY(MatrixSource down_rows, Bind(base + ".experts.down_proj", down));
    return ExpertSource{std::move(gate_rows), std::move(up_rows), std::move(down_rows)};
  }
  std::string parts = base + ".switch_mlp.";
  if (!exists(parts + "gate_proj")) parts = base + ".experts.";
  if (!exists(parts + "gate_proj")) {
    parts += std::to_string(Index(expert)) + ".";
    in.experts = down.experts = std::nullopt;
    in.expert = down.expert = 0;
  }
  MACH_TRY(MatrixSource gate, Bind(Cat(parts, kExpertParts[0]), in));
  MACH_TRY(MatrixSource up, Bind(Cat(parts, kExpertParts[1]), in));
  MACH_TRY(MatrixSource down_proj, Bind(Cat(parts, kExpertParts[2]), down));
  return ExpertSource{std::move(gate), std::move(up), std::move(down_proj)};
}

Result<const CheckpointTensor*> TensorSource::SmallTensor(std::string_view name,
                                                          std::string& found) const {
  found = FileName(name);
  const CheckpointTensor* t = checkpoint_->Find(found);
  if (t == nullptr) {
    found += ".weight";
    t = checkpoint_->Find(found);
  }
  if (t == nullptr) {
    return Corrupt("'" + checkpoint_->directory() + "' has no tensor '" + FileName(name) +
                   "', with or without '.weight'; config.json and weights are not of one model, "
                   "or a file is missing");
  }
  if (!IsDense(t->dtype)) {
    return Unsupported("'" + found + "' is " + Describe(*t) + ", expected F32, BF16 or F16");
  }
  return t;
}

Result<std::vector<float>> TensorSource::ReadFloats(const std::string& name,
                                                    const CheckpointTensor& t) const {
  const size_t width = tensor::DTypeBytes(t.dtype);
  std::vector<std::byte> raw(static_cast<size_t>(t.data.bytes));
  if (auto read = checkpoint_->Read(t.data, raw); !read) {
    return std::move(read).error().In("tensor '" + name + "'");
  }
  std::vector<float> out(raw.size() / width);
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = tensor::LoadFloat(t.dtype, raw.data() + i * width);
  }
  return out;
}

Result<const CheckpointTensor*> TensorSource::VectorTensor(std::string_view name, uint64_t elements,
                                                           std::string& found) const {
  MACH_TRY(const CheckpointTensor* t, SmallTensor(name, found));
  if (t->shape != std::vector<uint64_t>{elements}) {
    return Corrupt("'" + found + "' is " + Describe(*t) + ", expected [" +
                   std::to_string(elements) + "] (from config.json)");
  }
  return t;
}

Status TensorSource::CheckVector(std::string_view name, uint64_t elements) const {
  std::string found;
  auto tensor = VectorTensor(name, elements, found);
  if (!tensor) return std::move(tensor).error();
  return Ok();
}

Result<std::vector<float>> TensorSource::Vector(std::string_view name, uint64_t elements) const {
  std::string found;
  MACH_TRY(const CheckpointTensor* t, VectorTensor(name, elements, found));
  return ReadFloats(found, *t);
}

Result<std::vector<float>> TensorSource::Norm(std::string_view name, uint64_t elements,
                                              bool centered) const {
  MACH_TRY(std::vector<float> factor, Vector(name, elements));
  if (centered && layout_ == Layout::kHf) {
    for (float& w : factor) w += 1.0f;
  }
  return factor;
}

Result<const CheckpointTensor*> TensorSource::ConvTensor(std::string_view module, uint64_t channels,
                                                         uint64_t taps, std::string& found) const {
  MACH_TRY(const CheckpointTensor* t, SmallTensor(module, found));
  // Both orders hold the taps of a channel side by side.
  if (t->shape != std::vector<uint64_t>{channels, 1, taps} &&
      t->shape != std::vector<uint64_t>{channels, taps, 1}) {
    return Corrupt("'" + found + "' is " + Describe(*t) + ", expected [" +
                   std::to_string(channels) + ", 1, " + std::to_string(taps) + "] or [" +
                   std::to_string(channels) + ", " + std::to_string(taps) +
                   ", 1] (from config.json)");
  }
  return t;
}

Status TensorSource::CheckConv(std::string_view module, uint64_t channels, uint64_t taps) const {
  std::string found;
  auto tensor = ConvTensor(module, channels, taps, found);
  if (!tensor) return std::move(tensor).error();
  return Ok();
}

Result<std::vector<float>> TensorSource::Conv(std::string_view module, uint64_t channels,
                                              uint64_t taps) const {
  std::string found;
  MACH_TRY(const CheckpointTensor* t, ConvTensor(module, channels, taps, found));
  MACH_TRY(const std::vector<float> stored, ReadFloats(found, *t));
  std::vector<float> out(stored.size());
  for (uint64_t c = 0; c < channels; ++c) {
    for (uint64_t k = 0; k < taps; ++k) out[k * channels + c] = stored[c * taps + k];
  }
  return out;
}

}  // namespace mach::io
