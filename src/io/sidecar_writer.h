// Writes an expert sidecar, layer by layer, and takes up again what an earlier attempt had
// finished.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "io/output_directory.h"
#include "io/sidecar.h"

namespace mach::io {

// Beside each finished layer file lies "layer-NNN.part", the layer's entries with a checksum, and
// in "partial.json" the manifest that they belong to. Publish removes both kinds.
//
// Used by one thread. After an error only destruction is allowed.
class SidecarWriter {
 public:
  // fs reads back what `directory` writes. Both must outlive the writer. Layers of an earlier
  // attempt stay when its manifest was the same and their checksums hold (they are read).
  // kInvalidArgument when the directory that would be replaced holds anything but a sidecar.
  // check: called while they are read, with bytes; false stops with kCancelled.
  using Check = std::function<bool(uint64_t done, uint64_t total)>;
  static Result<std::unique_ptr<SidecarWriter>> Open(FileSystem& fs, OutputDirectory& directory,
                                                     const SidecarManifest& manifest,
                                                     const Check& check = {});

  bool IsFinished(uint64_t layer) const { return finished_[layer]; }
  const SidecarManifest& manifest() const { return manifest_; }

  // Layers that are not finished, in any order: Begin, Append the experts from 0 on, End. Layers
  // without experts need none of it. record: manifest.record_bytes.
  Status BeginLayer(uint64_t layer);
  Status Append(std::span<const std::byte> record);
  // Commits the file, reads it back and compares every checksum.
  Status EndLayer();

  // Writes index and manifest and gives the directory its name. Checks the result by opening it.
  Status Publish();

 private:
  SidecarWriter(FileSystem& fs, OutputDirectory& directory, const SidecarManifest& manifest);
  // Whether the layer is finished.
  Result<bool> TakeUp(uint64_t layer, const std::function<bool(uint64_t bytes)>& go_on);
  Status VerifyLayer(uint64_t layer, std::span<const SidecarRecord> entries,
                     const std::function<bool(uint64_t bytes)>& go_on = {});
  Status WriteSmall(const std::string& name, std::string_view content);
  std::string LayerPath(uint64_t layer) const;

  FileSystem& fs_;
  OutputDirectory& directory_;
  const SidecarManifest manifest_;
  std::vector<SidecarRecord> records_;  // [layers, experts]
  std::vector<bool> finished_;
  std::vector<std::byte> buffer_;  // one record

  std::unique_ptr<OutputFile> file_;  // of the layer begun
  uint64_t layer_ = 0;
  uint64_t appended_ = 0;
};

}  // namespace mach::io
