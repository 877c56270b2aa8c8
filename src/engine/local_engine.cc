#include "engine/local_engine.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "base/clock.h"
#include "sample/sampler.h"

namespace mach::engine {
namespace {

class QueuedGeneration final : public Generation {
 public:
  QueuedGeneration(Request r, std::shared_ptr<Sink> s, int64_t now)
      : request(std::move(r)), sink(std::move(s)), queued_ns(now) {}
  void Cancel() override { cancelled.store(true, std::memory_order_relaxed); }

  const Request request;
  const std::shared_ptr<Sink> sink;
  const int64_t queued_ns;
  std::atomic<bool> cancelled{false};
};

double Milliseconds(int64_t ns) { return static_cast<double>(ns) * 1e-6; }

class LocalEngine final : public Engine {
 public:
  LocalEngine(std::unique_ptr<model::LoadedModel> model, Info info,
              std::unique_ptr<cache::SequenceState> state, size_t max_queue)
      : model_(std::move(model)),
        info_(std::move(info)),
        max_queue_(max_queue),
        state_(std::move(state)) {
    hidden_.resize(model_->workspace().max_rows() * model_->config().hidden);
    logits_.resize(model_->config().vocab);
    thread_ = std::thread([this] { Loop(); });
  }

  ~LocalEngine() override {
    {
      std::lock_guard lock(mu_);
      stop_ = true;
      for (const auto& g : queue_) g->Cancel();
      if (running_) running_->Cancel();
    }
    wake_.notify_all();
    thread_.join();
  }

  const Info& info() const override { return info_; }

  Result<std::shared_ptr<Generation>> Submit(Request request, std::shared_ptr<Sink> sink) override {
    MACH_RETURN_IF_ERROR(Check(request));
    auto generation =
        std::make_shared<QueuedGeneration>(std::move(request), std::move(sink), clock_.NowNs());
    {
      std::lock_guard lock(mu_);
      if (stop_) return Error{Code::kBusy, "the engine is shutting down"};
      // One more while the engine is between two requests: it will take that one at once.
      if (queue_.size() >= max_queue_ + (running_ == nullptr ? 1 : 0)) {
        return Error{Code::kBusy, std::to_string(queue_.size()) + " requests are waiting already"};
      }
      queue_.push_back(generation);
    }
    wake_.notify_one();
    return std::shared_ptr<Generation>(std::move(generation));
  }

 private:
  Status Check(const Request& request) const {
    if (request.prompt.empty()) return Error{Code::kInvalidArgument, "the prompt has no tokens"};
    if (request.prompt.size() >= info_.context_tokens) {
      return Error{Code::kInvalidArgument,
                   "the prompt has " + std::to_string(request.prompt.size()) +
                       " tokens; the context holds " + std::to_string(info_.context_tokens) +
                       " with the answer; shorten it or restart with a larger --ctx-size"};
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
    while (true) {
      std::shared_ptr<QueuedGeneration> next;
      {
        std::unique_lock lock(mu_);
        running_.reset();
        wake_.wait(lock, [&] { return stop_ || !queue_.empty(); });
        if (queue_.empty()) return;  // stopping; what was queued has been told
        next = queue_.front();
        queue_.pop_front();
        running_ = next;
      }
      Run(*next);
    }
  }

  void Run(QueuedGeneration& g) {
    Timings timings;
    const int64_t start = clock_.NowNs();
    timings.queue_ms = Milliseconds(start - g.queued_ns);
    timings.prompt_tokens = g.request.prompt.size();
    Result<FinishReason> result = Generate(g, start, timings);
    if (!result && result.error().code == Code::kCancelled) result = FinishReason::kCancelled;
    g.sink->OnDone(std::move(result), timings);
  }

  // One forward pass over tokens; the logits of the last one when wanted.
  Status Step(QueuedGeneration& g, std::span<const TokenId> tokens, bool want_logits) {
    MACH_RETURN_IF_ERROR(model_->model().Forward(
        model_->workspace(), {.tokens = tokens, .cancel = &g.cancelled}, *state_, hidden_.data()));
    if (want_logits) {
      const float* last = hidden_.data() + (tokens.size() - 1) * model_->config().hidden;
      model_->model().Logits(model_->workspace(), last, 1, logits_.data());
    }
    return Ok();
  }

  Result<FinishReason> Generate(QueuedGeneration& g, int64_t start, Timings& timings) {
    if (g.cancelled.load()) return FinishReason::kCancelled;
    const std::span<const TokenId> prompt = g.request.prompt;
    state_->Reset();
    const size_t chunk = model_->workspace().max_rows();
    for (size_t at = 0; at < prompt.size(); at += chunk) {
      const size_t n = std::min(chunk, prompt.size() - at);
      MACH_RETURN_IF_ERROR(Step(g, prompt.subspan(at, n), at + n == prompt.size()));
      g.sink->OnPrefill(at + n, prompt.size());
    }
    const int64_t prefilled = clock_.NowNs();
    timings.prefill_ms = Milliseconds(prefilled - start);

    sample::Sampler sampler(g.request.sampling, info_.vocab_size);
    sampler.AcceptPrompt(prompt);
    const size_t most = std::min(g.request.max_tokens, info_.context_tokens - prompt.size());
    for (size_t n = 0; n < most; ++n) {
      const TokenId token = sampler.Choose(logits_, prompt.size() + n);
      const auto& stops = g.request.stop_tokens;
      if (std::find(stops.begin(), stops.end(), token) != stops.end()) return FinishReason::kStop;
      sampler.Accept(token);
      g.sink->OnToken(Describe(g.request, token));
      timings.output_tokens = n + 1;
      timings.decode_ms = Milliseconds(clock_.NowNs() - prefilled);
      if (n + 1 == most) break;
      if (g.cancelled.load(std::memory_order_relaxed)) return FinishReason::kCancelled;
      MACH_RETURN_IF_ERROR(Step(g, {&token, 1}, true));
    }
    return FinishReason::kLength;
  }

  TokenEvent Describe(const Request& request, TokenId token) const {
    TokenEvent event{.token = token};
    if (!request.want_logprobs) return event;
    const sample::LogProbs p = sample::ComputeLogProbs(logits_, token, request.logprobs);
    event.logprob = p.chosen;
    for (const sample::LogProb& t : p.top) event.top.push_back({t.token, t.logprob});
    return event;
  }

  const SystemClock clock_;
  const std::unique_ptr<model::LoadedModel> model_;
  const Info info_;
  const size_t max_queue_;

  // Owned by the engine thread.
  std::unique_ptr<cache::SequenceState> state_;
  std::vector<float> hidden_;
  std::vector<float> logits_;

  std::mutex mu_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<QueuedGeneration>> queue_;  // guarded by mu_
  std::shared_ptr<QueuedGeneration> running_;            // guarded by mu_
  bool stop_ = false;                                    // guarded by mu_
  std::thread thread_;
};

// eos_token_id is one id or a list.
std::vector<TokenId> StopTokens(const json::Value& config) {
  std::vector<TokenId> stops;
  const json::Value* eos = config.Find("eos_token_id");
  if (eos == nullptr) return stops;
  if (eos->is_int()) stops.push_back(static_cast<TokenId>(eos->AsInt()));
  if (eos->is_array()) {
    for (const json::Value& id : eos->AsArray()) {
      if (id.is_int()) stops.push_back(static_cast<TokenId>(id.AsInt()));
    }
  }
  return stops;
}

}  // namespace

Result<Info> DescribeModel(const model::LoadedModel& model, const std::string& model_id) {
  Info info;
  info.model_id = model_id;
  info.architecture = model.config().architecture;
  info.context_tokens = model.context_tokens();
  info.vocab_size = model.config().vocab;
  info.parameter_count = model.model().ParameterCount();
  const json::Value& generation = model.checkpoint().generation_config();
  const json::Value& config = model.checkpoint().config();
  info.stop_tokens = StopTokens(generation);
  if (info.stop_tokens.empty()) info.stop_tokens = StopTokens(config);
  const json::Value* text = config.Find("text_config");
  if (info.stop_tokens.empty() && text != nullptr) info.stop_tokens = StopTokens(*text);

  sample::Params& p = info.default_sampling;
  const auto read = [&]() -> Status {
    MACH_TRY(const double temperature, json::GetDouble(generation, "temperature", 1.0));
    MACH_TRY(const double top_p, json::GetDouble(generation, "top_p", 1.0));
    MACH_TRY(const double min_p, json::GetDouble(generation, "min_p", 0.0));
    MACH_TRY(const double repetition, json::GetDouble(generation, "repetition_penalty", 1.0));
    MACH_TRY(const int64_t top_k, json::GetInt(generation, "top_k", 0));
    p.temperature = static_cast<float>(temperature);
    p.top_p = static_cast<float>(top_p);
    p.min_p = static_cast<float>(min_p);
    p.repetition_penalty = static_cast<float>(repetition);
    p.top_k = static_cast<int32_t>(std::clamp<int64_t>(top_k, 0, INT32_MAX));
    return sample::ValidateParams(p, info.vocab_size);
  };
  if (Status status = read(); !status) {
    return std::move(status).error().In(model.checkpoint().directory() + "/generation_config.json");
  }
  return info;
}

Result<std::unique_ptr<Engine>> MakeLocalEngine(std::unique_ptr<model::LoadedModel> model,
                                                const LocalEngineOptions& options) {
  MACH_TRY(Info info, DescribeModel(*model, options.model_id));
  MACH_TRY(auto state, model->NewState());
  return std::unique_ptr<Engine>(std::make_unique<LocalEngine>(
      std::move(model), std::move(info), std::move(state), options.max_queue));
}

}  // namespace mach::engine
