#include "server/protocol/chat_prompt.h"

#include <utility>

namespace mach::server {

std::variant<dialog::Prompt, ApiError> RenderPrompt(const dialog::Codec& codec,
                                                    const dialog::ChatInput& chat,
                                                    std::string_view request_id,
                                                    const std::atomic<bool>* cancel) {
  auto rendered = codec.RenderChat(chat, cancel);
  if (!rendered) {
    ApiError error = FromError(rendered.error(), request_id);
    if (rendered.error().code == Code::kInvalidArgument) error.param = "messages";
    return error;
  }
  if (rendered->lacks_tools) {
    return BadRequest(
        "unsupported_parameter", "tools",
        "'tools' has " + std::to_string(chat.tools.size()) +
            (chat.tools.size() == 1 ? " entry" : " entries") +
            ", but the model's chat template writes nothing of them into the prompt, so that the "
            "model would not know them; leave 'tools' out or send \"tool_choice\": \"none\", or "
            "give the model a chat template that knows tools");
  }
  return *std::move(rendered);
}

}  // namespace mach::server
