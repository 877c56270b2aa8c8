#include "server/protocol/openai_completions/completion_reply.h"

#include <utility>

#include "dialog/codec.h"
#include "engine/engine.h"
#include "json/value.h"
#include "server/http/ids.h"

namespace mach::server {
namespace {

size_t Characters(std::string_view utf8) {
  size_t n = 0;
  for (const char c : utf8) n += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
  return n;
}

// What has been said of one choice.
struct ChoiceState {
  std::string text;
  json::Array logprobs;
  std::vector<TokenId> tokens;
  bool prompt_shown = false;  // its token ids, which the first event alone has
  size_t offset = 0;          // of the next token's first character, in the text from its beginning
};

// The legacy form of log probabilities: parallel arrays. Moves offset on by the entries.
json::Value LegacyLogprobs(const json::Array& entries, size_t& offset) {
  json::Array tokens, logprobs, tops, offsets;
  for (const json::Value& entry : entries) {
    tokens.push_back(*entry.Find("token"));
    logprobs.push_back(*entry.Find("logprob"));
    // With the token itself among them, as OpenAI has it.
    json::Object top;
    for (const json::Value& other : entry.Find("top_logprobs")->AsArray()) {
      top.Set(other.Find("token")->AsString(), *other.Find("logprob"));
    }
    top.Set(entry.Find("token")->AsString(), *entry.Find("logprob"));
    tops.push_back(std::move(top));
    offsets.emplace_back(offset);
    for (const json::Value& byte : entry.Find("bytes")->AsArray()) {
      if ((byte.AsInt() & 0xC0) != 0x80) ++offset;
    }
  }
  return json::Object{{"tokens", std::move(tokens)},
                      {"token_logprobs", std::move(logprobs)},
                      {"top_logprobs", std::move(tops)},
                      {"text_offset", std::move(offsets)}};
}

class CompletionReply final : public GenerationReply {
 public:
  CompletionReply(GenerationReplyOptions options, ChoiceRuns choices,
                  std::shared_ptr<engine::Engine> engine, const Clock& clock)
      : GenerationReply(std::move(options), std::move(choices), std::move(engine), clock),
        states_(choice_count()) {
    set_id(RandomId("cmpl-"));
    if (!request().echo) return;
    for (size_t i = 0; i < choice_count(); ++i) {
      states_[i].text = PromptOf(i).text;
      states_[i].offset = Characters(states_[i].text);
    }
  }

 private:
  const dialog::Prompt& PromptOf(size_t index) const {
    return options().prompts[index / request().choices];
  }

  // The text of an update, its log probabilities and tokens.
  void Keep(size_t index, ChoiceRun::Update update) override {
    ChoiceState& state = states_[index];
    for (OutputDelta& delta : update.deltas) {
      state.text += delta.text;
      for (json::Value& entry : delta.logprobs) state.logprobs.push_back(std::move(entry));
    }
    for (json::Value& entry : update.logprobs) state.logprobs.push_back(std::move(entry));
    state.tokens.insert(state.tokens.end(), update.tokens.begin(), update.tokens.end());
  }

  // All that was kept; a choice of a whole answer or of an event.
  json::Object TakeChoice(size_t index, bool last) {
    ChoiceState& state = states_[index];
    json::Object made{{"index", index}, {"text", std::exchange(state.text, {})}};
    json::Value logprobs;
    if (request().logprobs && (!state.logprobs.empty() || !request().stream)) {
      logprobs = LegacyLogprobs(std::exchange(state.logprobs, {}), state.offset);
    }
    made.Set("logprobs", std::move(logprobs));
    made.Set("finish_reason", last ? json::Value(*run(index).finish_reason()) : json::Value());
    if (last) AddStopReason(index, made);
    if (request().return_token_ids) {
      made.Set("token_ids", TokenIdsJson(std::exchange(state.tokens, {})));
      if (!std::exchange(state.prompt_shown, true)) {
        made.Set("prompt_token_ids", TokenIdsJson(PromptOf(index).tokens));
      }
    }
    return made;
  }

  json::Object Body() override {
    json::Object body = Envelope("text_completion");
    json::Array choices;
    for (size_t i = 0; i < choice_count(); ++i) choices.push_back(TakeChoice(i, true));
    body.Set("choices", std::move(choices));
    body.Set("usage", Usage());
    body.Set("timings", TimingsJson(run(0)));
    body.Set("mach", MachTimings(run(0)));
    return body;
  }

  void AddChunk(size_t index, bool last, std::string& out) {
    json::Object chunk = Envelope("text_completion");
    chunk.Set("choices", json::Array{TakeChoice(index, last)});
    if (request().continuous_usage) chunk.Set("usage", Usage());
    if (last || request().timings_per_token) {
      chunk.Set("timings", TimingsJson(run(index)));
      if (last) chunk.Set("mach", MachTimings(run(index)));
    }
    out += SseEvent(chunk);
  }

  void BeginStream(std::string& out) override {
    for (size_t i = 0; request().echo && i < choice_count(); ++i) AddChunk(i, false, out);
  }

  void AddUpdate(size_t index, ChoiceRun::Update update, std::string& out) override {
    if (request().return_progress) {
      for (const TokenChannel::Progress& progress : update.progress) {
        json::Object chunk = Envelope("text_completion");
        chunk.Set("choices", json::Array{json::Object{{"index", index},
                                                      {"text", ""},
                                                      {"logprobs", nullptr},
                                                      {"finish_reason", nullptr}}});
        chunk.Set("prompt_progress", ProgressJson(index, progress));
        out += SseEvent(chunk);
      }
    }
    const bool last = update.finished;
    Keep(index, std::move(update));
    if (last && failed()) return;
    if (last || !states_[index].text.empty()) AddChunk(index, last, out);
  }

  void EndStream(std::string& out) override {
    if (!request().include_usage) return;
    json::Object chunk = Envelope("text_completion");
    chunk.Set("choices", json::Array());
    chunk.Set("usage", Usage());
    out += SseEvent(chunk);
  }

  std::vector<ChoiceState> states_;
};

}  // namespace

std::unique_ptr<Reply> MakeCompletionReply(GenerationReplyOptions options, ChoiceRuns choices,
                                           std::shared_ptr<engine::Engine> engine,
                                           const Clock& clock) {
  return std::make_unique<CompletionReply>(std::move(options), std::move(choices),
                                           std::move(engine), clock);
}

}  // namespace mach::server
