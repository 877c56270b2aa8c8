// The requests of an engine: those that wait, and the one that runs.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "engine/engine.h"
#include "engine/request_counters.h"

namespace mach::engine {

class RequestQueue;

// A request on its way through the queue. The engine thread runs it with this as its sink, which
// tells the queue's counters and hands on to the request's own.
class QueuedRequest final : public Generation,
                            public Sink,
                            public std::enable_shared_from_this<QueuedRequest> {
 public:
  QueuedRequest(std::weak_ptr<RequestQueue> queue, Request r, std::shared_ptr<Sink> sink,
                std::string session_key, int64_t now_ns)
      : request(std::move(r)),
        queue_(std::move(queue)),
        sink_(std::move(sink)),
        session_key_(std::move(session_key)),
        submitted_ns_(now_ns) {}

  void Cancel() override;
  size_t queue_position() const override;
  const std::atomic<bool>& cancelled() const { return cancelled_; }

  // Engine thread.
  void OnPrefill(size_t done_tokens, size_t total_tokens) override;
  void OnToken(const TokenEvent& event) override;
  void OnDone(Result<FinishReason> result, const Timings& timings) override;

  const Request request;

 private:
  friend class RequestQueue;
  const std::weak_ptr<RequestQueue> queue_;
  const std::shared_ptr<Sink> sink_;
  const std::string session_key_;
  const int64_t submitted_ns_;
  std::atomic<bool> cancelled_{false};
  std::atomic<size_t> prefilled_{0};
  std::atomic<size_t> output_{0};
  int64_t started_ns_ = 0;  // engine thread
  int64_t token_ns_ = 0;    // of the newest token; engine thread
};

// A bounded queue that is fair between sessions: they take turns, and within a session the oldest
// goes first. Any thread, but for Next: one engine thread. Held by shared_ptr.
class RequestQueue : public std::enable_shared_from_this<RequestQueue> {
 public:
  // max_waiting: besides the one that runs. clock outlives the queue and its requests.
  RequestQueue(size_t max_waiting, const Clock& clock);

  // kBusy when the queue is full or stopped.
  Result<std::shared_ptr<QueuedRequest>> Submit(Request request, std::shared_ptr<Sink> sink);

  // Waits for the next request, which runs until its OnDone. Null: stopped, and none is left.
  // queue_ms: how long it waited.
  std::shared_ptr<QueuedRequest> Next(double& queue_ms);

  size_t Cancel(std::string_view id);  // as Engine::CancelRequest
  // Cancels everything and lets nothing more in. Next returns null from now on.
  void Stop();

  std::vector<RequestInfo> List() const;
  RequestStats stats() const { return counters_.Read(clock_.NowNs()); }

 private:
  friend class QueuedRequest;
  using Item = std::shared_ptr<QueuedRequest>;
  struct Session {
    std::string key;
    std::deque<Item> items;  // never empty
  };

  // The waiting requests in the order of their turns.
  std::vector<Item> InOrder() const EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // False: does not wait.
  bool Remove(const QueuedRequest& item) EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Withdraw(QueuedRequest& item);
  size_t PositionOf(const QueuedRequest& item) const;
  void Ended(QueuedRequest& item, const Result<FinishReason>& result, const Timings& timings);
  RequestInfo Describe(const QueuedRequest& item, size_t position) const;

  const size_t max_waiting_;
  const Clock& clock_;

  mutable Mutex mu_;
  CondVar wake_;
  std::list<Session> turns_ GUARDED_BY(mu_);  // the session whose turn it is first
  std::unordered_map<std::string, std::list<Session>::iterator> sessions_ GUARDED_BY(mu_);
  Item running_ GUARDED_BY(mu_);
  size_t waiting_ GUARDED_BY(mu_) = 0;  // requests in turns_
  bool stopped_ GUARDED_BY(mu_) = false;
  uint64_t next_key_ GUARDED_BY(mu_) = 0;

  // Read without the lock. What enters, starts and leaves is counted under it, so that the counts
  // agree with the queue.
  RequestCounters counters_;
};

}  // namespace mach::engine
