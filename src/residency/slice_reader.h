// Reads experts from the tensors of a checkpoint as if each were a record of a sidecar: in any
// format that a sidecar can hold.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/aligned_memory.h"
#include "base/memory_ledger.h"
#include "base/thread_pool.h"
#include "io/async_reader.h"
#include "io/checkpoint.h"
#include "ops/ffn.h"

namespace mach::residency {

// Where gate, up and down of one expert lie, in this order: of each the weights, its scales and its
// biases. A dense matrix is row-major and has the first alone; the other two are empty.
inline constexpr size_t kSlicesOfMatrix = 3;
using ExpertSlices = std::array<io::Slice, 3 * kSlicesOfMatrix>;

// The experts of a checkpoint, by experts::ExpertKey; those that do not exist have empty slices.
struct SourceSlices {
  std::vector<ExpertSlices> experts;
  // Of the checkpoint when its headers were checked: sizes of its files, io::FingerprintCheckpoint.
  std::vector<uint64_t> file_bytes;
  std::string fingerprint;
};

// Slices begin anywhere, direct reads at multiples of io::kDirectAlignment: what is read is the
// aligned spans that cover an expert's slices, those that touch as one.
struct SliceCover {
  struct Span {
    uint32_t file = 0;
    uint64_t begin = 0;     // aligned, as is the size
    uint64_t size = 0;      // of the span
    uint64_t required = 0;  // up to the end of the last slice in it
  };
  std::array<Span, std::tuple_size_v<ExpertSlices>> spans;
  size_t count = 0;
  size_t bytes = 0;  // of all spans, which follow each other in memory
  std::array<size_t, std::tuple_size_v<ExpertSlices>> at = {};  // where in it each slice begins
};
SliceCover CoverOf(const ExpertSlices& slices);

// The read of record (key * stride, layout.record_bytes()) of any file brings the slices of expert
// `key` into staging, packs them into tiles like a loader would, and completes then. Everything
// above it (bank, retries, guesses, counters) is as with a sidecar; completions count the bytes of
// the record, not those that alignment reads besides. Files are the checkpoint's, in its order.
class SliceReader final : public io::AsyncReader {
 public:
  struct Options {
    ops::ExpertLayout layout;
    size_t stride = 0;
    size_t records = 0;  // in flight at most
  };
  // Requests of the system's reader for one record, at most. Its depth should hold as many of each:
  // what it does not take waits.
  static size_t ReadsPerRecord(const SourceSlices& slices);

  // What Create reserves as `staging`.
  static size_t StagingBytes(const SourceSlices& slices, size_t records);

  // The pool packs, from the thread that uses the reader. Ledger and pool outlive it.
  static Result<std::unique_ptr<SliceReader>> Create(std::unique_ptr<io::AsyncReader> base,
                                                     std::shared_ptr<const SourceSlices> slices,
                                                     const Options& options, MemoryLedger& ledger,
                                                     ThreadPool& pool);

  io::ReadMode mode() const override { return base_->mode(); }
  size_t depth() const override { return slots_.size(); }
  size_t in_flight() const override { return in_flight_; }
  // kCorrupt when the file's size is not what it was when the checkpoint was opened.
  Result<uint32_t> AddFile(const std::string& path) override;
  uint64_t FileBytes(uint32_t file) const override;  // of the records
  // The system reads into staging alone.
  size_t RegisterBuffers(std::span<const std::span<std::byte>> buffers) override;
  Result<size_t> Submit(std::span<const io::ReadRequest> requests) override;
  size_t Poll(std::vector<io::ReadCompletion>& out) override;
  size_t Wait(std::vector<io::ReadCompletion>& out) override;

 private:
  struct Slot {
    io::ReadRequest request;
    SliceCover cover;
    size_t left = 0;  // reads under way or queued
    std::optional<Error> error;
  };
  SliceReader(std::unique_ptr<io::AsyncReader> base, std::shared_ptr<const SourceSlices> slices,
              const Options& options, size_t slot_bytes, ThreadPool& pool);
  void Flush();
  void FailQueued(const Error& error);
  void Collect();
  void Finish(uint32_t slot, std::optional<Error> error);
  void Pack();

  const std::shared_ptr<const SourceSlices> slices_;
  const Options options_;
  const size_t slot_bytes_;
  ThreadPool& pool_;
  MemoryReservation reservation_;
  AlignedBuffer staging_;
  std::unique_ptr<io::AsyncReader> base_;  // destroyed before the memory that it reads into

  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
  std::vector<uint32_t> done_;           // all their reads have ended
  std::vector<io::ReadRequest> queued_;  // that the system has not taken
  std::vector<io::ReadCompletion> landed_;
  size_t in_flight_ = 0;
};

}  // namespace mach::residency
