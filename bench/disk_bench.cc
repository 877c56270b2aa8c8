// Bandwidth of the direct reader by record size, depth and mode: what a disk gives the expert bank
// at best.
//
// Writes a file of random bytes into --dir, then reads records of it in random order (decode) and
// in file order (a large chunk of a prompt), keeping `depth` of them in flight. Cases are measured
// in rounds, each case once a round; medians are printed.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/aligned_memory.h"
#include "base/random.h"
#include "io/async_reader.h"

namespace mach {
namespace {

struct Options {
  std::string dir = ".";
  size_t megabytes = 2048;
  size_t memory_megabytes = 1024;
  double seconds = 1;
  int rounds = 3;
  std::vector<size_t> kilobytes = {256, 1728, 8192};
};

struct Case {
  io::ReadMode mode;
  size_t record;
  size_t depth;
  bool random;
  std::vector<double> rates = {};  // bytes a second
};

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double Median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + static_cast<ptrdiff_t>(v.size() / 2), v.end());
  return v[v.size() / 2];
}

Status WriteFile(const std::string& path, size_t bytes) {
  std::ofstream out(path, std::ios::binary);
  std::vector<uint32_t> block((size_t{1} << 20) / 4);
  for (size_t at = 0; at < bytes; at += block.size() * 4) {
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
  if (!out) return Error{Code::kIo, "cannot write '" + path + "'"};
  return Ok();
}

// Reads for some seconds and gives bytes a second.
Result<double> Measure(const Case& c, const std::string& path, double seconds, uint64_t seed,
                       AlignedBuffer& memory) {
  MACH_TRY(auto reader, io::AsyncReader::Create(
                            c.mode, {.depth = c.depth, .threads = std::min<size_t>(c.depth, 16)}));
  MACH_TRY(const uint32_t file, reader->AddFile(path));
  const std::span<std::byte> all = memory.bytes();
  reader->RegisterBuffers(std::span(&all, 1));
  const size_t records = reader->FileBytes(file) / c.record;
  uint64_t begun = 0;
  // A slot of one of `depth` equal parts, another one each time.
  const size_t slots = all.size() / c.record / c.depth;
  const auto next = [&](uint64_t part) {
    const size_t slot = part * slots + begun % slots;
    const double u = UniformAt(seed, begun);
    const uint64_t record =
        c.random ? static_cast<uint64_t>(u * static_cast<double>(records)) : begun % records;
    ++begun;
    return io::ReadRequest{.file = file,
                           .offset = record * c.record,
                           .destination = all.subspan(slot * c.record, c.record),
                           .tag = part};
  };
  std::vector<io::ReadRequest> requests;
  for (size_t i = 0; i < c.depth; ++i) requests.push_back(next(i));
  std::vector<io::ReadCompletion> done;
  const double start = Now();
  uint64_t bytes = 0;
  double end = start;
  while (end - start < seconds) {
    MACH_TRY(const size_t taken, reader->Submit(requests));
    if (taken != requests.size()) return Error{Code::kIo, "the reader took too few requests"};
    requests.clear();
    done.clear();
    reader->Wait(done);
    for (const io::ReadCompletion& completion : done) {
      MACH_TRY(const size_t got, completion.bytes);
      bytes += got;
      requests.push_back(next(completion.tag));
    }
    end = Now();
  }
  return static_cast<double>(bytes) / (end - start);
}

int Run(const Options& o) {
  const std::string path = o.dir + "/mach-disk-bench.bin";
  std::printf("writing %zu MiB to %s\n", o.megabytes, path.c_str());
  if (Status written = WriteFile(path, o.megabytes << 20); !written) {
    std::fprintf(stderr, "disk_bench: %s\n", written.error().message.c_str());
    return 1;
  }
  std::vector<Case> cases;
  const size_t memory_bytes = o.memory_megabytes << 20;
  for (const io::ReadMode mode : {io::ReadMode::kIoUring, io::ReadMode::kPread}) {
    for (const size_t kb : o.kilobytes) {
      const size_t record = RoundUp(kb << 10, io::kDirectAlignment);
      for (const size_t depth : {1, 2, 4, 8, 16, 32}) {
        if (record * depth > std::min(memory_bytes, size_t{128} << 20)) continue;
        for (const bool random : {true, false}) cases.push_back({mode, record, depth, random});
      }
    }
  }
  int status = 0;
  auto memory = AlignedBuffer::Allocate(memory_bytes);
  for (int round = 0; memory.ok() && status == 0 && round < o.rounds; ++round) {
    for (Case& c : cases) {
      const auto rate = Measure(c, path, o.seconds, static_cast<uint64_t>(round) + 1, *memory);
      if (rate) {
        c.rates.push_back(*rate);
      } else if (rate.error().code != Code::kUnsupported) {
        std::fprintf(stderr, "disk_bench: %s\n", rate.error().message.c_str());
        status = 1;
        break;
      }
    }
  }
  std::filesystem::remove(path);
  if (!memory) {
    std::fprintf(stderr, "disk_bench: %s\n", memory.error().message.c_str());
    return 1;
  }
  std::printf("mode      record KiB  depth  in flight MiB  order     GB/s\n");
  for (const Case& c : cases) {
    if (c.rates.empty()) continue;
    std::printf("%-8s  %10zu  %5zu  %13.1f  %-6s  %7.2f\n",
                std::string(io::ReadModeName(c.mode)).c_str(), c.record >> 10, c.depth,
                static_cast<double>(c.record * c.depth) / 1048576.0, c.random ? "random" : "file",
                Median(c.rates) / 1e9);
  }
  return status;
}

bool Parse(int argc, char** argv, Options& o) {
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i];
    const std::string value = argv[i + 1];
    const double number = std::strtod(value.c_str(), nullptr);
    if (flag == "--dir") {
      o.dir = value;
      continue;
    }
    if (!(number > 0 && number < 1e9)) return false;
    if (flag == "--mb") {
      o.megabytes = static_cast<size_t>(number);
    } else if (flag == "--memory-mb") {
      o.memory_megabytes = static_cast<size_t>(number);
    } else if (flag == "--seconds") {
      o.seconds = number;
    } else if (flag == "--rounds") {
      o.rounds = static_cast<int>(number);
    } else if (flag == "--record-kb") {
      o.kilobytes = {static_cast<size_t>(number)};
    } else {
      return false;
    }
  }
  for (const size_t kb : o.kilobytes) {
    if (kb > o.megabytes << 10) return false;
  }
  return argc % 2 == 1;
}

}  // namespace
}  // namespace mach

int main(int argc, char** argv) {
  mach::Options options;
  if (!mach::Parse(argc, argv, options)) {
    std::fprintf(stderr,
                 "usage: disk_bench [--dir D] [--mb N] [--memory-mb N] [--record-kb N] "
                 "[--seconds S] [--rounds N]\n");
    return 2;
  }
  return mach::Run(options);
}
