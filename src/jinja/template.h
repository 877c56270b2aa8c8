// Chat templates: a Jinja interpreter of our own, for the language that published templates use
// (Jinja2 as transformers' apply_chat_template sets it up: sandboxed and immutable, trim_blocks,
// lstrip_blocks, loop controls, the generation block, tojson without HTML escapes).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/utf8.h"
#include "json/value.h"

namespace mach::jinja {

struct Rendered {
  std::string text;  // UTF-8
  // Sorted, disjoint, not touching: the bytes of `text` that come from strings of the messages
  // whose role is one of RenderOptions::plain_roles, and from tools and calls of them
  // (RenderOptions::plain_tools).
  std::vector<Span> plain;
};

// What one render may use. A template that needs more ends with an error, never with a crash.
struct RenderLimits {
  // Evaluated nodes; work on long strings and lists counts in proportion to their size.
  size_t max_steps = 20'000'000;
  // Macro calls within macro calls, and levels of nested lists and mappings.
  size_t max_depth = 200;
  // Stack that evaluation may take of the calling thread, which must have that much to spare.
  size_t max_stack_bytes = 2u << 20;
  size_t max_output_bytes = 64u << 20;
  // Values alive at one time, the caller's variables included.
  size_t max_memory_bytes = 256u << 20;
};

struct RenderOptions {
  // What strftime_now formats, as UTC. Injected, so that tests and prefix caches are stable; a
  // caller that wants local time adds its offset.
  int64_t now_unix_seconds = 0;
  RenderLimits limits;
  // Set by another thread to end the render at its next step, with kCancelled. Null: never.
  const std::atomic<bool>* cancel = nullptr;
  // Every string inside messages[i] whose `role` is one of these (save the role itself) is tracked
  // through the render, so that the tokenizer can treat text that spells a special token as plain
  // text. Concatenation, slices, trim, split, join, replace, indent, set, macros and formatting
  // keep exact ranges; what changes characters (upper, tojson, repr, ...) marks its whole result
  // when any of its input was marked.
  std::vector<std::string> plain_roles = {"user", "tool"};
  // So is every string, keys included, of `tools`, and of tool_calls, function_call, tool_call_id
  // and name in messages of every role: descriptions come from servers of tools, and arguments of
  // earlier calls hold what a model read elsewhere.
  bool plain_tools = true;
};

// Immutable after Parse; copies are cheap and share it. Safe to render from several threads.
class Template {
 public:
  // Errors give the line. kUnsupported: a construct that this interpreter lacks (include, extends,
  // block, ...), named by the message; kCorrupt: not Jinja.
  static Result<Template> Parse(std::string_view source);

  // variables: messages, tools, add_generation_prompt and whatever the template reads besides.
  // kInvalidArgument comes only from the template's own raise_exception, and the message is then
  // exactly what it passed: an answer for the client. Whatever else goes wrong is kUnsupported,
  // with the line: the template can not render these variables (None where it needs a string, an
  // unknown filter, a limit reached). kCancelled: RenderOptions::cancel was seen.
  Result<Rendered> Render(const json::Object& variables, const RenderOptions& options) const;

  const std::string& source() const;

 private:
  struct Impl;
  explicit Template(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

}  // namespace mach::jinja
