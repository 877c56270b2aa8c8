// Replies of many tokens, streamed and whole.
#include <memory>

#include <gtest/gtest.h>

#include "engine/testing/scripted_engine.h"
#include "growth.h"
#include "server/protocol/openai_chat/chat_reply.h"
#include "server/protocol/openai_completions/completion_reply.h"

namespace mach::growth {
namespace {

using namespace server;  // NOLINT: all of it is about the server

// Gives the sink of each request out, so that the test is the engine.
class HandedEngine final : public engine::Engine {
 public:
  const engine::Info& info() const override { return info_; }
  Result<std::shared_ptr<engine::Generation>> Submit(engine::Request,
                                                     std::shared_ptr<engine::Sink> sink) override {
    sinks.push_back(std::move(sink));
    return std::shared_ptr<engine::Generation>(std::make_shared<Handed>());
  }
  engine::EngineStats stats() const override { return {}; }
  std::vector<engine::RequestInfo> requests() const override { return {}; }
  size_t CancelRequest(std::string_view) override { return 0; }

  std::vector<std::shared_ptr<engine::Sink>> sinks;

 private:
  struct Handed final : engine::Generation {
    void Cancel() override {}
    size_t queue_position() const override { return 0; }
  };
  engine::Info info_;
};

using MakeReply = std::unique_ptr<Reply> (*)(GenerationReplyOptions, ChoiceRuns,
                                             std::shared_ptr<engine::Engine>, const Clock&);

struct WantedReply {
  MakeReply make = MakeChatReply;
  bool stream = false;
  bool at_once = false;  // the tokens come before the reply looks
  size_t choices = 1;
};

GenerationRequest RequestOf(const WantedReply& wanted) {
  GenerationRequest request;
  request.stream = wanted.stream;
  request.choices = wanted.choices;
  request.logprobs = true;
  request.include_usage = request.continuous_usage = request.timings_per_token = true;
  request.return_progress = request.return_token_ids = true;
  request.parse_tools = true;
  request.inline_reasoning = wanted.make == &MakeCompletionReply;
  return request;
}

bool RunReply(const WantedReply& wanted, size_t prompt_tokens, const std::vector<TokenId>& tokens) {
  const SystemClock clock;
  const auto codec = std::make_shared<const engine::ScriptedCodec>();
  const auto handed = std::make_shared<HandedEngine>();
  GenerationReplyOptions options;
  options.request = RequestOf(wanted);
  dialog::Prompt prompt;
  prompt.tokens.assign(prompt_tokens, 7);
  options.prompts = {prompt};
  ChoiceRuns runs;
  for (size_t i = 0; i < wanted.choices; ++i) {
    runs.push_back(std::make_unique<ChoiceRun>(
        handed, engine::Request{},
        std::make_unique<OutputPipeline>(
            codec, options.request, prompt,
            std::make_shared<const chat::Patterns>(options.request.stop))));
  }
  const auto reply = wanted.make(std::move(options), std::move(runs), handed, clock);
  reply->Start([] {});
  size_t bytes = 0;
  const auto take = [&] {
    const ReplyStep step = reply->Take();
    bytes += step.bytes.size() + (step.head ? step.head->body.size() : 0);
    return step.done;
  };
  for (const TokenId token : tokens) {
    for (const auto& sink : handed->sinks) {
      sink->OnToken({.token = token, .logprob = -1, .top = {{token, -1}}});
    }
    if (!wanted.at_once) take();
  }
  for (const auto& sink : handed->sinks) sink->OnDone(engine::FinishReason::kStop, {});
  size_t steps_left = tokens.size() + 1;  // a step takes some tokens of those that wait
  while (!take()) {
    if (--steps_left == 0) return false;
  }
  return bytes > tokens.size();
}

void ExpectLinearReply(const std::string& name, const WantedReply& wanted) {
  const auto row = [&](std::string_view what, std::string (*make)(size_t n)) {
    ExpectLinear(name + ": " + std::string(what), kManyParts, [&](size_t n) -> Work {
      return [wanted, n, tokens = engine::ScriptTokens(make(n))] {
        return RunReply(wanted, n, tokens);
      };
    });
  };
  row("words", [](size_t n) { return Times(n, "word "); });
  row("reasoning", [](size_t n) { return "<think>" + Times(n, "so ") + "</think>a"; });
  row("calls", [](size_t n) {
    return Times(n, "<tool_call><function=f><parameter=a>1</parameter></function></tool_call>");
  });
}

TEST(ReplyGrowth, Streamed) {
  ExpectLinearReply("chat", {.stream = true});
  ExpectLinearReply("chat, 4 choices", {.stream = true, .choices = 4});
  ExpectLinearReply("chat, at once", {.stream = true, .at_once = true});
  ExpectLinearReply("completion", {.make = MakeCompletionReply, .stream = true});
}

TEST(ReplyGrowth, Whole) {
  ExpectLinearReply("chat", {});
  ExpectLinearReply("chat, at once", {.at_once = true});
  ExpectLinearReply("completion", {.make = MakeCompletionReply});
}

}  // namespace
}  // namespace mach::growth
