// The codec of a real model: tokenizer.json and a Jinja chat template.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "dialog/codec.h"
#include "json/value.h"

namespace mach::dialog {

struct TextCodecFiles {
  std::string tokenizer_json;
  std::string chat_template;          // Jinja source
  std::string tool_template;          // of conversations with tools; empty: the same
  bool template_wants_tools = false;  // no tools are an empty list to chat_template, not None
  json::Value tokenizer_config;       // bos_token, eos_token and others, which templates read
};

// Text of user and tool messages, of tools and of calls of them that spells a special token is
// ordinary text to the tokenizer. The markers of the output are those that the template writes.
// clock: for strftime_now; outlives the codec.
Result<std::shared_ptr<const Codec>> MakeTextCodec(const TextCodecFiles& files, const Clock& clock);

}  // namespace mach::dialog
