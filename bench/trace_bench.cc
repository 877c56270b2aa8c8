// Records which experts a model chooses, and replays such a trace against every eviction policy and
// bank size, next to Belady's optimum.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "base/topology.h"
#include "experts/trace.h"
#include "io/file.h"
#include "model/loaded_model.h"
#include "model/trace_observer.h"
#include "text/tokenizer.h"

namespace mach {
namespace {

constexpr size_t kMostBytes = size_t{1} << 30;
constexpr size_t kVerifyRows = 16;

// The text goes through one token at a time, as it would while being written.
Status Record(const std::string& checkpoint, const std::string& text_path, size_t tokens,
              const std::string& out_path) {
  io::FileSystem& fs = io::PosixFileSystem();
  MACH_TRY(const std::string json,
           io::ReadSmallFile(fs, checkpoint + "/tokenizer.json", kMostBytes));
  MACH_TRY(const auto tokenizer, text::Tokenizer::FromJson(json));
  MACH_TRY(const std::string words, io::ReadSmallFile(fs, text_path, kMostBytes));
  std::vector<TokenId> ids = tokenizer->Encode(words);
  ids.resize(std::min(ids.size(), tokens));
  MACH_TRY(const auto model,
           model::LoadedModel::Load(fs, {.checkpoint = checkpoint, .max_rows = 1}));
  MACH_TRY(const auto state, model->NewState());
  experts::Trace trace;
  model::TraceObserver observer(model->config(), trace);
  std::vector<float> hidden(model->config().hidden);
  for (const TokenId id : ids) {
    if (state->length() == model->context_tokens()) state->Reset();
    MACH_RETURN_IF_ERROR(model->model().Forward(
        model->workspace(), {.tokens = {&id, 1}, .observer = &observer}, *state, hidden.data()));
  }
  std::ofstream out(out_path, std::ios::binary);
  out << experts::FormatTrace(trace);
  if (!out.flush()) return Error{Code::kIo, "cannot write '" + out_path + "'"};
  std::printf("%zu passes written to %s\n", trace.passes.size(), out_path.c_str());
  return Ok();
}

Status Show(const std::string& path) {
  MACH_TRY(const std::string bytes, io::ReadSmallFile(io::PosixFileSystem(), path, kMostBytes));
  MACH_TRY(const experts::Trace trace, experts::ParseTrace(bytes));
  const size_t all = trace.layers * trace.experts;
  std::printf("%zu passes, %zu layers of %zu experts, top %zu; one token uses %zu of %zu\n",
              trace.passes.size(), trace.layers, trace.experts, trace.top_k,
              trace.layers * trace.top_k, all);
  std::printf("   bank  slots      lru      lfu  lookahead  optimum\n");
  for (const double share : {0.05, 0.1, 0.15, 0.25, 0.35, 0.5, 0.75, 1.0}) {
    const auto slots = std::max<size_t>(1, static_cast<size_t>(share * static_cast<double>(all)));
    std::printf("%6.0f%% %6zu", share * 100, slots);
    for (const auto policy :
         {experts::Eviction::kLru, experts::Eviction::kLfu, experts::Eviction::kLookahead}) {
      const auto made = experts::MakeEvictionPolicy(policy, trace.layers, trace.experts);
      const double rate = experts::Replay(trace, slots, *made, kVerifyRows).hit_rate();
      std::printf(policy == experts::Eviction::kLookahead ? "   %7.2f%%" : " %7.2f%%", rate * 100);
    }
    std::printf(" %7.2f%%\n", experts::ReplayOptimal(trace, slots, kVerifyRows).hit_rate() * 100);
  }
  return Ok();
}

int Main(const std::vector<std::string>& args) {
  Status status = Ok();
  if (args.size() == 5 && args[0] == "record") {
    const long tokens = std::strtol(args[3].c_str(), nullptr, 10);
    status = Record(args[1], args[2], static_cast<size_t>(std::max(1L, tokens)), args[4]);
  } else if (args.size() == 2 && args[0] == "replay") {
    status = Show(args[1]);
  } else {
    std::fprintf(stderr,
                 "usage: trace_bench replay TRACE\n"
                 "       trace_bench record CHECKPOINT TEXT TOKENS TRACE\n");
    return 2;
  }
  if (status.ok()) return 0;
  std::fprintf(stderr, "trace_bench: %s\n", status.error().message.c_str());
  return 1;
}

}  // namespace
}  // namespace mach

int main(int argc, char** argv) {
  return mach::Main(std::vector<std::string>(argv + 1, argv + argc));
}
