// What the answers of all protocols have in common: choices that run, a stream or a whole body,
// keep-alive comments, errors. A protocol says how things are written.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "dialog/codec.h"
#include "engine/engine.h"
#include "engine/stats.h"
#include "json/value.h"
#include "server/http/reply.h"
#include "server/protocol/generation_request.h"
#include "server/protocol/response_json.h"

namespace mach::server {

// Names of the fields that carry reasoning.
struct ReasoningFields {
  bool reasoning_content = true;
  bool reasoning = true;
};

struct GenerationReplyOptions {
  GenerationRequest request;
  std::string request_id;
  std::vector<dialog::Prompt> prompts;  // choice i answers prompts[i / request.choices]
  std::string model_id;
  std::string fingerprint;
  std::string decode_mode;  // of this request, for the header X-Decode-Mode
  ReasoningFields reasoning_fields;
  std::chrono::milliseconds ping_interval{5000};
  std::chrono::milliseconds max_queue_wait{0};  // 0: without a limit
  std::string log;                              // " key=value" pairs for the log
};

// The queue is full, or was so for too long: 429, with the time after which a turn is likely.
ApiError QueueFull(std::string message, const engine::RequestStats& requests);

class GenerationReply : public Reply {
 public:
  // Members outlive the reply by sharing; clock by its owner's promise.
  GenerationReply(GenerationReplyOptions options, ChoiceRuns choices,
                  std::shared_ptr<engine::Engine> engine, const Clock& clock);

  void Start(std::function<void()> wake) final;
  ReplyStep Take() final;
  void Abort(const ApiError& error) final;
  std::string Ping() final;
  std::optional<std::chrono::milliseconds> PingInterval() const final;
  std::optional<std::chrono::steady_clock::time_point> WakeAt() const final;
  std::string Summary() const final;

 protected:
  // The choice's next part, for a whole answer.
  virtual void Keep(size_t index, ChoiceRun::Update update) = 0;
  virtual json::Object Body() = 0;  // once every choice has finished
  // Events of a stream.
  virtual void BeginStream(std::string& out) = 0;
  virtual void AddUpdate(size_t index, ChoiceRun::Update update, std::string& out) = 0;
  virtual void EndStream(std::string& out) = 0;

  const GenerationRequest& request() const { return options_.request; }
  const GenerationReplyOptions& options() const { return options_; }
  const ChoiceRun& run(size_t index) const { return *choices_[index]; }
  size_t choice_count() const { return choices_.size(); }
  bool failed() const { return error_.has_value(); }
  // An error ends the answer, whatever the choices say.
  bool Finished(size_t index) const { return choices_[index]->finished() && !failed(); }

  // {"id","object","created","model","system_fingerprint"}
  json::Object Envelope(std::string_view object) const;
  json::Object Usage() const;
  json::Object MachTimings(const ChoiceRun& choice) const;
  json::Object ProgressJson(size_t index, const TokenChannel::Progress& progress) const;
  // The stop string that was found, as vLLM names it.
  void AddStopReason(size_t index, json::Object& choice) const;
  void set_id(std::string id) { id_ = std::move(id); }

 private:
  bool AllFinished() const;
  bool Waits() const;
  ChoiceRun::Update Update(size_t index);
  void CheckQueueWait();
  ReplyStep TakeWhole();
  ReplyStep TakeStreamed();

  const GenerationReplyOptions options_;
  const ChoiceRuns choices_;
  const std::shared_ptr<engine::Engine> engine_;
  const Clock& clock_;
  const int64_t created_;
  std::string id_;
  size_t prompt_tokens_ = 0;
  int64_t started_ns_ = 0;
  std::optional<std::chrono::steady_clock::time_point> queue_deadline_;
  double ttft_ms_ = 0;
  bool head_sent_ = false;
  std::optional<ApiError> error_;
  bool failed_in_stream_ = false;  // after the head had told of success
};

}  // namespace mach::server
