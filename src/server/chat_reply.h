// Answers to POST /v1/chat/completions, streamed and whole.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "server/generation_request.h"
#include "server/reply.h"
#include "server/response_json.h"

namespace mach::server {

// Names of the fields that carry reasoning.
struct ReasoningFields {
  bool reasoning_content = true;
  bool reasoning = true;
};

struct ChatReplyOptions {
  GenerationRequest request;
  Prompt prompt;
  std::string model_id;
  std::string fingerprint;
  ReasoningFields reasoning_fields;
  std::chrono::milliseconds ping_interval{5000};
};

// engine, codec and clock outlive the reply by their owners' promise (clock) or by sharing.
std::unique_ptr<Reply> MakeChatReply(ChatReplyOptions options, ChoiceRuns choices,
                                     const Clock& clock);

}  // namespace mach::server
