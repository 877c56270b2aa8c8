// How a conversation's prompt ends: with an opened turn of the assistant, closed, or inside the
// assistant's last message, as continue_final_message of transformers and vLLM has it.
#pragma once

#include <string>
#include <string_view>

#include "dialog/chat_input.h"
#include "dialog/field_error.h"
#include "json/value.h"

namespace mach::dialog {

// Decides add_generation_prompt and continue_final of normalised messages. A conversation that ends
// with a message of the assistant is continued unless the request says otherwise; an empty one at
// the end is left out, since its turn is what a generation prompt opens.
FieldStatus SettleLastTurn(ChatInput& chat);

// The messages with a mark behind the content of the last one, which shows where that content ends
// once they are rendered.
json::Array MarkLastTurn(const json::Array& messages);
// Where the prompt is to end in the rendered text of marked messages; npos: the template does not
// show the last message's content.
size_t EndOfMarkedTurn(std::string_view rendered);

}  // namespace mach::dialog
