#include "experts/record_reader.h"

#include <cstdio>

#include "base/aligned_memory.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/units.h"
#include "io/xxh3.h"

namespace mach::experts {
namespace {

// Bytes to verify (some tens of microseconds) that are worth waking other threads for.
constexpr size_t kLeastForThreads = size_t{1} << 20;

}  // namespace

Result<std::unique_ptr<RecordReader>> RecordReader::Create(const Catalog& catalog,
                                                           std::unique_ptr<io::AsyncReader> reader,
                                                           std::span<std::byte> memory,
                                                           SlotTable& slots, BankCounters& counters,
                                                           ThreadPool* pool) {
  for (uint32_t i = 0; i < catalog.files.size(); ++i) {
    MACH_TRY(const uint32_t number, reader->AddFile(catalog.files[i]));
    MACH_CHECK(number == i);
  }
  for (ExpertKey key = 0; key < catalog.keys(); ++key) {
    const ExpertRecord& r = catalog.records[key];
    if (r.bytes == 0) continue;
    const uint64_t size = reader->FileBytes(r.file);
    if (r.offset > size || r.bytes > size - r.offset) {
      return Error{Code::kCorrupt,
                   catalog.Describe(key) + ": the file has " + BytesText(size) + ", expected " +
                       BytesText(r.bytes) + " at offset " + std::to_string(r.offset) +
                       "; it was cut off, write it again with 'mach export-sidecar'"};
    }
  }
  reader->RegisterBuffers(std::span(&memory, 1));
  std::unique_ptr<RecordReader> made(
      new RecordReader(catalog, std::move(reader), memory, slots, counters, pool));
  made->queued_.reserve(slots.size());
  made->completions_.reserve(slots.size());
  return made;
}

void RecordReader::Start(uint32_t slot) {
  ++in_flight_;
  Queue(slot);
}

void RecordReader::Queue(uint32_t slot) {
  const ExpertRecord& r = Record(slot);
  queued_.push_back({.file = r.file,
                     .offset = r.offset,
                     .destination = Memory(slot, RoundUp(r.bytes, io::kDirectAlignment)),
                     .required = r.bytes,
                     .tag = slot});
}

void RecordReader::Flush() {
  while (!queued_.empty() && reader_->in_flight() < reader_->depth()) {
    const auto taken = reader_->Submit(queued_);
    if (!taken) {
      FailQueued(taken.error(), failed_);
      return;
    }
    if (*taken == 0) {
      if (reader_->in_flight() == 0) {
        FailQueued({Code::kIo, "the reader takes no requests"}, failed_);
      }
      return;
    }
    counters_.reads.Add(*taken);
    queued_.erase(queued_.begin(), queued_.begin() + static_cast<std::ptrdiff_t>(*taken));
  }
}

void RecordReader::FailQueued(const Error& error, std::vector<LandedRecord>& out) {
  for (const io::ReadRequest& request : queued_) {
    const auto slot = static_cast<uint32_t>(request.tag);
    counters_.read_failures.Add();
    const Error failure = Error(error)
                              .In("offset " + std::to_string(request.offset))
                              .In(catalog_.Describe(slots_[slot].key));
    Report(failure, false);
    out.push_back({slot, failure});
  }
  queued_.clear();
}

void RecordReader::Take(bool wait, std::vector<LandedRecord>& out) {
  const size_t before = out.size();
  do {
    Flush();
    for (LandedRecord& failed : failed_) out.push_back(std::move(failed));
    failed_.clear();
    completions_.clear();
    if (wait && out.size() == before) {
      reader_->Wait(completions_);
    } else {
      reader_->Poll(completions_);
    }
    for (io::ReadCompletion& completion : completions_) Finish(completion, out);
  } while (wait && out.size() == before && in_flight_ > 0);
  Flush();  // what is read again
  in_flight_ -= out.size() - before;
}

void RecordReader::Finish(io::ReadCompletion& completion, std::vector<LandedRecord>& out) {
  const auto slot = static_cast<uint32_t>(completion.tag);
  Status status = Ok();
  if (completion.bytes) {
    counters_.bytes_read.Add(*completion.bytes);
  } else {
    Error error = std::move(completion.bytes).error().In(catalog_.Describe(slots_[slot].key));
    const bool again = slots_.TakeRetry(slot);
    Report(error, again);
    if (again) {
      counters_.read_retries.Add();
      Queue(slot);
      return;
    }
    counters_.read_failures.Add();
    status = std::move(error);
  }
  out.push_back({slot, std::move(status)});
}

bool RecordReader::ReadAgain(uint32_t slot) {
  if (!slots_.TakeRetry(slot)) {
    counters_.read_failures.Add();
    return false;
  }
  counters_.read_retries.Add();
  ++in_flight_;
  Queue(slot);
  return true;
}

void RecordReader::ComputeChecksums(std::span<const uint32_t> slots) {
  if (!catalog_.checksums) return;
  const auto compute = [&](size_t begin, size_t end, size_t) {
    for (const uint32_t slot : slots.subspan(begin, end - begin)) {
      slots_.SetChecksum(slot, io::Xxh3(Memory(slot, Record(slot).bytes)));
    }
  };
  if (pool_ != nullptr && slots.size() > 1 &&
      slots.size() * catalog_.slot_bytes >= kLeastForThreads) {
    pool_->ParallelFor(slots.size(), 1, compute);
  } else {
    compute(0, slots.size(), 0);
  }
}

void RecordReader::Report(const Error& error, bool again) {
  const auto left_out = (again ? warnings_ : failures_).Admit(SystemClock().NowNs());
  if (!left_out) return;
  std::string line = again ? "an expert is read again: " : "an expert cannot be read: ";
  line += error.message;
  if (*left_out > 0) line += " (" + std::to_string(*left_out) + " lines like this were left out)";
  LogLine(again ? LogLevel::kWarning : LogLevel::kError, line);
}

Status RecordReader::Verify(uint32_t slot) {
  const Slot& s = slots_[slot];
  const ExpertRecord& r = Record(slot);
  const uint64_t found = s.checksum;
  if (!catalog_.checksums || found == r.xxh3) return Ok();
  char message[200];
  std::snprintf(message, sizeof(message),
                "%llu bytes at offset %llu have the XXH3 checksum %016llx, expected %016llx; the "
                "file is damaged, write it again with 'mach export-sidecar'",
                static_cast<unsigned long long>(r.bytes), static_cast<unsigned long long>(r.offset),
                static_cast<unsigned long long>(found), static_cast<unsigned long long>(r.xxh3));
  Error error = Error{Code::kCorrupt, message}.In(catalog_.Describe(s.key));
  Report(error, !s.retried);
  return error;
}

}  // namespace mach::experts
