#include "cli/bench/bench_tools.h"

#include "base/random.h"

namespace mach::cli {

Result<ReadRate> ReadRate::Create(const ReadPattern& pattern, std::span<std::byte> memory) {
  ReadRate made;
  made.pattern_ = pattern;
  made.memory_ = memory;
  MACH_TRY(made.reader_,
           io::AsyncReader::Create(pattern.mode, {.depth = pattern.depth,
                                                  .threads = std::min<size_t>(pattern.depth, 16)}));
  made.records_before_ = {0};
  for (const std::string& file : pattern.files) {
    MACH_TRY(const uint32_t number, made.reader_->AddFile(file));
    made.records_before_.push_back(made.records_before_.back() +
                                   made.reader_->FileBytes(number) / pattern.record_bytes);
  }
  made.reader_->RegisterBuffers(std::span(&made.memory_, 1));
  return made;
}

Result<double> ReadRate::Measure(double seconds, uint64_t seed) {
  const size_t bytes_each = pattern_.record_bytes;
  // A slot of one of `depth` equal parts, another one each time.
  const size_t slots = memory_.size() / bytes_each / pattern_.depth;
  const uint64_t all = records_before_.back();
  uint64_t begun = 0;
  const auto next = [&](uint64_t part) {
    const size_t slot = part * slots + begun % slots;
    const double u = UniformAt(seed, begun);
    const uint64_t record =
        pattern_.random ? static_cast<uint64_t>(u * static_cast<double>(all)) : begun % all;
    ++begun;
    const auto after = std::ranges::upper_bound(records_before_, record);
    const auto file = static_cast<uint32_t>(after - records_before_.begin() - 1);
    return io::ReadRequest{.file = file,
                           .offset = (record - records_before_[file]) * bytes_each,
                           .destination = memory_.subspan(slot * bytes_each, bytes_each),
                           .tag = part};
  };
  std::vector<io::ReadRequest> requests;
  for (size_t i = 0; i < pattern_.depth; ++i) requests.push_back(next(i));
  std::vector<io::ReadCompletion> done;
  uint64_t bytes = 0;
  const double start = SecondsNow();
  double end = start;
  while (!requests.empty() || reader_->in_flight() > 0) {
    if (!requests.empty()) {
      MACH_TRY(const size_t taken, reader_->Submit(requests));
      if (taken != requests.size()) return Error{Code::kIo, "the reader took too few requests"};
      requests.clear();
    }
    done.clear();
    reader_->Wait(done);
    end = SecondsNow();
    for (const io::ReadCompletion& completion : done) {
      MACH_TRY(const size_t got, completion.bytes);
      bytes += got;
      if (end - start < seconds) requests.push_back(next(completion.tag));
    }
  }
  return static_cast<double>(bytes) / (end - start);
}

}  // namespace mach::cli
