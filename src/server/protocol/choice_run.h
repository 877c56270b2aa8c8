// One answer being generated, in no protocol yet.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "json/value.h"
#include "server/protocol/output_pipeline.h"
#include "server/protocol/token_channel.h"

namespace mach::server {

// Loop thread only. Destruction cancels the generation.
class ChoiceRun {
 public:
  // forced: tokens at the prompt's end that are the beginning of the answer's text.
  ChoiceRun(std::shared_ptr<engine::Engine> engine, engine::Request request,
            std::unique_ptr<OutputPipeline> pipeline, std::vector<TokenId> forced = {})
      : engine_(std::move(engine)),
        request_(std::move(request)),
        pipeline_(std::move(pipeline)),
        forced_(std::move(forced)) {}
  ~ChoiceRun();
  ChoiceRun(const ChoiceRun&) = delete;
  ChoiceRun& operator=(const ChoiceRun&) = delete;

  Status Submit(std::function<void()> wake);
  void Cancel();

  struct Update {
    std::vector<OutputDelta> deltas;
    std::vector<TokenChannel::Progress> progress;
    std::vector<TokenId> tokens;
    json::Array logprobs;  // left at the end
    bool finished = false;
  };
  // Not called again after an update that is finished.
  Update Take();

  bool finished() const { return finished_; }
  // REQUIRES finished(). "stop", "length" or "tool_calls"; an error when the engine failed.
  const Result<std::string>& finish_reason() const { return *finish_reason_; }
  const engine::Timings& timings() const { return timings_; }
  const OutputPipeline& pipeline() const { return *pipeline_; }
  const std::optional<TokenChannel::Progress>& progress() const { return progress_; }
  size_t first_progress() const { return first_progress_; }  // tokens that a cache has spared
  size_t queue_position() const {
    return generation_ == nullptr ? 0 : generation_->queue_position();
  }

 private:
  void End(const Result<engine::FinishReason>& result, Update& update);

  const std::shared_ptr<engine::Engine> engine_;
  engine::Request request_;
  const std::unique_ptr<OutputPipeline> pipeline_;
  std::shared_ptr<TokenChannel> channel_;
  std::shared_ptr<engine::Generation> generation_;
  std::vector<TokenId> forced_;
  std::optional<TokenChannel::Progress> progress_;
  size_t first_progress_ = 0;
  bool finished_ = false;
  std::optional<Result<std::string>> finish_reason_;
  engine::Timings timings_;
};

}  // namespace mach::server
