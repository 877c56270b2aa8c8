// A conversation's prompt, or why there is none.
#pragma once

#include <atomic>
#include <string_view>
#include <variant>

#include "dialog/codec.h"
#include "server/http/api_error.h"
#include "server/protocol/generation_request.h"

namespace mach::server {

// The error names the parameter at fault: "messages" for what the template refuses, "tools" where
// the template writes none of them into the prompt. cancel: see Codec.
std::variant<dialog::Prompt, ApiError> RenderPrompt(const dialog::Codec& codec,
                                                    const dialog::ChatInput& chat,
                                                    std::string_view request_id,
                                                    const std::atomic<bool>* cancel = nullptr);

}  // namespace mach::server
