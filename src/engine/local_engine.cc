#include "engine/local_engine.h"

#include <thread>

#include "base/clock.h"
#include "engine/decoder.h"
#include "engine/request_queue.h"
#include "sample/params.h"

namespace mach::engine {
namespace {

class LocalEngine final : public Engine {
 public:
  LocalEngine(std::unique_ptr<residency::LoadedModel> model, Info info,
              std::unique_ptr<Decoder> decoder, size_t max_queue, const Clock& clock)
      : model_(std::move(model)),
        info_(std::move(info)),
        decoder_(std::move(decoder)),
        queue_(std::make_shared<RequestQueue>(max_queue, clock)) {
    thread_ = std::thread([this] { Loop(); });
  }

  ~LocalEngine() override {
    queue_->Stop();
    thread_.join();
  }

  const Info& info() const override { return info_; }

  Result<std::shared_ptr<Generation>> Submit(Request request, std::shared_ptr<Sink> sink) override {
    MACH_RETURN_IF_ERROR(Check(request));
    MACH_TRY(auto generation, queue_->Submit(std::move(request), std::move(sink)));
    return std::shared_ptr<Generation>(std::move(generation));
  }

  EngineStats stats() const override {
    EngineStats stats;
    stats.requests = queue_->stats();
    stats.speculation = decoder_->speculation_modes().statistics().Snapshot();
    if (const auto* store = model_->streaming()) stats.bank = store->Stats();
    if (const auto* prefixes = decoder_->prefix_cache()) stats.prefix_cache = prefixes->counters();
    return stats;
  }
  std::vector<RequestInfo> requests() const override { return queue_->List(); }
  size_t CancelRequest(std::string_view id) override { return queue_->Cancel(id); }
  std::vector<PrefixInfo> prefixes() const override;
  size_t ClearPrefixes() override {
    auto* prefixes = decoder_->prefix_cache();
    return prefixes == nullptr ? 0 : prefixes->Clear();
  }

 private:
  Status Check(const Request& request) const {
    if (request.prompt.empty()) return Error{Code::kInvalidArgument, "the prompt has no tokens"};
    if (request.prompt.size() >= info_.context_tokens) {
      return Error{Code::kInvalidArgument,
                   "the prompt has " + std::to_string(request.prompt.size()) +
                       " tokens; the context holds " + std::to_string(info_.context_tokens) +
                       " with the answer; " + HowToFitPrompt(info_, request.prompt.size())};
    }
    for (const TokenId t : request.prompt) {
      if (t < 0 || static_cast<size_t>(t) >= info_.vocab_size) {
        return Error{Code::kInvalidArgument, "token id " + std::to_string(t) +
                                                 " is not below the vocabulary's " +
                                                 std::to_string(info_.vocab_size)};
      }
    }
    return sample::ValidateParams(request.sampling, info_.vocab_size);
  }

  void Loop() {
    double queue_ms = 0;
    while (const auto next = queue_->Next(queue_ms)) {
      Timings timings;
      timings.queue_ms = queue_ms;
      timings.prompt_tokens = next->request.prompt.size();
      auto result = decoder_->Run(next->request, next->cancelled(), *next, timings);
      if (!result && result.error().code == Code::kCancelled) result = FinishReason::kCancelled;
      next->OnDone(std::move(result), timings);
      decoder_->EndRequest();
    }
  }

  const std::unique_ptr<residency::LoadedModel> model_;
  const Info info_;
  const std::unique_ptr<Decoder> decoder_;  // used by the engine thread
  const std::shared_ptr<RequestQueue> queue_;
  std::thread thread_;
};

std::vector<PrefixInfo> LocalEngine::prefixes() const {
  std::vector<PrefixInfo> list;
  const auto* prefixes = decoder_->prefix_cache();
  if (prefixes == nullptr) return list;
  for (const auto& row : prefixes->ListMemory()) {
    // Conversations that a client named begin with "=".
    const bool named = row.conversation.starts_with('=');
    list.push_back({.tokens = row.tokens,
                    .bytes = row.bytes,
                    .kind = row.kind,
                    .in_memory = true,
                    .on_disk = row.on_disk,
                    .hits = static_cast<double>(row.hits),
                    .session = named ? row.conversation.substr(1) : ""});
  }
  for (const auto& row : prefixes->ListDisk()) {
    list.push_back({.tokens = row.tokens,
                    .bytes = row.bytes,
                    .kind = row.kind,
                    .on_disk = true,
                    .hits = row.hits});
  }
  return list;
}

}  // namespace

Result<std::unique_ptr<Engine>> MakeLocalEngine(std::unique_ptr<residency::LoadedModel>&& model,
                                                const LocalEngineOptions& options,
                                                const Clock& clock) {
  MACH_TRY(Info info, DescribeModel(*model, options.model_id, options.stop_tokens));
  MACH_TRY(auto decoder, Decoder::Create(*model, clock, options.decoder));
  info.max_queue = options.max_queue;
  info.has_drafter = decoder->speculation_modes().has_drafter();
  if (info.has_drafter) info.block_policy = decoder->speculation_modes().policy_name();
  info.has_prefix_cache = decoder->prefix_cache() != nullptr;
  return std::unique_ptr<Engine>(std::make_unique<LocalEngine>(
      std::move(model), std::move(info), std::move(decoder), options.max_queue, clock));
}

}  // namespace mach::engine
