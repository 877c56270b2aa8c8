#include "residency/source_experts.h"

#include <algorithm>

#include "io/sidecar.h"
#include "model/weights.h"
#include "ops/ffn.h"
#include "quant/tiled.h"
#include "tensor/dtype.h"

namespace mach::residency {

std::string FormatName(const quant::TiledLayout& layout) {
  if (!layout.affine()) return std::string(tensor::DTypeName(layout.type));
  return std::to_string(layout.bits) + "-bit affine, group " + std::to_string(layout.group);
}

Result<SourceExperts> FindSourceExperts(io::FileSystem& fs, const model::ModelConfig& config,
                                        const io::TensorSource& source) {
  SourceExperts made;
  MACH_TRY(made.layout, model::FindExpertLayout(config, source));
  const io::Checkpoint& checkpoint = source.checkpoint();
  experts::Catalog& catalog = made.catalog;
  catalog.checksums = false;
  catalog.slot_bytes = made.layout.record_bytes();
  catalog.layers = config.layers.size();
  for (const model::LayerConfig& layer : config.layers) {
    const auto* moe = std::get_if<ops::MoeShape>(&layer.ffn);
    if (moe != nullptr) catalog.experts = std::max(catalog.experts, moe->experts);
  }
  MACH_TRY(made.slices.fingerprint, io::FingerprintCheckpoint(fs, checkpoint));
  for (size_t i = 0; i < checkpoint.files(); ++i) {
    catalog.files.push_back(checkpoint.file(i).path());
    made.slices.file_bytes.push_back(checkpoint.file(i).size());
  }
  catalog.records.resize(catalog.keys());
  made.slices.experts.resize(catalog.keys());
  for (uint32_t i = 0; i < catalog.layers; ++i) {
    const auto* moe = std::get_if<ops::MoeShape>(&config.layers[i].ffn);
    if (moe == nullptr) continue;
    for (uint32_t e = 0; e < moe->experts; ++e) {
      MACH_TRY(const io::ExpertSource expert,
               source.Expert("layers." + std::to_string(i) + ".mlp", ExpertId(e), moe->experts,
                             moe->hidden, moe->width));
      const experts::ExpertKey key = catalog.Key(LayerId(i), ExpertId(e));
      catalog.records[key] = {.file = expert.gate.weight.file,
                              .offset = uint64_t{key} * catalog.slot_bytes,
                              .bytes = catalog.slot_bytes};
      size_t slice = 0;
      for (const io::MatrixSource* part : {&expert.gate, &expert.up, &expert.down}) {
        for (const io::Slice* of : {&part->weight, &part->scales, &part->biases}) {
          made.slices.experts[key][slice++] = *of;
        }
      }
    }
  }
  return made;
}

Status CheckFullPrecision(const ops::ExpertLayout& layout) {
  for (const auto* part : {&layout.gate, &layout.up, &layout.down}) {
    if (!part->affine()) continue;
    return Error{Code::kUnsupported,
                 "the experts are " + FormatName(*part) +
                     ", but --bf16-streaming reads BF16, F16 or F32 experts from the checkpoint's "
                     "own tensors; leave it out, and stream from a sidecar"};
  }
  return Ok();
}

Status CheckUnchanged(io::FileSystem& fs, const std::string& directory,
                      const std::string& fingerprint) {
  MACH_TRY(const auto now, io::Checkpoint::Open(fs, directory));
  MACH_TRY(const std::string found, io::FingerprintCheckpoint(fs, *now));
  if (found == fingerprint) return Ok();
  return Error{Code::kCorrupt, "its fingerprint is " + found + ", expected " + fingerprint +
                                   ": the checkpoint was changed while it was opened; start again "
                                   "when it is complete"};
}

}  // namespace mach::residency
