#include "residency/slice_reader.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"
#include "base/units.h"
#include "quant/tiled.h"
#include "tensor/dtype.h"

namespace mach::residency {
namespace {

// Tiles that one thread packs at a time: some tens of microseconds of work.
constexpr size_t kBandTiles = 4;

constexpr uint64_t RoundDown(uint64_t n, uint64_t multiple) { return n / multiple * multiple; }

size_t Bands(const quant::TiledLayout& layout) {
  return (layout.tiles() + kBandTiles - 1) / kBandTiles;
}

// from: weights, scales and biases of the whole matrix.
void PackBand(const quant::TiledLayout& layout, size_t band,
              const std::array<const std::byte*, kSlicesOfMatrix>& from, std::byte* out) {
  const size_t first = band * kBandTiles * quant::kTileRows;
  quant::TiledLayout part = layout;
  part.rows = std::min(kBandTiles * quant::kTileRows, layout.rows - first);
  out += band * kBandTiles * layout.tile_bytes();
  const size_t element = tensor::DTypeBytes(layout.type);
  if (!layout.affine()) {
    quant::PackDense(part, from[0] + first * layout.cols * element, out);
    return;
  }
  const size_t row_codes = layout.cols * static_cast<size_t>(layout.bits) / 8;
  const size_t row_groups = layout.groups() * element;
  quant::PackAffine({.rows = part.rows,
                     .cols = layout.cols,
                     .bits = layout.bits,
                     .group = layout.group,
                     .scale_type = layout.type,
                     .packed = from[0] + first * row_codes,
                     .scales = from[1] + first * row_groups,
                     .biases = from[2] + first * row_groups},
                    out);
}

}  // namespace

SliceCover CoverOf(const ExpertSlices& slices) {
  std::array<size_t, std::tuple_size_v<ExpertSlices>> order;
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, {},
                    [&](size_t i) { return std::pair(slices[i].file, slices[i].offset); });
  SliceCover cover;
  for (const size_t i : order) {
    const io::Slice& slice = slices[i];
    if (slice.bytes == 0) continue;
    const uint64_t begin = RoundDown(slice.offset, io::kDirectAlignment);
    const uint64_t end = RoundUp(slice.offset + slice.bytes, io::kDirectAlignment);
    const SliceCover::Span* last = cover.count == 0 ? nullptr : &cover.spans[cover.count - 1];
    if (last == nullptr || last->file != slice.file || begin > last->begin + last->size) {
      cover.spans[cover.count++] = {.file = slice.file, .begin = begin};
    }
    SliceCover::Span& span = cover.spans[cover.count - 1];
    cover.at[i] = cover.bytes - span.size + (slice.offset - span.begin);
    span.required = std::max(span.required, slice.offset + slice.bytes - span.begin);
    const uint64_t size = std::max(span.size, end - span.begin);
    cover.bytes += size - span.size;
    span.size = size;
  }
  return cover;
}

size_t SliceReader::ReadsPerRecord(const SourceSlices& slices) {
  size_t most = 1;
  for (const ExpertSlices& expert : slices.experts) most = std::max(most, CoverOf(expert).count);
  return most;
}

size_t SliceReader::StagingBytes(const SourceSlices& slices, size_t records) {
  size_t most = 0;
  for (const ExpertSlices& expert : slices.experts) most = std::max(most, CoverOf(expert).bytes);
  return records * most;
}

Result<std::unique_ptr<SliceReader>> SliceReader::Create(std::unique_ptr<io::AsyncReader> base,
                                                         std::shared_ptr<const SourceSlices> slices,
                                                         const Options& options,
                                                         MemoryLedger& ledger, ThreadPool& pool) {
  const size_t bytes = StagingBytes(*slices, options.records);
  std::unique_ptr<SliceReader> made(
      new SliceReader(std::move(base), std::move(slices), options, bytes / options.records, pool));
  MACH_TRY(made->reservation_, ledger.Reserve(MemoryTag::kStaging, bytes));
  MACH_TRY(made->staging_, AlignedBuffer::Allocate(bytes));
  return made;
}

SliceReader::SliceReader(std::unique_ptr<io::AsyncReader> base,
                         std::shared_ptr<const SourceSlices> slices, const Options& options,
                         size_t slot_bytes, ThreadPool& pool)
    : slices_(std::move(slices)),
      options_(options),
      slot_bytes_(slot_bytes),
      pool_(pool),
      base_(std::move(base)),
      slots_(options.records) {
  for (size_t i = slots_.size(); i > 0; --i) free_.push_back(static_cast<uint32_t>(i - 1));
  done_.reserve(slots_.size());
  const size_t reads = slots_.size() * std::tuple_size_v<ExpertSlices>;
  queued_.reserve(reads);
  landed_.reserve(reads);
}

Result<uint32_t> SliceReader::AddFile(const std::string& path) {
  MACH_TRY(const uint32_t file, base_->AddFile(path));
  MACH_CHECK(file < slices_->file_bytes.size());
  const uint64_t found = base_->FileBytes(file);
  const uint64_t expected = slices_->file_bytes[file];
  if (found == expected) return file;
  return Error{Code::kCorrupt, "'" + path + "' has " + SizesText(found, expected) +
                                   " as when its header was read: it was changed meanwhile; start "
                                   "again when it is complete"};
}

uint64_t SliceReader::FileBytes(uint32_t) const {
  return slices_->experts.size() * options_.stride;
}

size_t SliceReader::RegisterBuffers(std::span<const std::span<std::byte>>) {
  const std::span<std::byte> staging = staging_.bytes();
  base_->RegisterBuffers(std::span(&staging, 1));
  return 0;
}

Result<size_t> SliceReader::Submit(std::span<const io::ReadRequest> requests) {
  const size_t taken = std::min(requests.size(), free_.size());
  for (const io::ReadRequest& request : requests.first(taken)) {
    const uint64_t key = request.offset / options_.stride;
    MACH_CHECK(request.offset % options_.stride == 0 && key < slices_->experts.size() &&
               request.destination.size() >= options_.layout.record_bytes());
    const uint32_t slot = free_.back();
    free_.pop_back();
    Slot& s = slots_[slot];
    s = {.request = request, .cover = CoverOf(slices_->experts[key])};
    s.left = s.cover.count;
    std::span<std::byte> memory = staging_.bytes().subspan(slot * slot_bytes_, slot_bytes_);
    for (const SliceCover::Span& span : std::span(s.cover.spans).first(s.cover.count)) {
      queued_.push_back({.file = span.file,
                         .offset = span.begin,
                         .destination = memory.first(span.size),
                         .required = span.required,
                         .tag = slot});
      memory = memory.subspan(span.size);
    }
  }
  in_flight_ += taken;
  Flush();
  return taken;
}

void SliceReader::Flush() {
  while (!queued_.empty()) {
    const auto taken = base_->Submit(queued_);
    if (!taken) return FailQueued(taken.error());
    if (*taken == 0) {
      if (base_->in_flight() == 0) FailQueued({Code::kIo, "the reader takes no requests"});
      return;
    }
    queued_.erase(queued_.begin(), queued_.begin() + static_cast<std::ptrdiff_t>(*taken));
  }
}

void SliceReader::FailQueued(const Error& error) {
  for (const io::ReadRequest& request : queued_) {
    Finish(static_cast<uint32_t>(request.tag), error);
  }
  queued_.clear();
}

// One read of a record has ended.
void SliceReader::Finish(uint32_t slot, std::optional<Error> error) {
  Slot& s = slots_[slot];
  if (error && !s.error) s.error = std::move(error);
  if (--s.left == 0) done_.push_back(slot);
}

void SliceReader::Collect() {
  for (io::ReadCompletion& completion : landed_) {
    std::optional<Error> error;
    if (!completion.bytes) error = std::move(completion.bytes).error();
    Finish(static_cast<uint32_t>(completion.tag), std::move(error));
  }
  landed_.clear();
}

void SliceReader::Pack() {
  const std::array<const quant::TiledLayout*, 3> parts = {
      &options_.layout.gate, &options_.layout.up, &options_.layout.down};
  const std::array<size_t, 3> to = {0, options_.layout.up_offset(), options_.layout.down_offset()};
  size_t bands = 0;
  for (const quant::TiledLayout* part : parts) bands += Bands(*part);
  pool_.ParallelFor(done_.size() * bands, 1, [&](size_t begin, size_t end, size_t) {
    for (size_t i = begin; i < end; ++i) {
      const Slot& s = slots_[done_[i / bands]];
      if (s.error) continue;
      size_t part = 0;
      size_t band = i % bands;
      for (; band >= Bands(*parts[part]); ++part) band -= Bands(*parts[part]);
      const std::byte* slot = staging_.data() + done_[i / bands] * slot_bytes_;
      std::array<const std::byte*, kSlicesOfMatrix> from;
      for (size_t k = 0; k < from.size(); ++k) {
        from[k] = slot + s.cover.at[part * kSlicesOfMatrix + k];
      }
      PackBand(*parts[part], band, from, s.request.destination.data() + to[part]);
    }
  });
}

size_t SliceReader::Poll(std::vector<io::ReadCompletion>& out) {
  Flush();
  base_->Poll(landed_);
  Collect();
  Flush();
  if (done_.empty()) return 0;
  Pack();
  const size_t n = done_.size();
  for (const uint32_t slot : done_) {
    Slot& s = slots_[slot];
    io::ReadCompletion completion{s.request.tag, options_.layout.record_bytes()};
    if (s.error) completion.bytes = *std::move(s.error);
    out.push_back(std::move(completion));
    free_.push_back(slot);
  }
  done_.clear();
  in_flight_ -= n;
  return n;
}

size_t SliceReader::Wait(std::vector<io::ReadCompletion>& out) {
  while (in_flight_ > 0) {
    if (const size_t n = Poll(out); n > 0) return n;
    base_->Wait(landed_);
    Collect();
  }
  return 0;
}

}  // namespace mach::residency
