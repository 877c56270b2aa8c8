// Bodies of tool calls in both forms, cut at random: events are in order, and complete calls have
// arguments that are one JSON object.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/utf8.h"
#include "chat/tool_calls.h"
#include "json/parse.h"

namespace {

using namespace mach::chat;

constexpr std::string_view kOpen = "<tool_call>";
constexpr std::string_view kClose = "</tool_call>";

const ToolSchemas& Schemas() {
  static const auto& schemas = *[] {
    const auto tools = mach::json::Parse(R"([{"type":"function","function":{"name":"f",
      "parameters":{"type":"object","properties":{"s":{"type":"string"},"i":{"type":"integer"},
      "n":{"type":["number","null"]},"b":{"type":"boolean"},"o":{"type":"object"},
      "a":{"type":"array"},"x":{"anyOf":[{"type":"integer"},{"type":"string"}]}}}}}])");
    MACH_CHECK(tools.ok());
    return new ToolSchemas(tools->AsArray());
  }();
  return schemas;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2 || size > 8192) return 0;
  const bool truncated = (data[0] & 1) != 0;
  uint32_t seed = data[1];
  // Parsers get whole characters.
  const std::string text = mach::utf8::Repair({reinterpret_cast<const char*>(data) + 2, size - 2});
  ToolCallParser parser(Schemas(), "<tool_call>");
  OutputEvents events;
  for (size_t at = 0; at < text.size() && !parser.ended();) {
    seed = seed * 1664525u + 1013904223u;
    size_t n = std::min<size_t>(1 + (seed >> 16) % 24, text.size() - at);
    while (at + n < text.size() && (static_cast<uint8_t>(text[at + n]) & 0xC0) == 0x80) ++n;
    // Markers come alone, as the scanner gives them.
    const bool opens = text.compare(at, kOpen.size(), kOpen) == 0;
    const bool closes = text.compare(at, kClose.size(), kClose) == 0;
    if ((opens || closes) && parser.takes_markers()) {
      n = opens ? kOpen.size() : kClose.size();
      parser.FeedMarker({opens ? 0 : 1, text.substr(at, n)}, opens, closes, events);
    } else {
      n = std::min({n, text.find(kOpen, at + 1) - at, text.find(kClose, at + 1) - at});
      parser.Feed(std::string_view(text).substr(at, n), events);
    }
    at += n;
  }
  if (!parser.ended() && !truncated && !parser.takes_markers()) parser.Close(kClose, events);
  if (!parser.ended()) parser.Finish(truncated, events);
  parser.TakeRest();

  bool open = false;
  std::string arguments;
  for (const OutputEvent& event : events) {
    MACH_CHECK(mach::utf8::IsValid(event.text));
    switch (event.kind) {
      case EventKind::kCallStart:
        MACH_CHECK(!open && !event.text.empty());
        open = true;
        arguments.clear();
        break;
      case EventKind::kArguments:
        MACH_CHECK(open);
        arguments += event.text;
        break;
      case EventKind::kCallEnd: {
        MACH_CHECK(open);
        open = false;
        const auto value = mach::json::Parse(arguments, {.max_depth = 200});
        MACH_CHECK(value.ok() && value->is_object());
        break;
      }
      case EventKind::kContent:
        MACH_CHECK(!open);
        break;
      case EventKind::kReasoning:
        MACH_CHECK(false);
    }
  }
  MACH_CHECK(!open || truncated);
  return 0;
}
