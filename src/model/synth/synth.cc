#include "model/synth/synth.h"

#include <algorithm>
#include <cstdio>
#include <span>

#include "base/units.h"
#include "io/new_directory.h"
#include "json/write.h"
#include "model/arch_registry.h"
#include "model/synth/tensors.h"

namespace mach::model {
namespace {

constexpr size_t kBlockBytes = size_t{1} << 20;
// Beside the tensors: headers, index, what the file system keeps for itself.
constexpr uint64_t kRoomBeside = uint64_t{64} << 20;

struct Shard {
  size_t first = 0;  // tensors [first, end)
  size_t end = 0;
};

struct Plan {
  json::Object config;
  SynthLayout layout;
  std::vector<Shard> shards;
  SynthSummary summary;
};

Result<Plan> MakePlan(const SynthOptions& options) {
  Plan plan;
  plan.config = SynthConfig(options.shape);
  // The config is what a reader will see, so the tensors are listed by what is read from it.
  auto parsed = ParseConfig(plan.config);
  if (!parsed) return std::move(parsed).error().In("no model has these sizes");
  MACH_TRY(plan.layout, ListSynthTensors(*parsed, options.bits));
  if (!plan.layout.quantization.empty()) {
    plan.config.Set("quantization", plan.layout.quantization);
    plan.config.Set("quantization_config", plan.layout.quantization);
  }
  uint64_t in_shard = 0;
  for (size_t i = 0; i < plan.layout.tensors.size(); ++i) {
    const io::TensorSpec& spec = plan.layout.tensors[i].spec;
    const auto bytes = io::DenseBytes(spec.shape, spec.dtype);
    if (!bytes ||
        __builtin_add_overflow(plan.summary.tensor_bytes, *bytes, &plan.summary.tensor_bytes)) {
      return Error{Code::kInvalidArgument,
                   "'" + spec.name +
                       "': the checkpoint would have more bytes than 64 bits count; "
                       "lower the sizes"};
    }
    if (plan.shards.empty() || in_shard > options.shard_bytes ||
        *bytes > options.shard_bytes - in_shard) {
      plan.shards.push_back({i, i});
      in_shard = 0;
    }
    plan.shards.back().end = i + 1;
    in_shard += *bytes;
  }
  plan.summary.tensors = plan.layout.tensors.size();
  plan.summary.shards = plan.shards.size();
  return plan;
}

Status CheckRoom(const io::NewDirectory& directory, uint64_t bytes) {
  MACH_TRY(const uint64_t free, directory.FreeBytes());
  if (free >= kRoomBeside && bytes <= free - kRoomBeside) return Ok();
  return Error{Code::kIo, "cannot write '" + directory.path() + "': " + BytesText(bytes) +
                              " of tensors, but its file system has " + BytesText(free) +
                              " free; write elsewhere, or fewer --layers"};
}

std::string ShardName(size_t shard, size_t shards) {
  if (shards == 1) return "model.safetensors";
  char name[64];
  std::snprintf(name, sizeof(name), "model-%05zu-of-%05zu.safetensors", shard + 1, shards);
  return name;
}

Status WriteText(const std::string& path, std::string_view text) {
  MACH_TRY(const auto file, io::CreateOutputFile(path));
  MACH_RETURN_IF_ERROR(file->Write(std::as_bytes(std::span(text))));
  return file->Commit();
}

std::string Pretty(const json::Object& object) {
  return json::Write(object, {.indent = 2, .key_separator = ": "}) + "\n";
}

class Writer {
 public:
  Writer(const SynthOptions& options, const Plan& plan, const std::string& directory,
         const LoadProgress& progress)
      : options_(options),
        plan_(plan),
        directory_(directory),
        progress_(progress),
        block_(kBlockBytes) {}

  Status Write() {
    json::Object weight_map;
    for (size_t i = 0; i < plan_.shards.size(); ++i) {
      const std::string name = ShardName(i, plan_.shards.size());
      MACH_RETURN_IF_ERROR(WriteShard(name, plan_.shards[i]));
      for (const SynthTensor& t : TensorsOf(plan_.shards[i])) weight_map.Append(t.spec.name, name);
    }
    const json::Object index{{"metadata", json::Object{{"total_size", plan_.summary.tensor_bytes}}},
                             {"weight_map", std::move(weight_map)}};
    MACH_RETURN_IF_ERROR(WriteText(Path("model.safetensors.index.json"), Pretty(index)));
    for (const SynthFile& file : options_.files) {
      MACH_RETURN_IF_ERROR(WriteText(Path(file.name), file.text));
    }
    // No end of turn: what noise says ends where the caller's limit is.
    const json::Object generation{{"do_sample", true}, {"temperature", 1.0}};
    MACH_RETURN_IF_ERROR(WriteText(Path("generation_config.json"), Pretty(generation)));
    return WriteText(Path("config.json"), Pretty(plan_.config));
  }

 private:
  std::string Path(const std::string& name) const { return directory_ + "/" + name; }
  std::span<const SynthTensor> TensorsOf(const Shard& shard) const {
    return std::span(plan_.layout.tensors).subspan(shard.first, shard.end - shard.first);
  }

  Status WriteShard(const std::string& name, const Shard& shard) {
    std::vector<io::TensorSpec> specs;
    for (const SynthTensor& t : TensorsOf(shard)) specs.push_back(t.spec);
    const json::Object metadata{{"format", options_.bits == 16 ? "pt" : "mlx"}};
    MACH_TRY(auto file, io::SafetensorsWriter::Create(Path(name), specs, metadata));
    for (const SynthTensor& t : TensorsOf(shard)) MACH_RETURN_IF_ERROR(WriteTensor(t, file));
    return file.Finish();
  }

  Status WriteTensor(const SynthTensor& t, io::SafetensorsWriter& file) {
    const NoiseStream stream(options_.seed, t.stream);
    const uint64_t bytes = *io::DenseBytes(t.spec.shape, t.spec.dtype);
    for (uint64_t at = 0; at < bytes; at += kBlockBytes) {
      const auto part =
          std::span(block_).first(static_cast<size_t>(std::min<uint64_t>(kBlockBytes, bytes - at)));
      FillNoise(t.noise, stream, at, part);
      MACH_RETURN_IF_ERROR(file.Append(std::span<const std::byte>(part)));
      done_ += part.size();
      if (progress_ && !progress_(done_, plan_.summary.tensor_bytes)) {
        return Error{Code::kCancelled, "writing was cancelled"};
      }
    }
    return Ok();
  }

  const SynthOptions& options_;
  const Plan& plan_;
  const std::string directory_;
  const LoadProgress& progress_;
  std::vector<std::byte> block_;
  uint64_t done_ = 0;
};

}  // namespace

Result<SynthSummary> WriteSynthetic(const SynthOptions& options, const LoadProgress& progress) {
  MACH_TRY(const Plan plan, MakePlan(options));
  MACH_TRY(io::NewDirectory directory, io::NewDirectory::Create(options.output));
  MACH_RETURN_IF_ERROR(CheckRoom(directory, plan.summary.tensor_bytes));
  MACH_RETURN_IF_ERROR(Writer(options, plan, directory.staging(), progress).Write());
  MACH_RETURN_IF_ERROR(directory.Publish());
  return plan.summary;
}

}  // namespace mach::model
