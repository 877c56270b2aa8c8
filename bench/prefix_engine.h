// What the programs that measure the prefix cache share.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/local_engine.h"
#include "io/file.h"
#include "spec/block_policy.h"

namespace mach {

// Of the environment.
inline std::string Setting(const char* name, const std::string& otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : value;
}

template <class T>
T OrExit(Result<T> made) {
  if (made) return *std::move(made);
  std::fprintf(stderr, "%s\n", made.error().message.c_str());
  std::exit(1);
}

// A drafter beside the model ("MODEL-dflash") drafts.
inline std::unique_ptr<engine::Engine> NewEngine(const std::string& checkpoint, size_t context,
                                                 std::optional<cache::PrefixCacheOptions> prefix) {
  io::FileSystem& fs = io::PosixFileSystem();
  auto model = OrExit(
      residency::LoadedModel::Load(fs, {.checkpoint = checkpoint, .context_tokens = context}));
  engine::DecoderOptions decoder;
  decoder.policy = OrExit(spec::ParsePolicy("opencode-sampled-v1"));
  decoder.prefix_cache = std::move(prefix);
  const std::string draft = spec::DraftModel::Find(fs, checkpoint);
  if (!draft.empty()) {
    decoder.draft =
        OrExit(spec::DraftModel::Load(fs, {draft, 8}, model->config(), model->ledger()));
  }
  return OrExit(engine::MakeLocalEngine(std::move(model), {.model_id = "m", .decoder = decoder}));
}

// Keeps an answer, and waits for its end.
class EndSink final : public engine::Sink {
 public:
  void OnPrefill(size_t, size_t) override {}
  void OnToken(const engine::TokenEvent& event) override {
    if (tokens.empty()) first = std::chrono::steady_clock::now();
    tokens.push_back(event.token);
  }
  void OnDone(Result<engine::FinishReason> result, const engine::Timings& timings) override {
    const std::lock_guard lock(mu_);
    if (!result) std::fprintf(stderr, "%s\n", result.error().message.c_str());
    failed = !result.ok();
    timings_ = timings;
    done_.notify_all();
  }
  engine::Timings Wait() {
    std::unique_lock lock(mu_);
    done_.wait(lock, [&] { return timings_.has_value(); });
    return *timings_;
  }
  // After Wait.
  std::vector<TokenId> tokens;
  std::chrono::steady_clock::time_point first;
  bool failed = false;

 private:
  std::mutex mu_;
  std::condition_variable done_;
  std::optional<engine::Timings> timings_;
};

}  // namespace mach
