// The parts of one chat message.
#pragma once

#include <string>

#include "dialog/field_error.h"
#include "json/value.h"

namespace mach::dialog {

// The text of a message's content, a string or parts, which are joined with line breaks. thoughts:
// where the texts of thinking parts go; null: the role has none, and they are refused. Redacted
// thinking is for its author alone and is left out.
FieldStatus ReadMessageContent(const json::Value& content, const std::string& param,
                               std::string& out, std::string* thoughts);

// The reasoning of an assistant's message, in each spelling that a field of its own has.
FieldStatus ReadReasoning(const json::Value& message, const std::string& where, std::string& out);

}  // namespace mach::dialog
