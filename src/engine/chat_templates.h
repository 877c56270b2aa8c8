// The chat templates of a model directory.
#pragma once

#include <string>

#include "base/result.h"
#include "io/file.h"
#include "json/value.h"

namespace mach::engine {

// Jinja sources.
struct ChatTemplates {
  std::string plain;         // of a conversation without tools
  std::string with_tools;    // empty: the same
  bool wants_tools = false;  // `plain` is one for tools, so that it may need a list of them
};

// The first of these that is there: chat_template.jinja, "chat_template" of chat_template.json,
// "chat_template" of tokenizer_config.json. The latter two may hold one template, or several with
// names, as a list of {"name", "template"} or as an object. To them come the files
// additional_chat_templates/NAME.jinja. With tools "tool_use" is taken where it exists, otherwise
// "default"; a model with "tool_use" alone uses it for all, without tools with an empty list of
// them. Errors name the directory, the file and the names that it has.
Result<ChatTemplates> ReadChatTemplates(io::FileSystem& fs, const std::string& directory,
                                        const json::Value& tokenizer_config);

}  // namespace mach::engine
