// Chat messages and tools: from what clients send to what templates expect.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "dialog/field_error.h"
#include "json/value.h"

namespace mach::dialog {

// Bounds on what a client may send.
struct MessageLimits {
  size_t messages = 10'000;
  size_t tools = 512;
};

// Each message comes out with "role" (system, user, assistant, tool) and "content" (a string), and
// where given "name", "tool_call_id", "reasoning_content" (a string) and "tool_calls", whose
// "arguments" are objects. Text parts are joined with line breaks; the texts of all system and
// developer messages become one message at the front; legacy "function" messages and
// "function_call" become their successors. Parts of the assistant's thinking become its reasoning.
// Content may be missing where the assistant says something else, and null in its messages.
// Arguments that are cut-off JSON are completed, and where nothing helps {"raw_arguments": TEXT},
// so that a truncated call does not poison a conversation. A line at the front of a system message
// that is known to differ in every request is taken out: it would keep any prefix from being
// cached. nonce_stripped: set when that was so; may be null.
Result<json::Array, FieldError> NormalizeMessages(const json::Value& messages,
                                                  const MessageLimits& limits,
                                                  bool* nonce_stripped = nullptr);

// The text of a system message without such a line.
std::string_view WithoutNonce(std::string_view system);

// Flat tools ({"type":"function","name":...}) are nested; the order of keys is kept.
Result<json::Array, FieldError> NormalizeTools(const json::Value& tools,
                                               const MessageLimits& limits);

// The object that a JSON text stands for, even when its end is missing.
json::Value RepairArguments(const std::string& text);

}  // namespace mach::dialog
