// A conversation as templates expect it.
#pragma once

#include <optional>

#include "json/value.h"

namespace mach::dialog {

// Messages as templates expect them (see NormalizeMessages), and what else the template sees.
struct ChatInput {
  json::Array messages;
  json::Array tools;  // {"type":"function","function":{...}} each, as sent
  json::Object kwargs;
  // As asked for; unset: decided by SettleLastTurn, as are the two below.
  std::optional<bool> asked_generation_prompt, asked_continuation;
  bool add_generation_prompt = true;
  bool continue_final = false;  // the prompt ends inside the last message, the assistant's
  bool nonce_stripped = false;  // see NormalizeMessages
};

}  // namespace mach::dialog
