#include "server/protocol/warm/warm_reply.h"

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "json/value.h"
#include "server/protocol/generation_reply.h"
#include "server/protocol/response_json.h"
#include "server/protocol/token_channel.h"

namespace mach::server {
namespace {

class WarmReply final : public Reply {
 public:
  WarmReply(engine::Request request, std::shared_ptr<engine::Engine> engine, const Clock& clock)
      : id_(request.id), request_(std::move(request)), engine_(std::move(engine)), clock_(clock) {}
  ~WarmReply() override {
    if (channel_ != nullptr) channel_->Disconnect();
    if (generation_ != nullptr) generation_->Cancel();
  }

  void Start(std::function<void()> wake) override {
    started_ns_ = clock_.NowNs();
    tokens_ = request_.prompt.size();
    channel_ = std::make_shared<TokenChannel>(wake);
    auto generation = engine_->Submit(std::move(request_), channel_);
    if (generation) {
      generation_ = *std::move(generation);
      return;
    }
    const Error& error = generation.error();
    error_ = error.code == Code::kBusy ? QueueFull(error.message, engine_->stats().requests)
                                       : FromError(error, id_);
    wake();
  }

  ReplyStep Take() override {
    ReplyStep step;
    if (error_) {
      step.head = ToResponse(*error_);
      step.done = true;
      return step;
    }
    const TokenChannel::Batch batch = channel_->Take();
    if (!batch.end && !batch.lost) return step;
    step.done = true;
    if (batch.lost) {
      step.head = ToResponse(FromError(
          Error{Code::kNoMemory, "there was no memory for the computation's events"}, id_));
      return step;
    }
    const auto& [result, timings] = *batch.end;
    cached_ = timings.cached_tokens;
    if (!result.ok()) {
      step.head = ToResponse(FromError(result.error(), id_));
    } else if (*result == engine::FinishReason::kCancelled) {
      step.head = ToResponse(FromError(Error{Code::kCancelled, "the request was cancelled"}, id_));
    } else {
      const auto prefixes = engine_->stats().prefix_cache;
      step.head = JsonResponse(json::Object{{"tokens", tokens_},
                                            {"cached", cached_},
                                            {"bytes", prefixes ? prefixes->bytes : 0},
                                            {"ms", ToMilliseconds(clock_.NowNs() - started_ns_)}});
    }
    return step;
  }

  void Abort(const ApiError& error) override {
    if (!error_) error_ = error;
    if (generation_ != nullptr) generation_->Cancel();
  }
  std::string Ping() override { return ""; }
  std::optional<std::chrono::milliseconds> PingInterval() const override { return {}; }
  std::string Summary() const override {
    return " prompt_tokens=" + std::to_string(tokens_) +
           " cached_tokens=" + std::to_string(cached_);
  }

 private:
  const std::string id_;
  engine::Request request_;
  const std::shared_ptr<engine::Engine> engine_;
  const Clock& clock_;
  int64_t started_ns_ = 0;
  size_t tokens_ = 0;
  size_t cached_ = 0;
  std::shared_ptr<TokenChannel> channel_;
  std::shared_ptr<engine::Generation> generation_;
  std::optional<ApiError> error_;
};

}  // namespace

std::unique_ptr<Reply> MakeWarmReply(engine::Request request,
                                     std::shared_ptr<engine::Engine> engine, const Clock& clock) {
  return std::make_unique<WarmReply>(std::move(request), std::move(engine), clock);
}

}  // namespace mach::server
