// From a request to runs that the engine can take.
#pragma once

#include <memory>
#include <string>
#include <variant>

#include "engine/engine.h"
#include "server/api_error.h"
#include "server/codec.h"
#include "server/generation_request.h"
#include "server/response_json.h"

namespace mach::server {

// 400 in the words that clients look for when a conversation has grown too long.
ApiError ContextOverflow(size_t prompt_tokens, size_t context_tokens);
ApiError ModelNotFound(const std::string& asked, const std::string& served);

// One run for each choice, not yet submitted. Values that only the model can judge are checked
// here: the prompt's length and token ids. Unset sampling parameters take the model's defaults; the
// seed of choice i is the request's plus i.
std::variant<ChoiceRuns, ApiError> PrepareChoices(const std::string& request_id,
                                                  const GenerationRequest& request,
                                                  const Prompt& prompt,
                                                  const std::shared_ptr<engine::Engine>& engine,
                                                  const std::shared_ptr<const Codec>& codec);

}  // namespace mach::server
