#include "server/endpoints/loading_hold.h"

#include <utility>

#include "server/protocol/response_json.h"

namespace mach::server {

// Shared between the reply, on the loop thread, and whoever answers it.
struct HeldRequest {
  LoadingHold::Wanted wanted;
  Mutex mu;
  std::function<void()> wake GUARDED_BY(mu);
  std::optional<HandlerResult> answer GUARDED_BY(mu);
};

namespace {

using TimePoint = std::chrono::steady_clock::time_point;

class HeldReply final : public Reply {
 public:
  HeldReply(std::shared_ptr<HeldRequest> held, TimePoint deadline)
      : held_(std::move(held)), deadline_(deadline) {}
  ~HeldReply() override {
    const MutexLock lock(held_->mu);
    held_->wake = nullptr;
  }

  void Start(std::function<void()> wake) override {
    const MutexLock lock(held_->mu);
    wake_ = wake;
    held_->wake = std::move(wake);
    if (held_->answer) held_->wake();
  }

  ReplyStep Take() override {
    if (inner_ != nullptr) return TakeInner();
    if (auto answer = TakeAnswer()) {
      if (auto* response = std::get_if<HttpResponse>(&*answer)) return Whole(std::move(*response));
      inner_ = std::get<std::unique_ptr<Reply>>(std::move(*answer));
      inner_->Start(wake_);
      if (aborted_) inner_->Abort(*aborted_);
      return TakeInner();
    }
    if (!aborted_ && std::chrono::steady_clock::now() >= deadline_) {
      aborted_ = held_->wanted.unavailable();
    }
    if (aborted_) return Whole(ToResponse(*aborted_));
    ReplyStep step;
    if (held_->wanted.stream && !head_sent_) {
      head_sent_ = true;
      step.head = SseHead();
      step.bytes = Ping();
    }
    return step;
  }

  void Abort(const ApiError& error) override {
    if (inner_ != nullptr) {
      inner_->Abort(error);
    } else {
      aborted_ = error;
    }
  }

  std::string Ping() override {
    if (inner_ != nullptr) return inner_->Ping();
    return ": loading " + held_->wanted.progress() + "\n\n";
  }
  std::optional<std::chrono::milliseconds> PingInterval() const override {
    return held_->wanted.ping_interval;
  }
  std::optional<TimePoint> WakeAt() const override {
    return inner_ != nullptr ? inner_->WakeAt() : deadline_;
  }
  std::string Summary() const override {
    return (inner_ == nullptr ? " held=1" : inner_->Summary()) + failed_in_stream_;
  }

 private:
  std::optional<HandlerResult> TakeAnswer() {
    const MutexLock lock(held_->mu);
    return std::exchange(held_->answer, std::nullopt);
  }

  // An answer of one piece; in a stream that has begun, its last event.
  ReplyStep Whole(HttpResponse response) {
    ReplyStep step;
    step.done = true;
    if (head_sent_) {
      failed_in_stream_ = response.log;
      step.bytes = "data: " + response.body + "\n\n" + std::string(kSseDone);
    } else {
      step.head = std::move(response);
    }
    return step;
  }

  ReplyStep TakeInner() {
    ReplyStep step = inner_->Take();
    if (step.head && head_sent_) {
      if (!step.head->streaming) {  // an error after all
        failed_in_stream_ = step.head->log;
        step.bytes = "data: " + step.head->body + "\n\n" + std::string(kSseDone);
        step.done = true;
      }
      step.head.reset();
    }
    return step;
  }

  const std::shared_ptr<HeldRequest> held_;
  const TimePoint deadline_;
  std::function<void()> wake_;
  std::unique_ptr<Reply> inner_;
  std::optional<ApiError> aborted_;
  bool head_sent_ = false;
  std::string failed_in_stream_;  // for the log, after the head had told of success
};

}  // namespace

std::unique_ptr<Reply> LoadingHold::Hold(Wanted wanted) {
  auto held = std::make_shared<HeldRequest>();
  held->wanted = std::move(wanted);
  {
    const MutexLock lock(mu_);
    std::erase_if(waiting_, [](const auto& weak) { return weak.expired(); });
    if (released_ || waiting_.size() >= options_.most) return nullptr;
    waiting_.push_back(held);
  }
  return std::make_unique<HeldReply>(std::move(held),
                                     std::chrono::steady_clock::now() + options_.timeout);
}

void LoadingHold::Release() {
  std::vector<std::weak_ptr<HeldRequest>> waiting;
  {
    const MutexLock lock(mu_);
    released_ = true;
    waiting.swap(waiting_);
  }
  for (const auto& weak : waiting) {
    const auto held = weak.lock();
    if (held == nullptr) continue;  // its client left
    HandlerResult answer = held->wanted.answer();
    const MutexLock lock(held->mu);
    held->answer = std::move(answer);
    if (held->wake) held->wake();
  }
}

size_t LoadingHold::held() const {
  const MutexLock lock(mu_);
  size_t n = 0;
  for (const auto& weak : waiting_) n += weak.expired() ? 0 : 1;
  return n;
}

}  // namespace mach::server
