// The engine's events on their way to the loop thread.
#pragma once

#include <functional>
#include <mutex>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "engine/engine.h"

namespace mach::server {

// Written by the engine thread, read by the loop thread. The engine may keep it longer than the
// reader: after Disconnect nobody is woken.
class TokenChannel final : public engine::Sink {
 public:
  struct Progress {
    size_t done = 0;
    size_t total = 0;
  };
  struct Batch {
    std::vector<engine::TokenEvent> tokens;
    std::vector<Progress> progress;
    bool lost = false;  // there was no memory for a part of it
    std::optional<std::pair<Result<engine::FinishReason>, engine::Timings>> end;
  };

  explicit TokenChannel(std::function<void()> wake) : wake_(std::move(wake)) {}

  void OnPrefill(size_t done_tokens, size_t total_tokens) override {
    const std::lock_guard lock(mu_);
    Keep([&] { batch_.progress.push_back({done_tokens, total_tokens}); });
  }
  void OnToken(const engine::TokenEvent& event) override {
    const std::lock_guard lock(mu_);
    Keep([&] { batch_.tokens.push_back(event); });
  }
  void OnDone(Result<engine::FinishReason> result, const engine::Timings& timings) override {
    const std::lock_guard lock(mu_);
    Keep([&] { batch_.end.emplace(std::move(result), timings); });
  }

  // What has come since the last call.
  Batch Take() {
    const std::lock_guard lock(mu_);
    return std::exchange(batch_, {});
  }
  void Disconnect() {
    const std::lock_guard lock(mu_);
    wake_ = nullptr;
  }

 private:
  // The engine's thread serves others too: nothing of one reader's is thrown into it.
  template <class Function>
  void Keep(const Function& function) {
    try {
      function();
      if (wake_) wake_();
    } catch (const std::bad_alloc&) {
      batch_.lost = true;
    }
  }
  std::mutex mu_;
  Batch batch_;                 // guarded by mu_
  std::function<void()> wake_;  // guarded by mu_; called under it, so that Disconnect is final
};

}  // namespace mach::server
