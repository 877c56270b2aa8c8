#include "reference/random_checkpoint.h"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <vector>

#include "io/output_file.h"
#include "io/safetensors_writer.h"
#include "json/write.h"
#include "reference/random_config.h"
#include "reference/random_matrix.h"

namespace mach::reference {
namespace {

using tensor::DType;

struct OutTensor {
  io::TensorSpec spec;
  std::vector<std::byte> bytes;
};

template <class T>
std::vector<std::byte> Bytes(const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

std::vector<std::byte> Encode(const std::vector<float>& values, DType dtype) {
  if (dtype == DType::kF32) return Bytes(values);
  std::vector<uint16_t> halves(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    halves[i] = dtype == DType::kF16 ? tensor::F32ToF16(values[i]) : tensor::F32ToBF16(values[i]);
  }
  return Bytes(halves);
}

// Collects the tensors of one checkpoint.
class Builder {
 public:
  explicit Builder(const CheckpointSpec& spec) : spec_(spec) {
    const bool wrapped = spec.prefix == Prefix::kWrapper;
    if (spec.prefix == Prefix::kModel) prefix_ = "model.";
    if (wrapped) prefix_ = IsMlx(spec) ? "language_model.model." : "model.language_model.";
    if (wrapped && IsMlx(spec)) head_prefix_ = "language_model.";
  }

  void Build() {
    const Grid table = spec_.embedding_grid.value_or(spec_.grid);
    Module(prefix_ + "embed_tokens", Draw("embed_tokens", spec_.vocab, spec_.hidden, table, 1));
    if (!spec_.tied_head) {
      Linear(head_prefix_, "lm_head", spec_.vocab, spec_.hidden, {table, 1});
    }
    Norm("norm", spec_.hidden);
    for (size_t i = 0; i < spec_.layers; ++i) Layer(i);
    if (spec_.foreign_tensors) Foreign();
  }

  const std::vector<OutTensor>& tensors() const { return tensors_; }
  const json::Object& module_grids() const { return module_grids_; }

 private:
  struct LinearKind {
    Grid grid;
    double gain = 1;  // size of the outputs for inputs of size 1
  };

  void Emit(std::string name, DType dtype, std::vector<uint64_t> shape,
            std::vector<std::byte> bytes) {
    tensors_.push_back({{std::move(name), dtype, std::move(shape)}, std::move(bytes)});
  }
  void EmitFloats(std::string name, std::vector<uint64_t> shape, const std::vector<float>& values) {
    Emit(std::move(name), spec_.dtype, std::move(shape), Encode(values, spec_.dtype));
  }

  RandomMatrix Draw(const std::string& name, size_t rows, size_t cols, Grid grid,
                    double deviation) const {
    return DrawMatrix(spec_.seed, name,
                      {.rows = rows,
                       .cols = cols,
                       .grid = grid,
                       .deviation = deviation,
                       .negative_scales = spec_.negative_scales});
  }

  // MODULE.weight and, when quantized, MODULE.scales and MODULE.biases; stacked: so many matrices.
  void Module(const std::string& module, const RandomMatrix& m, size_t stacked = 0) {
    const auto shape = [&](size_t cols) {
      if (stacked == 0) return std::vector<uint64_t>{m.rows, cols};
      return std::vector<uint64_t>{stacked, m.rows / stacked, cols};
    };
    if (spec_.layout != Layout::kMlxAffine || m.grid.bits == 0) {
      if (spec_.layout == Layout::kMlxAffine) module_grids_.Set(module, false);
      EmitFloats(module + ".weight", shape(m.cols), m.values);
      return;
    }
    if (m.grid.bits != spec_.grid.bits || m.grid.group != spec_.grid.group) {
      module_grids_.Set(
          module, json::Object{{"group_size", m.grid.group}, {"bits", uint64_t{m.grid.bits}}});
    }
    Emit(module + ".weight", DType::kU32, shape(m.cols * m.grid.bits / 32), Bytes(m.Packed()));
    EmitFloats(module + ".scales", shape(m.cols / m.grid.group), m.scales);
    EmitFloats(module + ".biases", shape(m.cols / m.grid.group), m.biases);
  }

  void Linear(const std::string& prefix, const std::string& name, size_t rows, size_t cols,
              LinearKind kind) {
    Module(prefix + name,
           Draw(name, rows, cols, kind.grid, kind.gain / std::sqrt(static_cast<double>(cols))));
  }
  // name: from "layers." on.
  void Linear(const std::string& name, size_t rows, size_t cols) {
    Linear(prefix_, name, rows, cols, {spec_.grid, 1});
  }

  std::vector<float> Uniform(const std::string& name, size_t size, double low, double high) const {
    std::vector<float> values(size);
    for (size_t i = 0; i < size; ++i) {
      values[i] = static_cast<float>(DrawUniform(spec_.seed, name, i, low, high));
    }
    return values;
  }

  // Factors from 0.6 to 1.4, multiples of 1/128: exact in every type, also less 1.
  std::vector<float> Factors(const std::string& name, size_t size) const {
    std::vector<float> values = Uniform(name, size, 0.6, 1.4);
    for (float& v : values) v = std::nearbyint(v * 128) / 128;
    return values;
  }

  void Norm(const std::string& name, size_t size) {
    std::vector<float> values = Factors(name, size);
    if (spec_.family == Family::kQwen3_5Moe && !IsMlx(spec_)) {
      for (float& v : values) v -= 1;
    }
    EmitFloats(prefix_ + name + ".weight", {size}, values);
  }

  void Layer(size_t i) {
    const std::string layer = "layers." + std::to_string(i) + ".";
    const LayerKind kind = RandomLayerKind(spec_, i);
    Norm(layer + "input_layernorm", spec_.hidden);
    Norm(layer + "post_attention_layernorm", spec_.hidden);
    kind.full_attention ? Attention(layer + "self_attn.") : DeltaNet(layer + "linear_attn.");
    if (kind.sparse) {
      Moe(layer + "mlp.");
    } else {
      SwiGlu(layer + "mlp.", spec_.dense_width);
    }
  }

  void Attention(const std::string& at) {
    const size_t query = spec_.heads * spec_.head_dim;
    const size_t key = spec_.kv_heads * spec_.head_dim;
    const size_t q_rows = spec_.family == Family::kQwen3_5Moe ? 2 * query : query;
    const auto projection = [&](const std::string& name, size_t rows, size_t cols) {
      Linear(name, rows, cols);
      if (!spec_.attention_bias) return;
      EmitFloats(prefix_ + name + ".bias", {rows}, Uniform(name + ".bias", rows, -0.5, 0.5));
    };
    projection(at + "q_proj", q_rows, spec_.hidden);
    projection(at + "k_proj", key, spec_.hidden);
    projection(at + "v_proj", key, spec_.hidden);
    projection(at + "o_proj", spec_.hidden, query);
    Norm(at + "q_norm", spec_.head_dim);
    Norm(at + "k_norm", spec_.head_dim);
  }

  void DeltaNet(const std::string& at) {
    const size_t value = spec_.value_heads * spec_.value_dim;
    const size_t channels = 2 * spec_.key_heads * spec_.key_dim + value;
    Linear(at + "in_proj_qkv", channels, spec_.hidden);
    Linear(at + "in_proj_z", value, spec_.hidden);
    Linear(at + "in_proj_b", spec_.value_heads, spec_.hidden);
    Linear(at + "in_proj_a", spec_.value_heads, spec_.hidden);
    Linear(at + "out_proj", spec_.hidden, value);
    // The order of the values is the same in both shapes.
    const size_t kernel = spec_.conv_kernel;
    EmitFloats(prefix_ + at + "conv1d.weight",
               IsMlx(spec_) ? std::vector<uint64_t>{channels, kernel, 1}
                            : std::vector<uint64_t>{channels, 1, kernel},
               Uniform(at + "conv1d", channels * kernel, -1, 1));
    EmitFloats(prefix_ + at + "dt_bias", {spec_.value_heads},
               Uniform(at + "dt_bias", spec_.value_heads, -1, 1));
    // From states that last to states that fade within a few tokens.
    Emit(prefix_ + at + "A_log", DType::kF32, {spec_.value_heads},
         Bytes(Uniform(at + "A_log", spec_.value_heads, -4, 1)));
    EmitFloats(prefix_ + at + "norm.weight", {spec_.value_dim},
               Factors(at + "norm", spec_.value_dim));
  }

  void SwiGlu(const std::string& at, size_t width) {
    Linear(at + "gate_proj", width, spec_.hidden);
    Linear(at + "up_proj", width, spec_.hidden);
    Linear(at + "down_proj", spec_.hidden, width);
  }

  void Moe(const std::string& at) {
    const Grid router = spec_.router_grid.value_or(spec_.grid);
    Linear(prefix_, at + "gate", spec_.experts, spec_.hidden, {router, 2});
    Experts(at);
    if (spec_.family != Family::kQwen3_5Moe) return;
    SwiGlu(at + "shared_expert.", spec_.shared_width);
    Linear(prefix_, at + "shared_expert_gate", 1, spec_.hidden, {router, 1});
  }

  void Experts(const std::string& at) {
    const size_t width = spec_.expert_width;
    if (spec_.layout == Layout::kHfPerExpert) {
      for (size_t e = 0; e < spec_.experts; ++e) {
        SwiGlu(at + "experts." + std::to_string(e) + ".", width);
      }
      return;
    }
    std::vector<RandomMatrix> gates, ups, downs, fused;
    const double in = 1 / std::sqrt(static_cast<double>(spec_.hidden));
    const double out = 1 / std::sqrt(static_cast<double>(width));
    for (size_t e = 0; e < spec_.experts; ++e) {
      const std::string expert = at + "experts." + std::to_string(e) + ".";
      gates.push_back(Draw(expert + "gate_proj", width, spec_.hidden, spec_.grid, in));
      ups.push_back(Draw(expert + "up_proj", width, spec_.hidden, spec_.grid, in));
      downs.push_back(Draw(expert + "down_proj", spec_.hidden, width, spec_.grid, out));
      fused.push_back(gates.back());
      fused.push_back(ups.back());
    }
    if (spec_.layout == Layout::kHfStacked) {
      EmitFloats(prefix_ + at + "experts.gate_up_proj", {spec_.experts, 2 * width, spec_.hidden},
                 Stack(fused).values);
      EmitFloats(prefix_ + at + "experts.down_proj", {spec_.experts, spec_.hidden, width},
                 Stack(downs).values);
      return;
    }
    Module(prefix_ + at + "switch_mlp.gate_proj", Stack(gates), spec_.experts);
    Module(prefix_ + at + "switch_mlp.up_proj", Stack(ups), spec_.experts);
    Module(prefix_ + at + "switch_mlp.down_proj", Stack(downs), spec_.experts);
  }

  void Foreign() {
    const auto random = [&](const std::string& name, std::vector<uint64_t> shape) {
      size_t n = 1;
      for (const uint64_t d : shape) n *= d;
      EmitFloats(name, std::move(shape), Uniform(name, n, -1, 1));
    };
    const std::string tower = IsMlx(spec_) ? "vision_tower." : "model.visual.";
    random(tower + "patch_embed.proj.weight", {8, 3, 2, 4, 4});
    random(tower + "blocks.0.norm1.weight", {8});
    if (IsMlx(spec_)) return;
    random("mtp.fc.weight", {spec_.hidden, 2 * spec_.hidden});
    random("mtp.norm.weight", {spec_.hidden});
    random("mtp.layers.0.input_layernorm.weight", {spec_.hidden});
    random("mtp.layers.0.mlp.gate.weight", {spec_.experts, spec_.hidden});
  }

  const CheckpointSpec& spec_;
  std::string prefix_;
  std::string head_prefix_;
  std::vector<OutTensor> tensors_;
  json::Object module_grids_;
};

Status WriteText(const std::string& path, const std::string& text) {
  MACH_TRY(const auto file, io::CreateOutputFile(path));
  MACH_RETURN_IF_ERROR(file->Write(std::as_bytes(std::span(text))));
  return file->Commit();
}

std::string ShardName(size_t shard, size_t shards) {
  if (shards == 1) return "model.safetensors";
  char name[64];
  std::snprintf(name, sizeof(name), "model-%05zu-of-%05zu.safetensors", shard + 1, shards);
  return name;
}

}  // namespace

Status WriteRandomCheckpoint(const CheckpointSpec& spec, const std::string& directory) {
  Builder builder(spec);
  builder.Build();
  json::Object weight_map;
  uint64_t total = 0;
  for (size_t shard = 0; shard < spec.shards; ++shard) {
    // Neighbours go to different files, so that no layer and no quantized module is in one.
    std::vector<io::TensorSpec> specs;
    for (size_t i = shard; i < builder.tensors().size(); i += spec.shards) {
      specs.push_back(builder.tensors()[i].spec);
    }
    const std::string name = ShardName(shard, spec.shards);
    MACH_TRY(auto writer, io::SafetensorsWriter::Create(directory + "/" + name, specs,
                                                        json::Object{{"format", "pt"}}));
    for (size_t i = shard; i < builder.tensors().size(); i += spec.shards) {
      const OutTensor& t = builder.tensors()[i];
      MACH_RETURN_IF_ERROR(writer.Append(std::span<const std::byte>(t.bytes)));
      weight_map.Set(t.spec.name, name);
      total += t.bytes.size();
    }
    MACH_RETURN_IF_ERROR(writer.Finish());
  }
  if (spec.shards > 1) {
    const json::Object index{{"metadata", json::Object{{"total_size", total}}},
                             {"weight_map", std::move(weight_map)}};
    MACH_RETURN_IF_ERROR(
        WriteText(directory + "/model.safetensors.index.json", json::Write(index)));
  }
  return WriteText(directory + "/config.json",
                   json::Write(MakeRandomConfig(spec, builder.module_grids()), {.indent = 2}));
}

}  // namespace mach::reference
