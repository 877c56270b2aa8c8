// Speed of the tokenizer: loading, encoding, decoding.
//
//   MACH_BENCH_TOKENIZER=tokenizer.json MACH_BENCH_TEXT=text.txt text_bench
//
// Encoding is timed with a warm word cache, as in a server, and with a fresh tokenizer (cold), over
// the text repeated to at least a megabyte, and cut into prompts of 4 KiB.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include <benchmark/benchmark.h>

#include "text/stream_decoder.h"
#include "text/tokenizer.h"

namespace mach::text {
namespace {

std::string ReadFile(const char* variable) {
  const char* path = std::getenv(variable);
  std::ifstream in(path == nullptr ? "" : path, std::ios::binary);
  if (!in) {
    std::fprintf(stderr, "%s must name a file\n", variable);
    std::exit(2);
  }
  return std::string(std::istreambuf_iterator<char>(in), {});
}

struct Inputs {
  std::string json = ReadFile("MACH_BENCH_TOKENIZER");
  std::string text = ReadFile("MACH_BENCH_TEXT");
  std::unique_ptr<Tokenizer> tokenizer = Load();

  std::unique_ptr<Tokenizer> Load() const {
    auto loaded = Tokenizer::FromJson(json);
    if (!loaded.ok()) {
      std::fprintf(stderr, "%s\n", loaded.error().message.c_str());
      std::exit(2);
    }
    return *std::move(loaded);
  }
};

const Inputs& Shared() {
  static const Inputs inputs;
  return inputs;
}

void SetBytes(benchmark::State& state, size_t bytes) {
  state.SetBytesProcessed(static_cast<int64_t>(bytes) * state.iterations());
}

void BM_Load(benchmark::State& state) {
  const Inputs& in = Shared();
  for (auto _ : state) benchmark::DoNotOptimize(in.Load());
  SetBytes(state, in.json.size());
}
BENCHMARK(BM_Load)->Unit(benchmark::kMillisecond);

void BM_EncodeWarm(benchmark::State& state) {
  const Inputs& in = Shared();
  for (auto _ : state) benchmark::DoNotOptimize(in.tokenizer->Encode(in.text));
  SetBytes(state, in.text.size());
}
BENCHMARK(BM_EncodeWarm)->Unit(benchmark::kMillisecond);

void BM_EncodeCold(benchmark::State& state) {
  const Inputs& in = Shared();
  for (auto _ : state) {
    state.PauseTiming();
    auto fresh = in.Load();
    state.ResumeTiming();
    benchmark::DoNotOptimize(fresh->Encode(in.text));
    state.PauseTiming();
    fresh.reset();
    state.ResumeTiming();
  }
  SetBytes(state, in.text.size());
}
BENCHMARK(BM_EncodeCold)->Unit(benchmark::kMillisecond)->Iterations(5);

void BM_EncodeMegabyte(benchmark::State& state) {
  const Inputs& in = Shared();
  std::string text = in.text;
  while (text.size() < (1 << 20)) text += in.text;
  for (auto _ : state) benchmark::DoNotOptimize(in.tokenizer->Encode(text));
  SetBytes(state, text.size());
}
BENCHMARK(BM_EncodeMegabyte)->Unit(benchmark::kMillisecond);

void BM_EncodePrompts(benchmark::State& state) {
  const Inputs& in = Shared();
  constexpr size_t kPrompt = 4096;
  const std::string_view text = in.text;
  for (auto _ : state) {
    for (size_t at = 0; at < text.size(); at += kPrompt) {
      benchmark::DoNotOptimize(in.tokenizer->Encode(text.substr(at, kPrompt)));
    }
  }
  SetBytes(state, text.size());
}
BENCHMARK(BM_EncodePrompts)->Unit(benchmark::kMillisecond);

void BM_Decode(benchmark::State& state) {
  const Inputs& in = Shared();
  const auto ids = in.tokenizer->Encode(in.text);
  for (auto _ : state) benchmark::DoNotOptimize(in.tokenizer->Decode(ids, false));
  SetBytes(state, in.text.size());
}
BENCHMARK(BM_Decode)->Unit(benchmark::kMillisecond);

void BM_DecodeStream(benchmark::State& state) {
  const Inputs& in = Shared();
  const auto ids = in.tokenizer->Encode(in.text);
  for (auto _ : state) {
    StreamDecoder stream(*in.tokenizer, false);
    for (const TokenId id : ids) benchmark::DoNotOptimize(stream.Push(id));
    benchmark::DoNotOptimize(stream.Finish());
  }
  SetBytes(state, in.text.size());
}
BENCHMARK(BM_DecodeStream)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace mach::text

BENCHMARK_MAIN();
