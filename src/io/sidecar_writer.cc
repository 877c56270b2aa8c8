#include "io/sidecar_writer.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "io/xxh3.h"
#include "json/write.h"

namespace mach::io {
namespace {

constexpr const char* kPartialManifest = "partial.json";

// "layer-007.part": an index of one layer.
std::string PartName(uint64_t layer) {
  std::string name = SidecarLayerName(layer);
  return name.replace(name.rfind('.'), std::string::npos, ".part");
}

SidecarManifest OneLayer(SidecarManifest manifest) {
  manifest.layers = 1;
  return manifest;
}

bool IsSidecarFile(std::string_view name) {
  constexpr std::string_view kLayer = "layer-";
  constexpr std::string_view kBin = ".bin";
  if (name == "manifest.json" || name == "index.bin") return true;
  if (!name.starts_with(kLayer) || !name.ends_with(kBin)) return false;
  name.remove_prefix(kLayer.size());
  name.remove_suffix(kBin.size());
  return !name.empty() && name.find_first_not_of("0123456789") == std::string_view::npos;
}

// Publishing removes what had the name, so that it may hold nothing but a sidecar.
Status CheckReplaceable(FileSystem& fs, const std::string& path) {
  const auto names = fs.List(path);
  if (!names) return fs.Exists(path) ? Status(names.error()) : Ok();
  for (const std::string& name : *names) {
    if (IsSidecarFile(name)) continue;
    return Error{Code::kInvalidArgument,
                 "'" + path + "' holds '" + name +
                     "', which is no part of a sidecar; writing there would remove it, so name a "
                     "directory that is new or holds a sidecar alone"};
  }
  return Ok();
}

std::string ManifestText(const SidecarManifest& manifest) {
  return json::Write(manifest.ToJson(), {.indent = 2, .key_separator = ": "}) + "\n";
}

}  // namespace

SidecarWriter::SidecarWriter(FileSystem& fs, OutputDirectory& directory,
                             const SidecarManifest& manifest)
    : fs_(fs),
      directory_(directory),
      manifest_(manifest),
      records_(manifest.layers * manifest.experts),
      finished_(manifest.layers),
      buffer_(manifest.record_stride) {}

Result<std::unique_ptr<SidecarWriter>> SidecarWriter::Open(FileSystem& fs,
                                                           OutputDirectory& directory,
                                                           const SidecarManifest& manifest,
                                                           const Check& check) {
  MACH_RETURN_IF_ERROR(CheckReplaceable(fs, directory.path()));
  std::unique_ptr<SidecarWriter> writer(new SidecarWriter(fs, directory, manifest));
  const auto before =
      ReadSmallFile(fs, directory.staging() + "/" + kPartialManifest, kMaxManifestBytes);
  const bool same = before && *before == ManifestText(manifest);
  uint64_t done = 0;
  uint64_t total = 0;
  for (uint64_t layer = 0; same && layer < manifest.layers; ++layer) {
    if (fs.Exists(directory.staging() + "/" + PartName(layer))) {
      total += manifest.experts * manifest.record_bytes;
    }
  }
  const auto go_on = [&](uint64_t bytes) {
    done += bytes;
    return !check || check(std::min(done, total), total);
  };
  for (uint64_t layer = 0; layer < manifest.layers; ++layer) {
    if (same) {
      MACH_TRY(const bool finished, writer->TakeUp(layer, go_on));
      if (finished) continue;
    }
    MACH_RETURN_IF_ERROR(directory.Remove(PartName(layer)));
    MACH_RETURN_IF_ERROR(directory.Remove(SidecarLayerName(layer)));
  }
  if (!same) MACH_RETURN_IF_ERROR(writer->WriteSmall(kPartialManifest, ManifestText(manifest)));
  return writer;
}

std::string SidecarWriter::LayerPath(uint64_t layer) const {
  return directory_.staging() + "/" + SidecarLayerName(layer);
}

Result<bool> SidecarWriter::TakeUp(uint64_t layer,
                                   const std::function<bool(uint64_t bytes)>& go_on) {
  const std::string path = directory_.staging() + "/" + PartName(layer);
  if (!fs_.Exists(path)) return false;
  const SidecarManifest one = OneLayer(manifest_);
  const auto text = ReadSmallFile(fs_, path, kMaxManifestBytes + manifest_.experts * 24);
  if (!text) return false;
  const auto entries =
      DecodeSidecarIndex(std::as_bytes(std::span(*text)), one, Xxh3(ManifestText(manifest_)));
  if (!entries) return false;
  if (const Status whole = VerifyLayer(layer, *entries, go_on); !whole) {
    if (whole.error().code == Code::kCancelled) return whole.error();
    return false;
  }
  std::copy(entries->begin(), entries->end(),
            records_.begin() + static_cast<ptrdiff_t>(layer * manifest_.experts));
  finished_[layer] = true;
  return true;
}

Status SidecarWriter::BeginLayer(uint64_t layer) {
  MACH_CHECK(file_ == nullptr && layer < manifest_.layers && !finished_[layer]);
  MACH_TRY(file_, directory_.Create(SidecarLayerName(layer)));
  layer_ = layer;
  appended_ = 0;
  return Ok();
}

Status SidecarWriter::Append(std::span<const std::byte> record) {
  MACH_CHECK(file_ != nullptr && appended_ < manifest_.experts);
  MACH_CHECK(record.size() == manifest_.record_bytes);
  records_[layer_ * manifest_.experts + appended_] = {appended_ * manifest_.record_stride,
                                                      record.size(), Xxh3(record)};
  ++appended_;
  std::copy(record.begin(), record.end(), buffer_.begin());
  return file_->Write(buffer_);
}

Status SidecarWriter::EndLayer() {
  MACH_CHECK(file_ != nullptr);
  MACH_RETURN_IF_ERROR(file_->Commit());
  file_.reset();
  const std::span<const SidecarRecord> entries(records_.data() + layer_ * manifest_.experts,
                                               manifest_.experts);
  MACH_RETURN_IF_ERROR(VerifyLayer(layer_, entries));
  MACH_RETURN_IF_ERROR(
      WriteSmall(PartName(layer_),
                 EncodeSidecarIndex(1, manifest_.experts, Xxh3(ManifestText(manifest_)), entries)));
  finished_[layer_] = true;
  return Ok();
}

Status SidecarWriter::VerifyLayer(uint64_t layer, std::span<const SidecarRecord> entries,
                                  const std::function<bool(uint64_t bytes)>& go_on) {
  MACH_TRY(const auto file, fs_.Open(LayerPath(layer)));
  for (uint64_t e = 0; e < entries.size(); ++e) {
    if (entries[e].bytes == 0) continue;
    const std::span<std::byte> record(buffer_.data(), entries[e].bytes);
    MACH_RETURN_IF_ERROR(ReadExactly(*file, entries[e].offset, record));
    if (Xxh3(record) != entries[e].xxh3) {
      return Error{Code::kCorrupt, "'" + file->path() + "' expert " + std::to_string(e) +
                                       " does not read back as it was written; the disk or the "
                                       "memory is faulty"};
    }
    if (go_on && !go_on(record.size())) {
      return Error{Code::kCancelled,
                   "the export was interrupted; the same command goes on with it"};
    }
  }
  return Ok();
}

Status SidecarWriter::WriteSmall(const std::string& name, std::string_view content) {
  MACH_TRY(const auto file, directory_.Create(name));
  MACH_RETURN_IF_ERROR(file->Write(std::as_bytes(std::span(content))));
  return file->Commit();
}

Status SidecarWriter::Publish() {
  const std::string manifest = ManifestText(manifest_);
  MACH_RETURN_IF_ERROR(WriteSmall(
      "index.bin",
      EncodeSidecarIndex(manifest_.layers, manifest_.experts, Xxh3(manifest), records_)));
  MACH_RETURN_IF_ERROR(WriteSmall("manifest.json", manifest));
  MACH_TRY(const Sidecar whole, Sidecar::Open(fs_, directory_.staging()));
  MACH_CHECK(whole.manifest().record_bytes == manifest_.record_bytes);
  for (uint64_t layer = 0; layer < manifest_.layers; ++layer) {
    MACH_RETURN_IF_ERROR(directory_.Remove(PartName(layer)));
  }
  MACH_RETURN_IF_ERROR(directory_.Remove(kPartialManifest));
  MACH_RETURN_IF_ERROR(CheckReplaceable(fs_, directory_.path()));  // hours may have passed
  return directory_.Publish();
}

}  // namespace mach::io
