#include "engine/request_queue.h"

#include <algorithm>
#include <utility>

#include "base/clock.h"

namespace mach::engine {

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
  if (const auto queue = queue_.lock()) queue->counters_.Progressed(queue->clock_.NowNs());
  sink_->OnPrefill(done_tokens, total_tokens);
}

void QueuedRequest::OnToken(const TokenEvent& event) {
  if (const auto queue = queue_.lock()) {
    const int64_t now = queue->clock_.NowNs();
    if (token_ns_ == 0) {
      queue->counters_.FirstToken(now, ToMilliseconds(now - submitted_ns_));
    } else {
      queue->counters_.NextToken(now, ToMilliseconds(now - token_ns_));
    }
    token_ns_ = now;
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
    : max_waiting_(max_waiting), clock_(clock) {}

Result<std::shared_ptr<QueuedRequest>> RequestQueue::Submit(Request request,
                                                            std::shared_ptr<Sink> sink) {
  Item item;
  {
    const MutexLock lock(mu_);
    if (stopped_) return Error{Code::kBusy, "the engine is shutting down"};
    // One more while the engine is between two requests: it will take that one at once.
    if (waiting_ >= max_waiting_ + (running_ == nullptr ? 1 : 0)) {
      counters_.Rejected();
      return Error{Code::kBusy, std::to_string(waiting_) +
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
    ++waiting_;
    counters_.Accepted();
  }
  wake_.NotifyOne();
  return item;
}

std::shared_ptr<QueuedRequest> RequestQueue::Next(double& queue_ms) {
  const MutexLock lock(mu_);
  while (!stopped_ && turns_.empty()) wake_.Wait(mu_);
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
  --waiting_;
  running_ = item;
  item->started_ns_ = clock_.NowNs();
  queue_ms = ToMilliseconds(item->started_ns_ - item->submitted_ns_);
  counters_.Started(item->started_ns_, queue_ms);
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
  --waiting_;
  return true;
}

void RequestQueue::Withdraw(QueuedRequest& item) {
  const Item kept = item.shared_from_this();  // the queue's reference may be the last
  {
    const MutexLock lock(mu_);
    if (!Remove(item)) return;
    counters_.Withdrawn();
  }
  Timings timings;
  timings.prompt_tokens = item.request.prompt.size();
  timings.queue_ms = ToMilliseconds(clock_.NowNs() - item.submitted_ns_);
  item.sink_->OnDone(FinishReason::kCancelled, timings);
}

void RequestQueue::Ended(QueuedRequest& item, const Result<FinishReason>& result,
                         const Timings& timings) {
  const double ran_ms = ToMilliseconds(clock_.NowNs() - item.started_ns_);
  const MutexLock lock(mu_);
  counters_.Ended(result, item.output_.load(std::memory_order_relaxed), ran_ms, timings);
  running_.reset();
}

size_t RequestQueue::Cancel(std::string_view id) {
  std::vector<Item> found;
  {
    const MutexLock lock(mu_);
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
    const MutexLock lock(mu_);
    stopped_ = true;
    all = InOrder();
    if (running_ != nullptr) all.push_back(running_);
  }
  for (const Item& item : all) item->Cancel();
  wake_.NotifyAll();
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
  const MutexLock lock(mu_);
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
  const MutexLock lock(mu_);
  std::vector<RequestInfo> list;
  if (running_ != nullptr) list.push_back(Describe(*running_, 0));
  size_t position = 0;
  for (const Item& item : InOrder()) list.push_back(Describe(*item, ++position));
  return list;
}

}  // namespace mach::engine
