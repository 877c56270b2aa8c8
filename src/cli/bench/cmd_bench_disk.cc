// Bandwidth of direct reads by record size, depth, order and mode: what a disk gives the expert
// bank at best.
#include <filesystem>
#include <fstream>

#include "base/random.h"
#include "cli/bench/bench_tools.h"
#include "cli/bench/cmd_bench.h"
#include "cli/exit_codes.h"
#include "io/async_reader.h"

namespace mach::cli {
namespace {

constexpr size_t kDepths[] = {1, 2, 4, 8, 16, 32};
constexpr size_t kRecordKilobytes[] = {256, 1728, 8192};
constexpr size_t kMostInFlight = size_t{128} << 20;

struct DiskCase {
  ReadPattern pattern;
  std::vector<double> rates = {};  // bytes a second
};

Status WriteFile(const std::string& path, size_t bytes) {
  std::ofstream out(path, std::ios::binary);
  std::vector<uint32_t> block((size_t{1} << 20) / 4);
  for (size_t at = 0; at < bytes && out; at += block.size() * 4) {
    // Different in each block, so that no file system stores them once.
    for (size_t i = 0; i < block.size(); i += 4) {
      const auto words =
          Philox4x32({static_cast<uint32_t>(at >> 20), static_cast<uint32_t>(i), 0, 0}, {1, 2});
      std::copy(words.begin(), words.end(), block.begin() + static_cast<ptrdiff_t>(i));
    }
    out.write(reinterpret_cast<const char*>(block.data()),
              static_cast<std::streamsize>(block.size() * 4));
  }
  out.flush();
  if (!out) return Error{Code::kIo, "cannot write '" + path + "'; is the disk full?"};
  return Ok();
}

std::vector<DiskCase> Cases(const BenchDiskOptions& o, const std::string& path) {
  std::vector<size_t> sizes(std::begin(kRecordKilobytes), std::end(kRecordKilobytes));
  if (o.record_kb) sizes = {*o.record_kb};
  std::vector<DiskCase> cases;
  for (const io::ReadMode mode : {io::ReadMode::kIoUring, io::ReadMode::kPread}) {
    for (const size_t kb : sizes) {
      const size_t record = RoundUp(kb << 10, io::kDirectAlignment);
      if (record > o.file_mb << 20) continue;
      for (const size_t depth : kDepths) {
        if (record * depth > std::min(o.memory_mb << 20, kMostInFlight)) continue;
        for (const bool random : {true, false}) {
          cases.push_back({{mode, {path}, record, depth, random}});
        }
      }
    }
  }
  return cases;
}

Status Measure(const BenchDiskOptions& o, std::vector<DiskCase>& cases) {
  MACH_TRY(AlignedBuffer memory, AlignedBuffer::Allocate(o.memory_mb << 20));
  const double seconds = static_cast<double>(o.case_ms) / 1000;
  for (size_t round = 0; round < o.rounds; ++round) {
    for (DiskCase& c : cases) {
      auto reads = ReadRate::Create(c.pattern, memory.bytes());
      if (!reads) {
        if (reads.error().code == Code::kUnsupported) continue;
        return std::move(reads).error();
      }
      MACH_TRY(const double rate, reads->Measure(seconds, round + 1));
      c.rates.push_back(rate);
    }
  }
  return Ok();
}

}  // namespace

int RunBenchDisk(const BenchDiskOptions& o) {
  const std::string path = o.directory + "/mach-bench-disk.bin";
  std::vector<DiskCase> cases = Cases(o, path);
  if (cases.empty()) {
    return BenchFailed("disk", {Code::kInvalidArgument,
                                "no record fits into --file-mb and --memory-mb; raise them"});
  }
  std::fprintf(stderr, "writing %zu MiB to %s\n", o.file_mb, path.c_str());
  Status status = WriteFile(path, o.file_mb << 20);
  if (status.ok()) status = Measure(o, cases);
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
  if (!status) return BenchFailed("disk", status.error());
  std::printf("mode      record KiB  depth  in flight MiB  order     GB/s\n");
  bool any = false;
  for (const DiskCase& c : cases) {
    if (c.rates.empty()) continue;
    any = true;
    const ReadPattern& p = c.pattern;
    std::printf("%-8s  %10zu  %5zu  %13.1f  %-6s  %7.2f\n",
                std::string(io::ReadModeName(p.mode)).c_str(), p.record_bytes >> 10, p.depth,
                static_cast<double>(p.record_bytes * p.depth) / 1048576.0,
                p.random ? "random" : "file", Median(c.rates) / 1e9);
  }
  if (any) return kExitOk;
  return BenchFailed("disk", {Code::kUnsupported,
                              "'" + o.directory + "' has no direct reads; see 'mach selftest'"});
}

}  // namespace mach::cli
