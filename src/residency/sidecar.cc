#include "residency/sidecar.h"

#include <algorithm>

#include "base/shell_words.h"
#include "ops/ffn.h"
#include "quant/tiled.h"

namespace mach::residency {
namespace {

size_t MostExperts(const model::ModelConfig& config) {
  size_t most = 0;
  for (const model::LayerConfig& layer : config.layers) {
    if (const auto* moe = std::get_if<ops::MoeShape>(&layer.ffn)) {
      most = std::max(most, moe->experts);
    }
  }
  return most;
}

const ops::MoeShape* FirstMoe(const model::ModelConfig& config) {
  for (const model::LayerConfig& layer : config.layers) {
    if (const auto* moe = std::get_if<ops::MoeShape>(&layer.ffn)) return moe;
  }
  return nullptr;
}

io::SidecarMatrix MatrixOf(const quant::TiledLayout& layout) {
  return {layout.type, layout.bits, layout.group};
}

std::string OwnSidecar(const std::string& checkpoint) {
  return checkpoint + "/" + std::string(io::kSidecarDirectory);
}

quant::TiledLayout LayoutOf(const io::SidecarMatrix& matrix, size_t rows, size_t cols) {
  return {rows, cols, matrix.type, matrix.bits, matrix.group};
}

}  // namespace

std::string ExportCommand(const std::string& checkpoint, const std::string& directory) {
  const std::string command = "mach export-sidecar " + ShellQuoted(checkpoint);
  const bool own = directory.empty() || directory == OwnSidecar(checkpoint);
  return own ? command : command + " --output " + ShellQuoted(directory);
}

io::SidecarManifest MakeManifest(const model::ModelConfig& config, const ops::ExpertLayout& layout,
                                 const std::string& fingerprint, const std::string& tool) {
  io::SidecarManifest m;
  m.architecture = config.architecture;
  m.layers = config.layers.size();
  m.experts = MostExperts(config);
  m.hidden = config.hidden;
  m.width = layout.gate.rows;
  m.weights = {MatrixOf(layout.gate), MatrixOf(layout.up), MatrixOf(layout.down)};
  m.tile_layout = quant::kTileLayoutName;
  m.record_bytes = layout.record_bytes();
  m.record_stride = RoundUp(m.record_bytes, io::kSidecarAlignment);
  m.fingerprint = fingerprint;
  m.tool = tool;
  return m;
}

Status CheckSidecar(const io::Sidecar& sidecar, const model::ModelConfig& config,
                    const std::string& fingerprint, const std::string& checkpoint) {
  const io::SidecarManifest& m = sidecar.manifest();
  const auto differs = [&](std::string_view field, const std::string& found,
                           const std::string& expected) {
    return Error{Code::kCorrupt, "'" + sidecar.directory() + "/manifest.json': " +
                                     std::string(field) + " is " + found + ", the checkpoint has " +
                                     expected + "; write the sidecar again with '" +
                                     ExportCommand(checkpoint, sidecar.directory()) + "'"};
  };
  const auto number = [&](std::string_view field, uint64_t found, uint64_t expected) -> Status {
    if (found == expected) return Ok();
    return differs(field, std::to_string(found), std::to_string(expected));
  };
  if (m.tile_layout != quant::kTileLayoutName) {
    return differs("tile_layout", "'" + m.tile_layout + "'",
                   "'" + std::string(quant::kTileLayoutName) + "' in this version of mach");
  }
  if (m.architecture != config.architecture) {
    return differs("architecture", "'" + m.architecture + "'", "'" + config.architecture + "'");
  }
  MACH_RETURN_IF_ERROR(number("layers", m.layers, config.layers.size()));
  MACH_RETURN_IF_ERROR(number("experts", m.experts, MostExperts(config)));
  MACH_RETURN_IF_ERROR(number("hidden_size", m.hidden, config.hidden));
  const ops::MoeShape* moe = FirstMoe(config);
  MACH_RETURN_IF_ERROR(number("intermediate_size", m.width, moe == nullptr ? 0 : moe->width));
  if (m.fingerprint != fingerprint) {
    return differs("source_fingerprint", m.fingerprint,
                   fingerprint + " (it was changed since the export, or is another one)");
  }
  auto layout = LayoutOf(m);
  if (!layout) return std::move(layout).error().In(sidecar.directory() + "/manifest.json");
  MACH_RETURN_IF_ERROR(number("record_bytes", m.record_bytes, layout->record_bytes()));
  for (size_t layer = 0; layer < config.layers.size(); ++layer) {
    const auto* shape = std::get_if<ops::MoeShape>(&config.layers[layer].ffn);
    const size_t experts = shape == nullptr ? 0 : shape->experts;
    for (size_t e = 0; e < m.experts; ++e) {
      const bool there =
          sidecar.Record(LayerId(static_cast<uint32_t>(layer)), ExpertId(static_cast<uint32_t>(e)))
              .bytes != 0;
      if (there != (e < experts)) {
        return differs("layer " + std::to_string(layer) + " expert " + std::to_string(e),
                       there ? "there" : "missing", std::to_string(experts) + " experts");
      }
    }
  }
  return Ok();
}

Result<ops::ExpertLayout> LayoutOf(const io::SidecarManifest& m) {
  const ops::ExpertLayout layout{LayoutOf(m.weights[0], m.width, m.hidden),
                                 LayoutOf(m.weights[1], m.width, m.hidden),
                                 LayoutOf(m.weights[2], m.hidden, m.width)};
  for (const quant::TiledLayout* part : {&layout.gate, &layout.up, &layout.down}) {
    MACH_RETURN_IF_ERROR(quant::ValidateLayout(*part));
  }
  return layout;
}

experts::Catalog CatalogOf(const io::Sidecar& sidecar) {
  const io::SidecarManifest& m = sidecar.manifest();
  experts::Catalog catalog;
  catalog.slot_bytes = m.record_stride;
  catalog.layers = m.layers;
  catalog.experts = m.experts;
  catalog.records.resize(m.layers * m.experts);
  for (uint32_t layer = 0; layer < m.layers; ++layer) {
    if (sidecar.LayerBytes(layer) == 0) continue;
    const auto file = static_cast<uint32_t>(catalog.files.size());
    catalog.files.push_back(sidecar.LayerPath(layer));
    for (uint32_t e = 0; e < m.experts; ++e) {
      const io::SidecarRecord r = sidecar.Record(LayerId(layer), ExpertId(e));
      catalog.records[layer * m.experts + e] = {file, r.offset, r.bytes, r.xxh3};
    }
  }
  return catalog;
}

Result<io::Sidecar> OpenSidecar(io::FileSystem& fs, const io::Checkpoint& checkpoint,
                                const model::ModelConfig& config, const std::string& directory) {
  const std::string where = !directory.empty() ? directory : OwnSidecar(checkpoint.directory());
  auto sidecar = io::Sidecar::Open(fs, where);
  if (!sidecar) {
    Error error = std::move(sidecar).error();
    error.message += "; write it with '" + ExportCommand(checkpoint.directory(), where) + "'";
    return error;
  }
  MACH_TRY(const std::string fingerprint, io::FingerprintCheckpoint(fs, checkpoint));
  MACH_RETURN_IF_ERROR(CheckSidecar(*sidecar, config, fingerprint, checkpoint.directory()));
  return sidecar;
}

}  // namespace mach::residency
