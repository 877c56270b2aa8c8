#include "engine/request_queue.h"

#include <algorithm>
#include <utility>

#include "base/clock.h"

namespace mach::engine {
namespace {

constexpr double kTokenWeight = 0.1;    // of the newest token in the mean interval
constexpr double kRequestWeight = 0.2;  // of the newest request in the mean time

void Increment(std::atomic<uint64_t>& counter, uint64_t n = 1) {
  counter.fetch_add(n, std::memory_order_relaxed);
}

// One writer.
void Blend(std::atomic<double>& mean, double value, double weight) {
  const double old = mean.load(std::memory_order_relaxed);
  mean.store(old == 0 ? value : old + weight * (value - old), std::memory_order_relaxed);
}

}  // namespace

void QueuedRequest::Cancel() {
  cancelled_.store(true, std::memory_order_relaxed);
  if (const auto queue = queue_.lock()) queue->Withdraw(*this);
}

size_t QueuedRequest::queue_position() const {
  const auto queue = queue_.lock();
  return queue == nullptr ? 0 : queue->PositionOf(*this);
}

void QueuedRequest::OnPrefill(size_t done_tokens, size_t total_tokens) {
  prefilled_.store(done_tokens, std::memory_order_relaxed);
  if (const auto queue = queue_.lock()) {
    queue->progress_ns_.store(queue->clock_.NowNs(), std::memory_order_relaxed);
  }
  sink_->OnPrefill(done_tokens, total_tokens);
}

void QueuedRequest::OnToken(const TokenEvent& event) {
  if (const auto queue = queue_.lock()) {
    const int64_t now = queue->clock_.NowNs();
    queue->progress_ns_.store(now, std::memory_order_relaxed);
    if (token_ns_ == 0) {
      queue->first_token_ms_.Observe(ToMilliseconds(now - submitted_ns_));
    } else {
      const double interval = ToMilliseconds(now - token_ns_);
      queue->token_ms_.Observe(interval);
      Blend(queue->token_interval_ms_, interval, kTokenWeight);
    }
    token_ns_ = now;
    Increment(queue->output_tokens_);
  }
  output_.fetch_add(1, std::memory_order_relaxed);
  sink_->OnToken(event);
}

void QueuedRequest::OnDone(Result<FinishReason> result, const Timings& timings) {
  // The queue forgets it first: whoever hears of the end may submit the next one.
  if (const auto queue = queue_.lock()) queue->Ended(*this, result, timings);
  sink_->OnDone(std::move(result), timings);
}

RequestQueue::RequestQueue(size_t max_waiting, const Clock& clock)
    : max_waiting_(max_waiting),
      clock_(clock),
      queue_ms_({1, 10, 100, 1e3, 5e3, 1e4, 3e4, 6e4, 3e5}),
      prefill_ms_({10, 50, 100, 250, 500, 1e3, 2.5e3, 5e3, 1e4, 3e4, 1e5}),
      first_token_ms_({10, 50, 100, 250, 500, 1e3, 2.5e3, 5e3, 1e4, 3e4, 1e5}),
      token_ms_({1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1e3, 2.5e3}),
      request_ms_({50, 100, 250, 500, 1e3, 2.5e3, 5e3, 1e4, 3e4, 6e4, 3e5}) {}

Result<std::shared_ptr<QueuedRequest>> RequestQueue::Submit(Request request,
                                                            std::shared_ptr<Sink> sink) {
  Item item;
  {
    const std::lock_guard lock(mu_);
    if (stopped_) return Error{Code::kBusy, "the engine is shutting down"};
    const size_t waiting = waiting_.load(std::memory_order_relaxed);
    // One more while the engine is between two requests: it will take that one at once.
    if (waiting >= max_waiting_ + (running_ == nullptr ? 1 : 0)) {
      Increment(rejected_);
      return Error{Code::kBusy, std::to_string(waiting) +
                                    " requests are waiting already, the limit of --max-queue"};
    }
    std::string key =
        request.session.empty() ? "#" + std::to_string(next_key_++) : "=" + request.session;
    item = std::make_shared<QueuedRequest>(weak_from_this(), std::move(request), std::move(sink),
                                           key, clock_.NowNs());
    const auto found = sessions_.find(key);
    if (found != sessions_.end()) {
      found->second->items.push_back(item);
    } else {
      turns_.push_back({key, {item}});
      sessions_.emplace(std::move(key), std::prev(turns_.end()));
    }
    Increment(waiting_);
    Increment(accepted_);
  }
  wake_.notify_one();
  return item;
}

std::shared_ptr<QueuedRequest> RequestQueue::Next(double& queue_ms) {
  std::unique_lock lock(mu_);
  wake_.wait(lock, [&] { return stopped_ || !turns_.empty(); });
  if (turns_.empty()) return nullptr;
  Session& session = turns_.front();
  Item item = session.items.front();
  session.items.pop_front();
  if (session.items.empty()) {
    sessions_.erase(session.key);
    turns_.pop_front();
  } else {
    turns_.splice(turns_.end(), turns_, turns_.begin());
  }
  waiting_.fetch_sub(1, std::memory_order_relaxed);
  active_.store(1, std::memory_order_relaxed);
  running_ = item;
  item->started_ns_ = clock_.NowNs();
  progress_ns_.store(item->started_ns_, std::memory_order_relaxed);
  queue_ms = ToMilliseconds(item->started_ns_ - item->submitted_ns_);
  queue_ms_.Observe(queue_ms);
  return item;
}

bool RequestQueue::Remove(const QueuedRequest& item) {
  const auto found = sessions_.find(item.session_key_);
  if (found == sessions_.end()) return false;
  auto& items = found->second->items;
  const auto at =
      std::find_if(items.begin(), items.end(), [&](const Item& i) { return i.get() == &item; });
  if (at == items.end()) return false;
  items.erase(at);
  if (items.empty()) {
    turns_.erase(found->second);
    sessions_.erase(found);
  }
  waiting_.fetch_sub(1, std::memory_order_relaxed);
  return true;
}

void RequestQueue::Withdraw(QueuedRequest& item) {
  const Item kept = item.shared_from_this();  // the queue's reference may be the last
  {
    const std::lock_guard lock(mu_);
    if (!Remove(item)) return;
  }
  Count(FinishReason::kCancelled, item, true);
  Timings timings;
  timings.prompt_tokens = item.request.prompt.size();
  timings.queue_ms = ToMilliseconds(clock_.NowNs() - item.submitted_ns_);
  item.sink_->OnDone(FinishReason::kCancelled, timings);
}

void RequestQueue::Count(const Result<FinishReason>& result, const QueuedRequest& item,
                         bool was_waiting) {
  if (!result.ok()) {
    Increment(failures_);
  } else if (*result == FinishReason::kStop) {
    Increment(stops_);
  } else if (*result == FinishReason::kLength) {
    Increment(lengths_);
  } else if (was_waiting) {
    Increment(cancelled_queued_);
  } else {
    Increment(item.output_.load(std::memory_order_relaxed) == 0 ? cancelled_prefill_
                                                                : cancelled_decode_);
  }
}

void RequestQueue::Ended(QueuedRequest& item, const Result<FinishReason>& result,
                         const Timings& timings) {
  Count(result, item, false);
  const double ran_ms = ToMilliseconds(clock_.NowNs() - item.started_ns_);
  request_ms_.Observe(ran_ms);
  prefill_ms_.Observe(timings.prefill_ms);
  Blend(request_mean_ms_, ran_ms, kRequestWeight);
  Increment(prompt_tokens_, timings.prompt_tokens);
  Increment(cached_tokens_, timings.cached_tokens);
  const size_t computed =
      timings.prompt_tokens - std::min(timings.prompt_tokens, timings.cached_tokens);
  if (timings.prefill_ms > 0 && computed > 0) {
    prefill_speed_.store(static_cast<double>(computed) * 1e3 / timings.prefill_ms,
                         std::memory_order_relaxed);
  }
  const std::lock_guard lock(mu_);
  running_.reset();
  active_.store(0, std::memory_order_relaxed);
}

size_t RequestQueue::Cancel(std::string_view id) {
  std::vector<Item> found;
  {
    const std::lock_guard lock(mu_);
    const auto matches = [&](const QueuedRequest& item) {
      const std::string_view own = item.request.id;
      return own == id || (own.size() > id.size() && own.starts_with(id) && own[id.size()] == '/');
    };
    for (const Item& item : InOrder()) {
      if (matches(*item)) found.push_back(item);
    }
    if (running_ != nullptr && matches(*running_)) found.push_back(running_);
  }
  for (const Item& item : found) item->Cancel();
  return found.size();
}

void RequestQueue::Stop() {
  std::vector<Item> all;
  {
    const std::lock_guard lock(mu_);
    stopped_ = true;
    all = InOrder();
    if (running_ != nullptr) all.push_back(running_);
  }
  for (const Item& item : all) item->Cancel();
  wake_.notify_all();
}

std::vector<RequestQueue::Item> RequestQueue::InOrder() const {
  std::vector<Item> order;
  std::vector<const Session*> left;
  for (const Session& session : turns_) left.push_back(&session);
  for (size_t round = 0; !left.empty(); ++round) {
    for (const Session* session : left) order.push_back(session->items[round]);
    std::erase_if(left, [&](const Session* s) { return s->items.size() <= round + 1; });
  }
  return order;
}

size_t RequestQueue::PositionOf(const QueuedRequest& item) const {
  const std::lock_guard lock(mu_);
  const auto found = sessions_.find(item.session_key_);
  if (found == sessions_.end()) return 0;
  const auto& own = found->second->items;
  const auto at =
      std::find_if(own.begin(), own.end(), [&](const Item& i) { return i.get() == &item; });
  if (at == own.end()) return 0;
  const auto rank = static_cast<size_t>(at - own.begin());
  size_t before = rank;
  bool ahead = true;  // sessions whose turn comes before this one's
  for (const Session& session : turns_) {
    if (&session == &*found->second) {
      ahead = false;
    } else {
      before += std::min(session.items.size(), rank + (ahead ? 1 : 0));
    }
  }
  return before + 1;
}

RequestInfo RequestQueue::Describe(const QueuedRequest& item, size_t position) const {
  RequestInfo info;
  info.id = item.request.id;
  info.session = item.request.session;
  info.queue_position = position;
  info.age_ms = ToMilliseconds(clock_.NowNs() - item.submitted_ns_);
  info.prompt_tokens = item.request.prompt.size();
  info.prefilled_tokens = item.prefilled_.load(std::memory_order_relaxed);
  info.output_tokens = item.output_.load(std::memory_order_relaxed);
  info.max_tokens = item.request.max_tokens;
  info.state = position > 0                                 ? RequestState::kQueued
               : info.prefilled_tokens < info.prompt_tokens ? RequestState::kPrefill
                                                            : RequestState::kDecode;
  return info;
}

std::vector<RequestInfo> RequestQueue::List() const {
  const std::lock_guard lock(mu_);
  std::vector<RequestInfo> list;
  if (running_ != nullptr) list.push_back(Describe(*running_, 0));
  size_t position = 0;
  for (const Item& item : InOrder()) list.push_back(Describe(*item, ++position));
  return list;
}

EngineStats RequestQueue::stats() const {
  const auto read = [](const auto& counter) { return counter.load(std::memory_order_relaxed); };
  EngineStats s;
  s.queued = read(waiting_);
  s.running = read(active_);
  s.max_queue = max_waiting_;
  s.accepted = read(accepted_);
  s.rejected = read(rejected_);
  s.stopped = read(stops_);
  s.length = read(lengths_);
  s.failed = read(failures_);
  s.cancelled_queued = read(cancelled_queued_);
  s.cancelled_prefill = read(cancelled_prefill_);
  s.cancelled_decode = read(cancelled_decode_);
  s.prompt_tokens = read(prompt_tokens_);
  s.cached_tokens = read(cached_tokens_);
  s.output_tokens = read(output_tokens_);
  s.prefill_tokens_per_second = read(prefill_speed_);
  const double interval = read(token_interval_ms_);
  s.decode_tokens_per_second = interval > 0 ? 1e3 / interval : 0;
  s.mean_request_ms = read(request_mean_ms_);
  if (s.running > 0) s.last_progress_ms = ToMilliseconds(clock_.NowNs() - read(progress_ns_));
  s.queue_ms = queue_ms_.Read();
  s.prefill_ms = prefill_ms_.Read();
  s.first_token_ms = first_token_ms_.Read();
  s.token_ms = token_ms_.Read();
  s.request_ms = request_ms_.Read();
  return s;
}

}  // namespace mach::engine
