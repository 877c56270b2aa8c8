// Requests that come while the model is being loaded, and wait for it.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "server/http/limits.h"
#include "server/http/router.h"

namespace mach::server {

struct HeldRequest;

// Any thread.
class LoadingHold {
 public:
  struct Options {
    size_t most = 64;                            // requests that wait at one time; 0: none do
    std::chrono::milliseconds timeout{600'000};  // then 503
    std::chrono::milliseconds ping_interval{5000};
  };
  explicit LoadingHold(const Options& options) : options_(options) {}

  struct Wanted {
    bool stream = false;
    std::optional<std::chrono::milliseconds> ping_interval;  // of a stream; nullopt: no pings
    std::function<HandlerResult()> answer;                   // once the model is there
    std::function<ApiError()> unavailable;                   // what is said when it does not come
    std::function<std::string()> progress;                   // "43 %", for keep-alive comments
  };
  // Null: as many as may are waiting, or no more is to wait.
  std::unique_ptr<Reply> Hold(Wanted wanted);

  // Answers everything that is held, on this thread. Nothing is held from now on.
  void Release();
  size_t held() const;

 private:
  const Options options_;
  mutable Mutex mu_;
  bool released_ GUARDED_BY(mu_) = false;
  std::vector<std::weak_ptr<HeldRequest>> waiting_ GUARDED_BY(mu_);
};

}  // namespace mach::server
