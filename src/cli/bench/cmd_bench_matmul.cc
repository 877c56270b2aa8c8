// How close matmul_i8 comes to the memory and to the arithmetic of this machine.
//
// Two limits: bytes read per second, streaming a buffer far above any last-level cache, and int8
// products per second from registers, of one ISA, on the same threads. Against them the product of
// 1 to 128 rows with matrices taken in turn from a working set above the cache. Small matrices go
// several together, as the experts of a layer do in the engine. Cases are visited in rounds; each
// visit has its limit measured right before and right after it and is held against the mean of the
// two, so that a busy moment of a shared machine touches both alike. Medians are printed.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/aligned_memory.h"
#include "base/random.h"
#include "base/thread_pool.h"
#include "base/topology.h"
#include "cli/bench/bench_tools.h"
#include "cli/bench/cmd_bench.h"
#include "kernels/table.h"
#include "quant/tiled.h"
#include "tensor/dtype.h"

namespace mach::cli {
namespace {

using kernels::KernelTable;

struct Shape {
  size_t rows;
  size_t cols;
};
constexpr Shape kShapes[] = {{2048, 512}, {2048, 2048}, {8192, 2048}};
constexpr size_t kRowCounts[] = {1, 2, 4, 8, 16, 128};
constexpr size_t kMostRows = 128;
constexpr double kSecondsPerCase = 0.06;
// Of weights in one job of the threads, at least: the down matrices of the eight experts of a token
// are that many.
constexpr size_t kJobBytes = size_t{4} << 20;

double Seconds(const std::function<void()>& fn) {
  const double start = SecondsNow();
  fn();
  return SecondsNow() - start;
}

// Bytes a second of all threads reading disjoint parts of the buffer from front to back.
double ReadBandwidth(ThreadPool& pool, std::span<const std::byte> buffer) {
  const auto* words = reinterpret_cast<const uint64_t*>(buffer.data());
  std::vector<uint64_t> sums(pool.threads() * 8);
  const double seconds = Seconds([&] {
    pool.ParallelFor(buffer.size() / 64, 1, [&](size_t begin, size_t end, size_t worker) {
      uint64_t sum[8] = {};
      for (size_t line = begin; line < end; ++line) {
        for (size_t i = 0; i < 8; ++i) sum[i] += words[line * 8 + i];
      }
      for (size_t i = 0; i < 8; ++i) sums[worker * 8] += sum[i];
    });
  });
  volatile uint64_t sink = 0;
  for (const uint64_t sum : sums) sink = sink + sum;
  return static_cast<double>(buffer.size()) / seconds;
}

// Int8 products a second of all threads; 0 where the kernels are scalar.
double DotThroughput(ThreadPool& pool, const kernels::KernelTable& table) {
  if (table.probe_dots == nullptr) return 0;
  std::vector<uint64_t> products(pool.threads());
  const double seconds = Seconds([&] {
    pool.ParallelFor(pool.threads(), 1, [&](size_t, size_t, size_t worker) {
      products[worker] += table.probe_dots(400000);
    });
  });
  double total = 0;
  for (const uint64_t n : products) total += static_cast<double>(n);
  return total / seconds;
}

struct Inputs {
  std::vector<int8_t> q;
  std::vector<float> scale;
  std::vector<float> sum;
  std::vector<float> out;
};

struct MatmulCase {
  int bits;
  Shape shape;
  size_t rows;
  size_t next = 0;  // matrix of the working set
  std::vector<double> seconds = {};
  std::vector<double> of_bandwidth = {};  // fractions, of each visit
  std::vector<double> of_dots = {};
};

size_t MatricesInJob(const quant::TiledLayout& layout) {
  return (kJobBytes + layout.bytes() - 1) / layout.bytes();
}

// One visit: products with the next matrices of the working set for kSecondsPerCase; returns
// seconds for one.
double Visit(MatmulCase& c, ThreadPool& pool, const KernelTable& table,
             const quant::TiledLayout& layout, const AlignedBuffer& weights, Inputs& in) {
  const size_t matrices = weights.size() / layout.bytes();
  const size_t together = MatricesInJob(layout);
  const kernels::QuantizedRows x{in.q.data(), in.scale.data(), in.sum.data(), layout.cols,
                                 layout.groups()};
  const size_t tiles = layout.tiles();
  const auto job = [&] {
    pool.ParallelFor(together * tiles, 4, [&](size_t begin, size_t end, size_t) {
      while (begin < end) {
        const size_t i = begin / tiles;
        const size_t stop = std::min(end, (i + 1) * tiles);
        const size_t matrix = (c.next + i) % matrices;
        const quant::TiledMatrix w{layout, weights.data() + matrix * layout.bytes()};
        const kernels::OutputRows out{in.out.data() + i * c.rows * layout.rows, layout.rows};
        table.matmul_i8(w, begin - i * tiles, stop - i * tiles, x, c.rows, out);
        begin = stop;
      }
    });
    c.next = (c.next + together) % matrices;
  };
  const double first = Seconds(job);
  const auto times = static_cast<size_t>(std::clamp(kSecondsPerCase / first, 1.0, 1e5));
  return Seconds([&] {
           for (size_t i = 0; i < times; ++i) job();
         }) /
         static_cast<double>(times * together);
}

}  // namespace

int RunBenchMatmul(const BenchMatmulOptions& o) {
  if (o.group != 32 && o.group != 64 && o.group != 128) {
    return BenchFailed("matmul", {Code::kInvalidArgument, "--group is " + std::to_string(o.group) +
                                                              ", expected 32, 64 or 128"});
  }
  const auto selected =
      kernels::SelectKernels(o.isa == "auto" ? std::nullopt : kernels::IsaFromName(o.isa));
  if (!selected) return BenchFailed("matmul", selected.error());
  const KernelTable& table = **selected;
  auto allocated = AlignedBuffer::Allocate(o.memory_mb << 20);
  if (!allocated) return BenchFailed("matmul", allocated.error());
  AlignedBuffer weights = *std::move(allocated);
  // Any bytes are valid weights: the speed does not depend on them, unless they are subnormal.
  const auto pattern = Philox4x32({1, 2, 3, 4}, {5, 6});
  for (size_t i = 0; i < weights.size(); i += sizeof(pattern)) {
    std::memcpy(weights.data() + i, pattern.data(), sizeof(pattern));
  }

  ThreadPool pool(o.threads != 0 ? o.threads : AvailableCpus());
  std::vector<MatmulCase> cases;
  size_t most_cols = 0;
  size_t most_out = 0;
  for (const int bits : {4, 8}) {
    for (const Shape& shape : kShapes) {
      if (o.quick && &shape != &kShapes[2]) continue;
      most_cols = std::max(most_cols, shape.cols);
      const quant::TiledLayout layout{shape.rows, shape.cols, tensor::DType::kBF16, bits, o.group};
      most_out = std::max(most_out, MatricesInJob(layout) * shape.rows * kMostRows);
      for (const size_t rows : kRowCounts)
        cases.push_back({.bits = bits, .shape = shape, .rows = rows});
    }
  }
  Inputs in;
  in.q.resize(kMostRows * most_cols);
  for (size_t i = 0; i < in.q.size(); ++i) {
    in.q[i] = static_cast<int8_t>(static_cast<int>(UniformAt(1, i) * 255) - 127);
  }
  in.scale.assign(kMostRows * most_cols / 32, 0.01f);
  in.sum.assign(in.scale.size(), 0.5f);
  in.out.resize(most_out);

  std::vector<double> bandwidth;
  std::vector<double> dots;
  const auto measure_limits = [&] {
    bandwidth.push_back(ReadBandwidth(pool, weights.bytes()));
    dots.push_back(DotThroughput(pool, table));
  };
  for (size_t round = 0; round < o.rounds; ++round) {
    for (MatmulCase& c : cases) {
      const quant::TiledLayout layout{c.shape.rows, c.shape.cols, tensor::DType::kBF16, c.bits,
                                      o.group};
      measure_limits();
      const double seconds = Visit(c, pool, table, layout, weights, in);
      measure_limits();
      const auto mean = [](const std::vector<double>& v) {
        return (v[v.size() - 2] + v[v.size() - 1]) / 2;
      };
      const double bytes = static_cast<double>(layout.bytes()) / seconds;
      const double macs = static_cast<double>(c.shape.rows * c.shape.cols * c.rows) / seconds;
      c.seconds.push_back(seconds);
      c.of_bandwidth.push_back(bytes / mean(bandwidth));
      c.of_dots.push_back(macs / mean(dots));
    }
  }

  const double peak_bytes = Median(bandwidth);
  const double peak_dots = Median(dots);
  std::printf("isa %s, %zu threads, working set %zu MiB, group %d, medians of %zu rounds\n",
              std::string(kernels::IsaName(table.isa)).c_str(), pool.threads(), o.memory_mb,
              o.group, o.rounds);
  std::printf("read bandwidth      %8.2f GB/s (%.2f to %.2f)\n", peak_bytes / 1e9,
              *std::min_element(bandwidth.begin(), bandwidth.end()) / 1e9,
              *std::max_element(bandwidth.begin(), bandwidth.end()) / 1e9);
  std::printf("int8 dot throughput %8.2f Gmac/s (%.2f to %.2f)\n\n", peak_dots / 1e9,
              *std::min_element(dots.begin(), dots.end()) / 1e9,
              *std::max_element(dots.begin(), dots.end()) / 1e9);
  std::printf(
      "bits  matrix        rows        us   weights GB/s  of bandwidth     Gmac/s  of dots\n");
  for (const MatmulCase& c : cases) {
    const quant::TiledLayout layout{c.shape.rows, c.shape.cols, tensor::DType::kBF16, c.bits,
                                    o.group};
    const double seconds = Median(c.seconds);
    const double bytes = static_cast<double>(layout.bytes()) / seconds;
    const double macs = static_cast<double>(c.shape.rows * c.shape.cols * c.rows) / seconds;
    char of_dots[16] = "-";  // scalar code has no limit to compare with
    if (peak_dots > 0) std::snprintf(of_dots, sizeof of_dots, "%.1f%%", 100 * Median(c.of_dots));
    std::printf("%4d  %5zu x %-5zu %5zu %10.1f %14.2f %12.1f%% %10.1f %8s\n", c.bits, c.shape.rows,
                c.shape.cols, c.rows, seconds * 1e6, bytes / 1e9, 100 * Median(c.of_bandwidth),
                macs / 1e9, of_dots);
  }
  return 0;
}

}  // namespace mach::cli
