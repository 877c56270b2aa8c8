// Replays recorded expert choices against every eviction policy and bank size, next to Belady's
// optimum.
#include <cstdio>
#include <fstream>

#include "cli/bench/bench_tools.h"
#include "cli/bench/cmd_bench.h"
#include "cli/exit_codes.h"
#include "experts/trace.h"
#include "io/file.h"
#include "io/lfs_pointer.h"
#include "model/trace_observer.h"
#include "residency/loaded_model.h"
#include "text/tokenizer.h"

namespace mach::cli {
namespace {

constexpr size_t kMostBytes = size_t{1} << 30;
// Passes of more rows, parts of prompts, do not go through the bank.
constexpr size_t kVerifyRows = 16;
constexpr double kShares[] = {0.05, 0.1, 0.15, 0.25, 0.35, 0.5, 0.75, 0.95, 1.0};
constexpr experts::Eviction kPolicies[] = {experts::Eviction::kLru, experts::Eviction::kLfu,
                                           experts::Eviction::kLookahead};

// The text goes through one token at a time, as it would while being written.
Status Record(const BenchTraceOptions& o) {
  if (o.text.empty()) {
    return Error{Code::kInvalidArgument, "--record needs a text to read; give --text FILE"};
  }
  io::FileSystem& fs = io::PosixFileSystem();
  MACH_TRY(const std::string json,
           io::ReadFetchedFile(fs, o.record + "/tokenizer.json", kMostBytes));
  MACH_TRY(const auto tokenizer, text::Tokenizer::FromJson(json));
  MACH_TRY(const std::string words, io::ReadSmallFile(fs, o.text, kMostBytes));
  std::vector<TokenId> ids = tokenizer->Encode(words);
  ids.resize(std::min(ids.size(), o.tokens));
  MACH_TRY(const auto model,
           residency::LoadedModel::Load(fs, {.checkpoint = o.record, .max_rows = 1}));
  MACH_TRY(const auto state, model->NewState());
  experts::Trace trace;
  model::TraceObserver observer(model->config(), trace);
  std::vector<float> hidden(model->config().hidden);
  for (const TokenId id : ids) {
    if (state->length() == model->context_tokens()) state->Reset();
    MACH_RETURN_IF_ERROR(model->model().Forward(
        model->workspace(), {.tokens = {&id, 1}, .observer = &observer}, *state, hidden.data()));
  }
  std::ofstream out(o.trace, std::ios::binary);
  out << experts::FormatTrace(trace);
  if (!out.flush()) return Error{Code::kIo, "cannot write '" + o.trace + "'"};
  return Ok();
}

Status Show(const BenchTraceOptions& o) {
  MACH_TRY(const std::string bytes, io::ReadSmallFile(io::PosixFileSystem(), o.trace, kMostBytes));
  auto parsed = experts::ParseTrace(bytes);
  if (!parsed) return std::move(parsed).error().In(o.trace);
  const experts::Trace& trace = *parsed;
  const size_t all = trace.layers * trace.experts;
  size_t rows = 0;
  for (const experts::TracePass& pass : trace.passes) {
    if (pass.rows <= kVerifyRows) rows += pass.rows;
  }
  std::printf("%zu passes, %zu layers of %zu experts, top %zu; one token uses %zu of %zu\n",
              trace.passes.size(), trace.layers, trace.experts, trace.top_k,
              trace.layers * trace.top_k, all);
  std::printf("hits, and MB read for a token with experts of %zu KiB\n", o.record_kb);
  std::printf("  bank  slots");
  for (const experts::Eviction policy : kPolicies) {
    std::printf("  %16s", std::string(experts::EvictionName(policy)).c_str());
  }
  std::printf("  %16s\n", "optimum");
  const auto print = [&](const experts::ReplayResult& r) {
    const double mb = rows == 0
                          ? 0
                          : static_cast<double>(r.misses) * static_cast<double>(o.record_kb << 10) /
                                1e6 / static_cast<double>(rows);
    std::printf("  %7.2f%% %7.2f", r.hit_rate() * 100, mb);
  };
  for (const double share : kShares) {
    const auto slots = std::max<size_t>(1, static_cast<size_t>(share * static_cast<double>(all)));
    std::printf("%5.0f%% %6zu", share * 100, slots);
    for (const experts::Eviction policy : kPolicies) {
      const auto made = experts::MakeEvictionPolicy(policy, trace.layers, trace.experts, slots);
      print(experts::Replay(trace, slots, *made, kVerifyRows));
    }
    print(experts::ReplayOptimal(trace, slots, kVerifyRows));
    std::printf("\n");
  }
  return Ok();
}

}  // namespace

int RunBenchTrace(const BenchTraceOptions& options) {
  Status status = options.record.empty() ? Ok() : Record(options);
  if (status.ok()) status = Show(options);
  return status.ok() ? kExitOk : BenchFailed("trace", status.error());
}

}  // namespace mach::cli
