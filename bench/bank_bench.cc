// The streaming store at real record sizes, with made-up experts and made-up work: how close decode
// comes to the disk's bandwidth while it misses, and how much of a prompt's reads the work hides.
//
// Work on an expert is one pass over its bytes in all threads, which is what a token costs; an
// attention layer is --mixer-ms of spinning. Routing is skewed and correlated: half of the choices
// repeat the last token's, the others fall off as 1 / rank^0.8 over a permutation of the layer's
// experts.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include <xxhash.h>

#include "base/random.h"
#include "base/thread_pool.h"
#include "base/topology.h"
#include "experts/streaming_store.h"

namespace mach {
namespace {

struct Options {
  std::string dir = ".";
  std::map<std::string, double> numbers = {{"--layers", 8},
                                           {"--experts", 256},
                                           {"--top-k", 8},
                                           {"--record-kb", 1728},
                                           {"--bank", 0.25},
                                           {"--tokens", 200},
                                           {"--mixer-ms", 20},
                                           {"--work", 8},
                                           {"--threads", static_cast<double>(AvailableCpus())}};
  size_t operator[](const char* name) const { return static_cast<size_t>(numbers.at(name)); }
};

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Result<experts::Catalog> WriteFiles(const Options& o) {
  experts::Catalog c;
  c.record_bytes = RoundUp(o["--record-kb"] << 10, kPageBytes);
  c.layers = o["--layers"];
  c.experts = o["--experts"];
  std::vector<uint32_t> record(c.record_bytes / 4);
  for (uint32_t layer = 0; layer < c.layers; ++layer) {
    c.files.push_back(o.dir + "/mach-bank-bench-" + std::to_string(layer) + ".bin");
    std::ofstream out(c.files.back(), std::ios::binary);
    for (uint32_t e = 0; e < c.experts; ++e) {
      for (size_t i = 0; i < record.size(); i += 4) {
        const auto words = Philox4x32({layer, e, static_cast<uint32_t>(i), 0}, {1, 2});
        std::copy(words.begin(), words.end(), record.begin() + static_cast<ptrdiff_t>(i));
      }
      c.records.push_back({.file = layer,
                           .offset = e * c.record_bytes,
                           .bytes = c.record_bytes,
                           .xxh3 = XXH3_64bits(record.data(), c.record_bytes)});
      out.write(reinterpret_cast<const char*>(record.data()),
                static_cast<std::streamsize>(c.record_bytes));
    }
    out.flush();
    if (!out) return Error{Code::kIo, "cannot write '" + c.files.back() + "'"};
  }
  return c;
}

class Bench {
 public:
  Bench(const Options& o, const experts::Catalog& catalog)
      : o_(o), catalog_(catalog), pool_(o["--threads"]) {}

  Status Run() {
    std::printf("%zu layers of %zu experts of %.2f MB, bank %.0f %%, %zu threads\n",
                catalog_.layers, catalog_.experts, Mb(catalog_.record_bytes),
                o_.numbers.at("--bank") * 100, pool_.threads());
    for (const io::ReadMode mode : {io::ReadMode::kIoUring, io::ReadMode::kPread}) {
      std::printf("%s\n", std::string(io::ReadModeName(mode)).c_str());
      MACH_RETURN_IF_ERROR(RunMode(mode));
    }
    return Ok();
  }

 private:
  static double Mb(double bytes) { return bytes / 1e6; }
  static double Mb(size_t bytes) { return static_cast<double>(bytes) / 1e6; }

  Result<std::unique_ptr<experts::StreamingStore>> Make(io::ReadMode mode, double share,
                                                        bool transient) {
    MACH_TRY(auto reader, io::AsyncReader::Create(mode, {.depth = 512}));
    const auto slots =
        static_cast<size_t>(share * static_cast<double>(catalog_.layers * catalog_.experts));
    return experts::StreamingStore::Create(
        catalog_, {.bank_bytes = slots * catalog_.record_bytes, .transient_prefill = transient},
        std::move(reader), ledger_, clock_, &pool_);
  }

  // Reads every byte of the experts that are ready, `work` times.
  void Work(const experts::Acquisition& acquired, size_t work) {
    for (const uint32_t i : acquired.ready()) {
      const auto bytes = acquired.Bytes(i);
      const auto* words = reinterpret_cast<const uint64_t*>(bytes.data());
      for (size_t w = 0; w < work; ++w) {
        pool_.ParallelFor(bytes.size() / 64, 64, [&](size_t begin, size_t end, size_t) {
          uint64_t sum[8] = {};
          for (size_t line = begin; line < end; ++line) {
            for (size_t k = 0; k < 8; ++k) sum[k] += words[line * 8 + k] ^ w;
          }
          sink_.fetch_add(sum[0] ^ sum[1] ^ sum[2] ^ sum[3] ^ sum[4] ^ sum[5] ^ sum[6] ^ sum[7],
                          std::memory_order_relaxed);
        });
      }
    }
  }

  Status Layer(experts::StreamingStore& store, uint32_t layer, std::span<const ExpertId> ids,
               size_t work) {
    MACH_RETURN_IF_ERROR(store.Acquire(LayerId(layer), ids, acquired_));
    for (;;) {
      Work(acquired_, work);
      if (acquired_.complete()) break;
      MACH_RETURN_IF_ERROR(store.Wait(acquired_));
    }
    acquired_.Clear();
    return Ok();
  }

  Status Decode(experts::StreamingStore& store, size_t tokens, uint64_t seed, size_t work) {
    std::vector<std::vector<ExpertId>> last(catalog_.layers);
    std::vector<double> cumulative(catalog_.experts);
    double total = 0;
    for (size_t r = 0; r < cumulative.size(); ++r) {
      cumulative[r] = total += 1 / std::pow(static_cast<double>(r + 1), 0.8);
    }
    uint64_t draws = 0;
    const auto draw = [&] { return UniformAt(seed, draws++); };
    for (size_t t = 0; t < tokens; ++t) {
      store.BeginPass(1);
      for (uint32_t layer = 0; layer < catalog_.layers; ++layer) {
        std::vector<ExpertId> ids;
        while (ids.size() < o_["--top-k"]) {
          ExpertId id{};
          if (draw() < 0.5 && !last[layer].empty()) {
            const double at = draw() * static_cast<double>(last[layer].size());
            id = last[layer][std::min(static_cast<size_t>(at), last[layer].size() - 1)];
          } else {
            const auto rank =
                std::lower_bound(cumulative.begin(), cumulative.end(), draw() * total) -
                cumulative.begin();
            // 97 is prime to any power of two: a permutation, another one in each layer.
            id = ExpertId(static_cast<uint32_t>((static_cast<size_t>(rank) * 97 + layer * 31) %
                                                catalog_.experts));
          }
          if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
        }
        MACH_RETURN_IF_ERROR(Layer(store, layer, ids, work));
        last[layer] = std::move(ids);
      }
    }
    return Ok();
  }

  // Seconds of one large chunk.
  Result<double> Prefill(experts::StreamingStore& store, size_t work, double mixer_ms) {
    std::vector<ExpertId> ids;
    for (uint32_t e = 0; e < catalog_.experts; ++e) ids.push_back(ExpertId(e));
    const double start = Now();
    store.BeginPass(512);
    for (uint32_t layer = 0; layer < catalog_.layers; ++layer) {
      const double mixer = Now();
      while ((Now() - mixer) * 1e3 < mixer_ms) {
      }
      MACH_RETURN_IF_ERROR(Layer(store, layer, ids, work));
    }
    return Now() - start;
  }

  // What the reader gives into as much memory, with nothing to verify, in random order at the depth
  // of demand reads.
  Result<double> RawBandwidth(io::ReadMode mode, size_t slots, size_t depth) {
    const size_t record = catalog_.record_bytes;
    MACH_TRY(AlignedBuffer memory, AlignedBuffer::Allocate(slots * record));
    MACH_TRY(auto reader, io::AsyncReader::Create(mode, {.depth = depth, .threads = depth}));
    for (const std::string& file : catalog_.files) MACH_RETURN_IF_ERROR(reader->AddFile(file));
    const std::span<std::byte> all = memory.bytes();
    reader->RegisterBuffers(std::span(&all, 1));
    uint64_t bytes = 0;
    double start = 0;
    std::vector<io::ReadCompletion> done;
    const size_t reads = 4 * slots;
    for (size_t i = 0; i < reads || reader->in_flight() > 0;) {
      if (i == slots) start = Now();  // the memory is there now
      if (i < reads && reader->in_flight() < depth) {
        const auto key =
            static_cast<size_t>(UniformAt(3, i) * static_cast<double>(catalog_.keys()));
        const experts::ExpertRecord& r = catalog_.records[key];
        const io::ReadRequest request{.file = r.file,
                                      .offset = r.offset,
                                      .destination = all.subspan(i % slots * record, record)};
        MACH_RETURN_IF_ERROR(reader->Submit(std::span(&request, 1)));
        bytes += i >= slots ? record : 0;
        ++i;
        continue;
      }
      done.clear();
      reader->Wait(done);
      for (const io::ReadCompletion& c : done) MACH_RETURN_IF_ERROR(c.bytes);
    }
    return static_cast<double>(bytes) / (Now() - start);
  }

  Status RunMode(io::ReadMode mode) {
    const double share = o_.numbers.at("--bank");
    const size_t tokens = o_["--tokens"];
    const size_t work = o_["--work"];
    {
      MACH_TRY(const auto store, Make(mode, share, true));
      MACH_TRY(const double raw,
               RawBandwidth(mode, store->plan().bank_slots, store->plan().window));
      std::printf("  reader alone, %zu in flight: %.2f GB/s\n", store->plan().window, raw / 1e9);
      // As fast as reads can be had through the store: no work.
      for (const size_t passes : {size_t{0}, size_t{1}}) {
        const uint64_t bytes = store->Stats().bytes_read;
        const double stall = store->Stats().stall_ms;
        const uint64_t hits = store->Stats().hits;
        const uint64_t misses = store->Stats().misses;
        const double start = Now();
        MACH_RETURN_IF_ERROR(Decode(*store, tokens, 7 + passes, passes));
        const double seconds = Now() - start;
        const experts::BankStats stats = store->Stats();
        std::printf("  decode %-10s %7.2f tokens/s, hits %.1f %%, %6.2f GB/s, stalled %.0f %%\n",
                    passes == 0 ? "(no work)" : "", static_cast<double>(tokens) / seconds,
                    100 * static_cast<double>(stats.hits - hits) /
                        static_cast<double>(stats.hits - hits + stats.misses - misses),
                    Mb(static_cast<double>(stats.bytes_read - bytes)) / 1e3 / seconds,
                    (stats.stall_ms - stall) / seconds / 10);
      }
    }
    for (const bool transient : {true, false}) {
      MACH_TRY(const auto store, Make(mode, share, transient));
      MACH_RETURN_IF_ERROR(Prefill(*store, 0, 0));  // fills the bank
      const uint64_t before = store->Stats().bytes_read;
      MACH_TRY(const double read, Prefill(*store, 0, 0));
      const double bytes = static_cast<double>(store->Stats().bytes_read - before);
      MACH_TRY(const double both, Prefill(*store, work, o_.numbers.at("--mixer-ms")));
      std::printf("  prefill %-13s reads alone %.3f s (%.2f GB/s), with work %.3f s",
                  transient ? "(transient)" : "(bank)", read, Mb(bytes) / 1e3 / read, both);
      if (transient) {
        MACH_TRY(const double compute, ComputeAlone(mode));
        std::printf(", work alone %.3f s: %.2f x the longer", compute,
                    both / std::max(read, compute));
      }
      std::printf("\n");
    }
    return Ok();
  }

  // The same work on experts that are all in memory, of one layer again and again.
  Result<double> ComputeAlone(io::ReadMode mode) {
    const auto start = [&](experts::StreamingStore& store) -> Result<double> {
      std::vector<ExpertId> ids;
      for (uint32_t e = 0; e < catalog_.experts; ++e) ids.push_back(ExpertId(e));
      MACH_RETURN_IF_ERROR(Layer(store, 0, ids, 0));
      const double begin = Now();
      for (size_t layer = 0; layer < catalog_.layers; ++layer) {
        const double mixer = Now();
        while ((Now() - mixer) * 1e3 < o_.numbers.at("--mixer-ms")) {
        }
        MACH_RETURN_IF_ERROR(Layer(store, 0, ids, o_["--work"]));
      }
      return Now() - begin;
    };
    const double one_layer = 1 / static_cast<double>(catalog_.layers);
    MACH_TRY(const auto store, Make(mode, one_layer, false));
    return start(*store);
  }

  const Options& o_;
  const experts::Catalog& catalog_;
  ThreadPool pool_;
  MemoryLedger ledger_{size_t{1} << 40};
  SystemClock clock_;
  experts::Acquisition acquired_;
  std::atomic<uint64_t> sink_ = 0;
};

int Main(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; i += 2) {
    const std::string flag = argv[i];
    if (i + 1 < argc && flag == "--dir") {
      o.dir = argv[i + 1];
    } else if (i + 1 < argc && o.numbers.contains(flag)) {
      o.numbers[flag] = std::max(0.0, std::strtod(argv[i + 1], nullptr));
    } else {
      std::fprintf(stderr,
                   "usage: bank_bench [--dir D] [--layers N] [--experts N] [--top-k N]\n"
                   "  [--record-kb N] [--bank SHARE] [--tokens N] [--mixer-ms N] [--work N] "
                   "[--threads N]\n");
      return 2;
    }
  }
  auto catalog = WriteFiles(o);
  Status status = Ok();
  if (catalog.ok()) {
    status = Bench(o, *catalog).Run();
    for (const std::string& file : catalog->files) std::filesystem::remove(file);
  } else {
    status = std::move(catalog).error();
  }
  if (status.ok()) return 0;
  std::fprintf(stderr, "bank_bench: %s\n", status.error().message.c_str());
  return 1;
}

}  // namespace
}  // namespace mach

int main(int argc, char** argv) { return mach::Main(argc, argv); }
