#include "server/protocol/choice_run.h"

#include <utility>

namespace mach::server {

ChoiceRun::~ChoiceRun() {
  if (channel_ != nullptr) channel_->Disconnect();
  if (!finished_) Cancel();
}

Status ChoiceRun::Submit(std::function<void()> wake) {
  channel_ = std::make_shared<TokenChannel>(std::move(wake));
  MACH_TRY(generation_, engine_->Submit(std::move(request_), channel_));
  return Ok();
}

void ChoiceRun::Cancel() {
  if (generation_ != nullptr) generation_->Cancel();
}

ChoiceRun::Update ChoiceRun::Take() {
  Update update;
  TokenChannel::Batch batch = channel_->Take();
  update.progress = std::move(batch.progress);
  if (!update.progress.empty()) {
    if (!progress_) first_progress_ = update.progress.front().done;
    progress_ = update.progress.back();
    pipeline_->Force(std::exchange(forced_, {}), update.deltas);  // now that it runs
  }
  for (const engine::TokenEvent& token : batch.tokens) {
    if (pipeline_->stopped()) break;
    update.tokens.push_back(token.token);
    pipeline_->Push(token, update.deltas);
    if (pipeline_->stopped()) Cancel();
  }
  if (batch.lost) {
    Cancel();
    End(Error{Code::kNoMemory, "there was no memory for the generation's events"}, update);
    return update;
  }
  if (batch.end) {
    timings_ = batch.end->second;
    End(batch.end->first, update);
  }
  return update;
}

void ChoiceRun::End(const Result<engine::FinishReason>& result, Update& update) {
  finished_ = true;
  update.finished = true;
  const bool stopped = pipeline_->stopped();
  if (!stopped && !result.ok()) {
    finish_reason_ = result.error();
    return;
  }
  if (!stopped && *result == engine::FinishReason::kCancelled) {
    finish_reason_ = Error{Code::kCancelled, "the generation was cancelled"};
    return;
  }
  const bool truncated = !stopped && *result == engine::FinishReason::kLength;
  pipeline_->Finish(truncated, update.deltas);
  update.logprobs = pipeline_->TakeLogprobs();
  // A cut-off call is no call to be made: the length limit is the reason, whatever was complete.
  if (truncated && !pipeline_->stopped()) {
    finish_reason_ = std::string("length");
  } else if (pipeline_->calls() > 0 && pipeline_->stop_string() < 0) {
    finish_reason_ = std::string("tool_calls");
  } else {
    finish_reason_ = std::string("stop");
  }
}

}  // namespace mach::server
