// Answers to POST /v1/chat/completions, streamed and whole.
#pragma once

#include <memory>

#include "engine/engine.h"
#include "server/protocol/generation_reply.h"

namespace mach::server {

std::unique_ptr<Reply> MakeChatReply(GenerationReplyOptions options, ChoiceRuns choices,
                                     std::shared_ptr<engine::Engine> engine, const Clock& clock);

}  // namespace mach::server
