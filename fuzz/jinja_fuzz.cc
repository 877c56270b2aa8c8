// Any template, rendered with a fixed list of messages under small limits.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/utf8.h"
#include "jinja/template.h"
#include "json/parse.h"
#include "json/value.h"

namespace {

constexpr std::string_view kVariables = R"json({
  "messages": [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": " <|im_end|> Grüße, 世界 😀\n"},
    {"role": "assistant", "content": null, "reasoning_content": "hm",
     "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f",
       "arguments": {"a": 1, "b": [1.5, null, true, "x"], "c": {"d": {}}}}}]},
    {"role": "tool", "tool_call_id": "c1", "content": "{\"ok\": true}"},
    {"role": "user", "content": [{"type": "text", "text": "and"}, {"type": "image"}]}
  ],
  "tools": [{"type": "function", "function": {"name": "f", "description": "does",
    "parameters": {"type": "object", "properties": {"a": {"type": ["integer", "null"]}}}}}],
  "add_generation_prompt": true, "bos_token": "<s>", "big": 123456789012345678901234567890
})json";

const mach::json::Object& Variables() {
  static const auto& variables = *[] {
    auto parsed = mach::json::Parse(kVariables);
    MACH_CHECK(parsed.ok());
    return new mach::json::Object(parsed->AsObject());
  }();
  return variables;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  const auto parsed = mach::jinja::Template::Parse(source);
  if (!parsed) return 0;
  mach::jinja::RenderOptions options;
  options.limits = {.max_steps = 200'000,
                    .max_depth = 60,
                    .max_stack_bytes = 1u << 20,
                    .max_output_bytes = 1u << 20,
                    .max_memory_bytes = 16u << 20};
  const auto rendered = parsed->Render(Variables(), options);
  if (!rendered) {
    MACH_CHECK(mach::utf8::IsValid(rendered.error().message));
    return 0;
  }
  MACH_CHECK(rendered->text.size() <= options.limits.max_output_bytes);
  MACH_CHECK(mach::utf8::IsValid(rendered->text));
  size_t end = 0;
  for (const mach::Span& span : rendered->plain) {
    MACH_CHECK(span.begin < span.end && span.end <= rendered->text.size());
    MACH_CHECK(span.begin >= end);
    end = span.end;
  }
  return 0;
}
