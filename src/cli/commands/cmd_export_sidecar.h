// `mach export-sidecar`: writes the experts of a checkpoint as the bank reads them.
#pragma once

#include "cli/options/options.h"

namespace mach::cli {

int RunExportSidecar(const ExportSidecarOptions& options);

}  // namespace mach::cli
