// Expert sidecars of a model: what one must be, and where it leads the bank.
#pragma once

#include <string>

#include "experts/catalog.h"
#include "io/sidecar.h"
#include "model/config.h"
#include "model/weights.h"
#include "ops/ffn.h"

namespace mach::residency {

// What a sidecar of this model with experts of `layout` says of itself.
io::SidecarManifest MakeManifest(const model::ModelConfig& config, const ops::ExpertLayout& layout,
                                 const std::string& fingerprint, const std::string& tool);

// Checks a sidecar against the checkpoint that it shall serve: source, geometry, layer by layer.
// Its weight format may differ from the checkpoint's. kCorrupt names the field, what was found and
// expected, and the command that mends it.
Status CheckSidecar(const io::Sidecar& sidecar, const model::ModelConfig& config,
                    const std::string& fingerprint, const std::string& checkpoint);

// The layout of a sidecar's records. REQUIRES: CheckSidecar.
Result<ops::ExpertLayout> LayoutOf(const io::SidecarManifest& manifest);

// REQUIRES: CheckSidecar.
experts::Catalog CatalogOf(const io::Sidecar& sidecar);

// Opens and checks the sidecar of a checkpoint. directory: empty for the checkpoint's own.
Result<io::Sidecar> OpenSidecar(io::FileSystem& fs, const io::Checkpoint& checkpoint,
                                const model::ModelConfig& config, const std::string& directory);

// "mach export-sidecar CHECKPOINT", for messages, with --output where the sidecar's directory is
// not the checkpoint's own. An empty one is.
std::string ExportCommand(const std::string& checkpoint, const std::string& directory);

}  // namespace mach::residency
