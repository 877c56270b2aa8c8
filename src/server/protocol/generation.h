// From a request to runs that the engine can take.
#pragma once

#include <memory>
#include <string>
#include <variant>

#include "dialog/codec.h"
#include "engine/engine.h"
#include "server/http/api_error.h"
#include "server/protocol/generation_request.h"
#include "server/protocol/response_json.h"

namespace mach::server {

// 400 in the words that clients look for when a conversation has grown too long.
ApiError ContextOverflow(size_t prompt_tokens, const engine::Info& info, std::string_view param);
ApiError ModelNotFound(const std::string& asked, const std::string& served);

// One run for each choice of each prompt, not yet submitted. Values that only the model can judge
// are checked here: the prompts' lengths and token ids. Unset sampling parameters take the model's
// defaults; the seed of run i is the request's plus i. Where a call is forced its opening goes to
// the prompts' ends.
std::variant<ChoiceRuns, ApiError> PrepareChoices(
    const std::string& request_id, const GenerationRequest& request,
    std::vector<dialog::Prompt>& prompts, const std::shared_ptr<engine::Engine>& engine,
    const std::shared_ptr<const dialog::Codec>& codec);

}  // namespace mach::server
