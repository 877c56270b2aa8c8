#include "server/protocol/generation_reply.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/clock.h"
#include "dialog/codec.h"
#include "engine/engine.h"
#include "engine/stats.h"
#include "json/write.h"
#include "server/http/faults.h"

namespace mach::server {
namespace {

constexpr int kMostRetrySeconds = 60;  // clients ignore longer waits

}  // namespace

ApiError QueueFull(std::string message, const engine::RequestStats& requests) {
  ApiError error = FromError(Error{Code::kBusy, std::move(message)}, "");
  const double wait_s =
      requests.mean_request_ms * static_cast<double>(requests.queued + requests.running) / 1000.0;
  error.retry_after_s =
      static_cast<int>(std::clamp(std::ceil(wait_s), 1.0, double{kMostRetrySeconds}));
  return error;
}

GenerationReply::GenerationReply(GenerationReplyOptions options, ChoiceRuns choices,
                                 std::shared_ptr<engine::Engine> engine, const Clock& clock)
    : options_(std::move(options)),
      choices_(std::move(choices)),
      engine_(std::move(engine)),
      clock_(clock),
      created_(clock.UnixSeconds()) {
  for (const dialog::Prompt& prompt : options_.prompts) prompt_tokens_ += prompt.tokens.size();
}

void GenerationReply::Start(std::function<void()> wake) {
  started_ns_ = clock_.NowNs();
  if (options_.max_queue_wait.count() > 0) {
    queue_deadline_ = std::chrono::steady_clock::now() + options_.max_queue_wait;
  }
  for (const auto& choice : choices_) {
    if (Status status = choice->Submit(wake); !status) {
      error_ = status.error().code == Code::kBusy
                   ? QueueFull(status.error().message, engine_->stats().requests)
                   : FromError(status.error(), options_.request_id);
      break;
    }
  }
  if (error_) {
    for (const auto& choice : choices_) choice->Cancel();
    wake();
  }
}

void GenerationReply::Abort(const ApiError& error) {
  if (!error_) error_ = error;
  for (const auto& choice : choices_) choice->Cancel();
}

bool GenerationReply::AllFinished() const {
  return std::all_of(choices_.begin(), choices_.end(), [](const auto& c) { return c->finished(); });
}

bool GenerationReply::Waits() const {
  return std::all_of(choices_.begin(), choices_.end(),
                     [](const auto& c) { return !c->finished() && !c->progress(); });
}

void GenerationReply::CheckQueueWait() {
  if (!queue_deadline_ || error_) return;
  if (!Waits()) {
    queue_deadline_.reset();
  } else if (std::chrono::steady_clock::now() >= *queue_deadline_) {
    queue_deadline_.reset();
    const auto seconds = std::chrono::duration<double>(options_.max_queue_wait).count();
    Abort(QueueFull("the request has waited for its turn for " + json::FormatDouble(seconds) +
                        " s, the limit of --max-queue-wait",
                    engine_->stats().requests));
  }
}

std::optional<std::chrono::steady_clock::time_point> GenerationReply::WakeAt() const {
  return queue_deadline_;
}

std::string GenerationReply::Ping() {
  for (const auto& choice : choices_) {
    if (choice->finished()) continue;
    const auto& progress = choice->progress();
    if (!progress) {
      const size_t position = choice->queue_position();
      return ": queued" + (position > 0 ? " " + std::to_string(position) : "") + "\n\n";
    }
    if (progress->done < progress->total) {
      return ": prefill " + std::to_string(progress->done) + "/" + std::to_string(progress->total) +
             "\n\n";
    }
    break;
  }
  return ": ping\n\n";
}

std::optional<std::chrono::milliseconds> GenerationReply::PingInterval() const {
  const auto& asked = options_.request.ping_interval_s;
  if (!asked) return options_.ping_interval;
  if (*asked < 0) return std::nullopt;
  return std::chrono::seconds(*asked);
}

ReplyStep GenerationReply::Take() {
  CheckQueueWait();
  ReplyStep step = options_.request.stream ? TakeStreamed() : TakeWhole();
  if (!step.head || error_) return step;
  if (!options_.decode_mode.empty()) {
    step.head->headers.push_back({"X-Decode-Mode", options_.decode_mode});
  }
  if (!options_.request.ignored.empty()) {
    std::string names;
    for (const std::string& name : options_.request.ignored) {
      names += (names.empty() ? "" : ", ") + name;
    }
    step.head->headers.push_back({"x-mach-ignored-parameters", names});
  }
  return step;
}

ChoiceRun::Update GenerationReply::Update(size_t index) {
  ChoiceRun::Update update = choices_[index]->Take();
  if (ttft_ms_ == 0 && !update.tokens.empty()) {
    ttft_ms_ = ToMilliseconds(clock_.NowNs() - started_ns_);
  }
  if (update.finished && !choices_[index]->finish_reason().ok() && !error_) {
    const Error& error = choices_[index]->finish_reason().error();
    if (error.code == Code::kNoMemory) error_ = RefusedMemory(MemoryScope::Current().get());
    if (!error_) error_ = FromError(error, options_.request_id);
  }
  return update;
}

ReplyStep GenerationReply::TakeWhole() {
  ReplyStep step;
  for (size_t i = 0; i < choices_.size() && !error_; ++i) {
    if (!choices_[i]->finished()) Keep(i, Update(i));
  }
  if (error_) {
    step.head = ToResponse(*error_);
    step.done = true;
    return step;
  }
  if (!AllFinished()) return step;
  step.head.emplace();
  step.head->body = json::Write(Body());
  step.done = true;
  return step;
}

ReplyStep GenerationReply::TakeStreamed() {
  ReplyStep step;
  if (!head_sent_) {
    head_sent_ = true;
    if (error_) {
      step.head = ToResponse(*error_);
      step.done = true;
      return step;
    }
    step.head = SseHead();
    BeginStream(step.bytes);
  }
  for (size_t i = 0; i < choices_.size() && !error_; ++i) {
    if (!choices_[i]->finished()) AddUpdate(i, Update(i), step.bytes);
  }
  if (error_) {
    failed_in_stream_ = true;
    step.bytes += SseEvent(ToJson(*error_));
    step.bytes += kSseDone;
    step.done = true;
    return step;
  }
  if (!AllFinished()) return step;
  EndStream(step.bytes);
  step.bytes += kSseDone;
  step.done = true;
  return step;
}

json::Object GenerationReply::Envelope(std::string_view object) const {
  return {{"id", id_},
          {"object", object},
          {"created", created_},
          {"model", options_.model_id},
          {"system_fingerprint", options_.fingerprint}};
}

json::Object GenerationReply::Usage() const { return UsageJson(prompt_tokens_, choices_); }

json::Object GenerationReply::MachTimings(const ChoiceRun& choice) const {
  return {{"queue_ms", choice.timings().queue_ms}, {"ttft_ms", ttft_ms_}};
}

json::Object GenerationReply::ProgressJson(size_t index,
                                           const TokenChannel::Progress& progress) const {
  const double ms = ToMilliseconds(clock_.NowNs() - started_ns_);
  return {{"total", progress.total},
          {"cache", choices_[index]->first_progress()},
          {"processed", progress.done},
          {"time_ms", ms}};
}

void GenerationReply::AddStopReason(size_t index, json::Object& choice) const {
  const int stop = choices_[index]->pipeline().stop_string();
  if (stop >= 0) choice.Set("stop_reason", options_.request.stop[static_cast<size_t>(stop)]);
}

std::string GenerationReply::Summary() const {
  return std::string(" stream=") + (options_.request.stream ? "1" : "0") +
         SummaryText(prompt_tokens_, choices_, ttft_ms_) + options_.log +
         (failed_in_stream_ ? LogText(*error_) : "");
}

}  // namespace mach::server
