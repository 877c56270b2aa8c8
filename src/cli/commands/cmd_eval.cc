#include "cli/commands/cmd_eval.h"

#include <algorithm>
#include <cinttypes>
#include <cmath>
#include <cstdio>

#include "cli/commands/open_options.h"
#include "cli/commands/recommend.h"
#include "cli/exit_codes.h"
#include "cli/progress.h"
#include "engine/open.h"
#include "io/safetensors_writer.h"
#include "json/parse.h"
#include "kernels/table.h"
#include "model/model.h"
#include "residency/loaded_model.h"
#include "sample/sampler.h"
#include "tensor/dtype.h"
#include "text/tokenizer.h"

namespace mach::cli {
namespace {

constexpr size_t kMaxInputBytes = size_t{256} << 20;

// Ids of an --ids file: a JSON array of numbers.
Result<std::vector<TokenId>> ReadIds(const std::string& path, size_t vocab) {
  MACH_TRY(const std::string text, io::ReadSmallFile(io::PosixFileSystem(), path, kMaxInputBytes));
  auto parsed = json::ParseLarge(text);
  if (!parsed) return std::move(parsed).error().In(path);
  if (!parsed->is_array()) {
    return Error{Code::kInvalidArgument, path + ": found " + std::string(parsed->KindName()) +
                                             ", expected an array of token ids"};
  }
  std::vector<TokenId> ids;
  for (const json::Value& v : parsed->AsArray()) {
    if (!v.is_int() || v.AsInt() < 0 || static_cast<uint64_t>(v.AsInt()) >= vocab) {
      return Error{Code::kInvalidArgument, path + ": element " + std::to_string(ids.size()) +
                                               " is no token id below " + std::to_string(vocab)};
    }
    ids.push_back(static_cast<TokenId>(v.AsInt()));
  }
  return ids;
}

Result<std::vector<TokenId>> ReadInput(const EvalOptions& options,
                                       const residency::LoadedModel& model) {
  if (!options.ids_file.empty()) return ReadIds(options.ids_file, model.config().vocab);
  MACH_TRY(const std::string text,
           io::ReadSmallFile(io::PosixFileSystem(), options.text_file, kMaxInputBytes));
  MACH_TRY(const std::string json, model.checkpoint().ReadText("tokenizer.json", kMaxInputBytes));
  MACH_TRY(const auto tokenizer, text::Tokenizer::FromJson(json));
  std::vector<TokenId> ids = tokenizer->Encode(text);
  for (const TokenId id : ids) {
    if (static_cast<size_t>(id) >= model.config().vocab) {
      return Error{Code::kCorrupt, "tokenizer.json gives id " + std::to_string(id) +
                                       "; the model has " + std::to_string(model.config().vocab)};
    }
  }
  return ids;
}

// What a pass leaves behind, for the files of --hidden and --experts (names and shapes as in the
// reference outputs: hidden_0 .. hidden_L [T, hidden] f32, experts [layers, T, k] i32).
class Keeper final : public model::ForwardObserver {
 public:
  Keeper(size_t layers, size_t hidden, bool want_hidden)
      : hidden_states(layers + 1), experts(layers), hidden_(hidden), want_hidden_(want_hidden) {}
  void OnHidden(size_t layer, const float* rows, size_t count) override {
    if (!want_hidden_) return;
    hidden_states[layer].insert(hidden_states[layer].end(), rows, rows + count * hidden_);
  }
  void OnExperts(size_t layer, const ExpertId* ids, size_t count, size_t k) override {
    top_k = k;
    for (size_t i = 0; i < count * k; ++i)
      experts[layer].push_back(static_cast<int32_t>(Index(ids[i])));
  }
  std::vector<std::vector<float>> hidden_states;
  std::vector<std::vector<int32_t>> experts;
  size_t top_k = 0;

 private:
  const size_t hidden_;
  const bool want_hidden_;
};

Status WriteHidden(const std::string& path, const Keeper& keeper, size_t tokens, size_t width) {
  std::vector<io::TensorSpec> specs;
  for (size_t i = 0; i < keeper.hidden_states.size(); ++i) {
    specs.push_back({"hidden_" + std::to_string(i), tensor::DType::kF32, {tokens, width}});
  }
  MACH_TRY(auto writer, io::SafetensorsWriter::Create(path, specs));
  for (const auto& rows : keeper.hidden_states) {
    MACH_RETURN_IF_ERROR(writer.Append(std::span<const float>(rows)));
  }
  return writer.Finish();
}

Status WriteExperts(const std::string& path, const Keeper& keeper, size_t tokens) {
  // Layers without experts have none; the rest are stacked in order.
  std::vector<const std::vector<int32_t>*> layers;
  for (const auto& layer : keeper.experts) {
    if (!layer.empty()) layers.push_back(&layer);
  }
  const std::vector<io::TensorSpec> specs = {
      {"experts", tensor::DType::kI32, {layers.size(), tokens, keeper.top_k}}};
  MACH_TRY(auto writer, io::SafetensorsWriter::Create(path, specs));
  for (const auto* layer : layers)
    MACH_RETURN_IF_ERROR(writer.Append(std::span<const int32_t>(*layer)));
  return writer.Finish();
}

Status Evaluate(const EvalOptions& options) {
  DraftOptions none;
  none.target_only = true;
  MACH_TRY(const engine::OpenOptions open, OpenOptionsFrom(options.model, none, nullptr, 0));
  auto loaded = [&] {
    Progress progress("loading", ProgressLines::kLog);
    return engine::OpenModel(io::PosixFileSystem(), open, [&](uint64_t done, uint64_t total) {
      progress.Update(done, total);
      return true;
    });
  }();
  if (!loaded) return std::move(loaded).error();
  residency::LoadedModel& model = **loaded;
  MACH_TRY(const std::vector<TokenId> ids, ReadInput(options, model));
  if (ids.size() < 2) return Error{Code::kInvalidArgument, "the input has fewer than 2 tokens"};

  const size_t width = model.config().hidden;
  const size_t vocab = model.config().vocab;
  const size_t chunk = model.workspace().max_rows();
  const size_t window = model.context_tokens();
  const bool keep = !options.hidden_file.empty() || !options.experts_file.empty();
  Keeper keeper(model.config().layers.size(), width, !options.hidden_file.empty());
  std::optional<io::SafetensorsWriter> logits_file;
  if (!options.logits_file.empty()) {
    const std::vector<io::TensorSpec> specs = {
        {"logits_full", tensor::DType::kF32, {ids.size(), vocab}}};
    MACH_TRY(auto writer, io::SafetensorsWriter::Create(options.logits_file, specs));
    logits_file.emplace(std::move(writer));
  }

  MACH_TRY(const auto state, model.NewState());
  std::vector<float> hidden(chunk * width);
  std::vector<float> logits(chunk * vocab);
  double nll = 0;
  size_t predicted = 0;
  Progress progress("evaluating", ProgressLines::kLog, ProgressUnit::kTokens);
  for (size_t at = 0; at < ids.size();) {
    // A text beyond the context is read in windows that know nothing of each other.
    if (state->length() == window) state->Reset();
    const size_t n = std::min({chunk, ids.size() - at, window - state->length()});
    const model::ForwardRequest request{.tokens = std::span(ids).subspan(at, n),
                                        .observer = keep ? &keeper : nullptr};
    MACH_RETURN_IF_ERROR(model.model().Forward(model.workspace(), request, *state, hidden.data()));
    MACH_RETURN_IF_ERROR(model.model().Logits(model.workspace(), hidden.data(), n, logits.data()));
    if (logits_file)
      MACH_RETURN_IF_ERROR(logits_file->Append(std::span<const float>(logits).first(n * vocab)));
    for (size_t r = 0; r < n && at + r + 1 < ids.size(); ++r) {
      if (state->length() == window && r + 1 == n) break;  // the next token starts a window
      const auto row = std::span<const float>(logits).subspan(r * vocab, vocab);
      nll -= static_cast<double>(sample::ComputeLogProbs(row, ids[at + r + 1], 0).chosen);
      ++predicted;
    }
    at += n;
    progress.Update(at, ids.size());
  }
  if (logits_file) MACH_RETURN_IF_ERROR(logits_file->Finish());
  if (!options.hidden_file.empty()) {
    MACH_RETURN_IF_ERROR(WriteHidden(options.hidden_file, keeper, ids.size(), width));
  }
  if (!options.experts_file.empty()) {
    MACH_RETURN_IF_ERROR(WriteExperts(options.experts_file, keeper, ids.size()));
  }
  const double mean = nll / static_cast<double>(predicted);
  std::printf("tokens=%zu predicted=%zu nll=%.6f perplexity=%.4f compute=%s isa=%s\n", ids.size(),
              predicted, mean, std::exp(mean), options.model.compute_f32 ? "f32" : "int8",
              std::string(kernels::IsaName(model.kernels().isa)).c_str());
  return Ok();
}

}  // namespace

int RunEval(const EvalOptions& options) {
  if (options.text_file.empty() == options.ids_file.empty()) {
    std::fputs("mach eval: give one of --text FILE and --ids FILE\n", stderr);
    return kExitUsage;
  }
  if (const Status status = Evaluate(options); !status) {
    DraftOptions none;
    none.target_only = true;
    std::fputs(("mach eval: " + status.error().message + "\n" +
                AdviceWhenTooLarge(options.model, none, status.error()))
                   .c_str(),
               stderr);
    return kExitFailure;
  }
  return kExitOk;
}

}  // namespace mach::cli
