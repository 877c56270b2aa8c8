#include "chat/output_parser.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "chat/stop_matcher.h"
#include "json/parse.h"
#include "json/write.h"

namespace mach::chat {
namespace {

json::Array Tools() {
  return json::Parse(R"([
    {"type":"function","function":{"name":"write_file","parameters":{"type":"object","properties":{
      "path":{"type":"string"},"content":{"type":"string"},"mode":{"type":["integer","null"]},
      "flags":{"type":"object"},"force":{"type":"boolean"},"ratio":{"type":"number"},
      "either":{"anyOf":[{"type":"integer"},{"type":"string"}]}}}}},
    {"type":"function","function":{"name":"now"}}])")
      ->AsArray();
}

OutputFormat Qwen(bool token_markers) {
  return {"<think>", "</think>", "<tool_call>", "</tool_call>", token_markers};
}

// A piece of output; in braces of the test texts, markers are those of Qwen.
struct Options {
  bool in_reasoning = false;
  bool tools = true;
  bool token_markers = true;
  bool truncated = false;
};

constexpr std::string_view kMarkers[] = {"<think>", "</think>", "<tool_call>", "</tool_call>"};

// Cuts the text at the given places (never inside a marker when markers are tokens) and merges
// neighbouring events of one kind, so that runs can be compared.
OutputEvents Parse(std::string_view text, const Options& options, uint64_t seed) {
  static const ToolSchemas schemas(Tools());
  OutputParser parser(Qwen(options.token_markers), {options.in_reasoning, options.tools}, schemas);
  OutputEvents events;
  uint64_t position = 0;
  for (size_t at = 0; at < text.size();) {
    size_t n = 0;
    bool marker = false;
    if (options.token_markers) {
      for (const std::string_view m : kMarkers) {
        if (text.substr(at).starts_with(m)) {
          n = m.size();
          marker = true;
        }
      }
    }
    if (!marker) {
      const size_t longest = seed == 0 ? text.size() : seed == 1 ? 1 : 9;
      n = 1 + static_cast<size_t>(UniformAt(seed, position++) * static_cast<double>(longest));
      n = std::min(seed == 0 ? text.size() : n, text.size() - at);
      while (at + n < text.size() && (static_cast<uint8_t>(text[at + n]) & 0xC0) == 0x80) ++n;
      if (options.token_markers) {
        for (const std::string_view m : kMarkers) {
          const size_t next = text.find(m, at);
          if (next != std::string_view::npos) n = std::min(n, next - at);
        }
      }
    }
    parser.Push(text.substr(at, n), marker, events);
    at += n;
  }
  parser.Finish(options.truncated, events);
  OutputEvents merged;
  for (OutputEvent& event : events) {
    EXPECT_TRUE(!event.text.empty() || event.kind == EventKind::kCallEnd);
    if (!merged.empty() && merged.back().kind == event.kind &&
        event.kind != EventKind::kCallStart && event.kind != EventKind::kCallEnd) {
      merged.back().text += event.text;
    } else {
      merged.push_back(std::move(event));
    }
  }
  return merged;
}

std::string Spell(const OutputEvents& events) {
  std::string out;
  for (const OutputEvent& event : events) {
    static constexpr std::string_view kNames[] = {"C", "R", "CALL", "A", "END"};
    out += std::string(kNames[static_cast<size_t>(event.kind)]) + "[" + event.text + "]";
  }
  return out;
}

struct Case {
  const char* name;
  std::string text;
  std::string expected;
  Options options;
};

const std::vector<Case>& Cases() {
  static const std::vector<Case> cases = {
      {"plain", "Hello <b>there</b>", "C[Hello <b>there</b>]", {}},
      {"plain without tools keeps its space", " a \n", "C[ a \n]", {.tools = false}},
      {"trailing space is content at the end", "a \n", "C[a \n]", {}},
      {"reasoning", "Why\nso\n</think>\n\nAnswer", "R[Why\nso]C[Answer]", {.in_reasoning = true}},
      {"empty reasoning", "\n</think>\n\nAnswer", "C[Answer]", {.in_reasoning = true}},
      {"reasoning in text mode",
       "Why</th</think>\nYes",
       "R[Why</th]C[Yes]",
       {.in_reasoning = true, .token_markers = false}},
      {"opened by the model", "<think>\nHm\n</think>\nYes", "R[Hm]C[Yes]", {}},
      {"opened twice", "<think>Hm</think>Yes", "R[Hm]C[Yes]", {.in_reasoning = true}},
      {"leading close", "</think>\n\nYes", "C[Yes]", {}},
      {"truncated reasoning", "Hm, but", "R[Hm, but]", {.in_reasoning = true, .truncated = true}},
      {"ended inside reasoning", "Hm.\n", "R[Hm.]", {.in_reasoning = true}},
      {"close inside text is text", "a </think> b", "C[a </think> b]", {.token_markers = false}},
      {"xml call",
       "Sure.\n\n<tool_call>\n<function=write_file>\n<parameter=path>\na.txt\n</parameter>\n"
       "<parameter=mode>\n420\n</parameter>\n</function>\n</tool_call>",
       "C[Sure.]CALL[write_file]A[{\"path\": \"a.txt\", \"mode\": 420}]END[]",
       {}},
      {"no arguments",
       "<tool_call>\n<function=now>\n</function>\n</tool_call>",
       "CALL[now]A[{}]END[]",
       {}},
      {"two calls",
       "<tool_call>\n<function=now>\n</function>\n</tool_call>\n<tool_call>\n<function=now>\n"
       "</function>\n</tool_call>",
       "CALL[now]A[{}]END[]CALL[now]A[{}]END[]",
       {}},
      {"text after a call",
       "<tool_call>\n<function=now>\n</function>\n</tool_call>\nDone.",
       "CALL[now]A[{}]END[]C[Done.]",
       {}},
      {"value with markup",
       "<tool_call><function=write_file><parameter=content>\n<div>\n</div> & \"q\" </parameter> x\n"
       "<parameter y\n\n</parameter>\n</function></tool_call>",
       "CALL[write_file]A[{\"content\": \"<div>\\n</div> & \\\"q\\\" </parameter> x\\n<parameter "
       "y\\n\"}]END[]",
       {}},
      {"one line break at each end",
       "<tool_call><function=write_file><parameter=content>\n\n a\r\n\n</parameter></function>"
       "</tool_call>",
       "CALL[write_file]A[{\"content\": \"\\n a\\r\\n\"}]END[]",
       {}},
      {"types",
       "<tool_call><function=write_file><parameter=path>123</parameter><parameter=force>True"
       "</parameter><parameter=mode>null</parameter><parameter=flags>{'a': True, 'b': [1, \"x\"]}"
       "</parameter><parameter=ratio>abc</parameter><parameter=either>seven</parameter>"
       "<parameter=unknown>5</parameter></function></tool_call>",
       "CALL[write_file]A[{\"path\": \"123\", \"force\": true, \"mode\": null, \"flags\": "
       "{\"a\":true,\"b\":[1,\"x\"]}, \"ratio\": \"abc\", \"either\": \"seven\", \"unknown\": "
       "\"5\"}]END[]",
       {}},
      {"repeated key",
       "<tool_call><function=write_file><parameter=path>a</parameter><parameter=path>b</parameter>"
       "</function></tool_call>",
       "CALL[write_file]A[{\"path\": \"a\"}]END[]",
       {}},
      {"opener missing", "\n<function=now>\n</function>\n</tool_call>", "CALL[now]A[{}]END[]", {}},
      {"closers missing",
       "<tool_call><function=write_file><parameter=path>\na.txt\n",
       "CALL[write_file]A[{\"path\": \"a.txt\"}]END[]",
       {}},
      {"call closes the one before",
       "<tool_call><function=write_file><parameter=path>a\n</tool_call>\n<tool_call>"
       "<function=now></function></tool_call>",
       "CALL[write_file]A[{\"path\": \"a\"}]END[]CALL[now]A[{}]END[]",
       {}},
      {"truncated string",
       "<tool_call><function=write_file><parameter=path>\na.tx",
       "CALL[write_file]A[{\"path\": \"a.tx]",
       {.truncated = true}},
      {"truncated name",
       "<tool_call><function=write_f",
       "C[<tool_call><function=write_f]",
       {.truncated = true}},
      {"quoted name",
       "<tool_call><function=\"now\"></function></tool_call>",
       "CALL[now]A[{}]END[]",
       {}},
      {"json call",
       "<tool_call>\n{\"name\": \"now\", \"arguments\": {\"a\": [1, 2.50]}}\n</tool_call>",
       "CALL[now]A[{\"a\":[1,2.5]}]END[]",
       {}},
      {"json arguments as a string",
       "<tool_call>{\"name\": \"now\", \"arguments\": \"{\\\"a\\\": 1}\"}</tool_call>",
       "CALL[now]A[{\"a\":1}]END[]",
       {}},
      {"json parameters in a fence without a closer",
       "<tool_call>\n```json\n{\"name\": \"now\", \"parameters\": {}}\n```\n",
       "CALL[now]A[{}]END[]",
       {}},
      {"truncated json",
       "<tool_call>{\"name\": \"now\", \"arguments\": {\"a\": \"b",
       "CALL[now]A[{\"a\": \"b]",
       {.truncated = true}},
      {"malformed json is content",
       "<tool_call>{\"name\": now}</tool_call> ok",
       "C[<tool_call>{\"name\": now}</tool_call> ok]",
       {}},
      {"malformed call is content",
       "<tool_call>call now()</tool_call>",
       "C[<tool_call>call now()</tool_call>]",
       {}},
      {"calls without tools are content",
       "<tool_call><function=now></function></tool_call>",
       "C[<tool_call><function=now></function></tool_call>]",
       {.tools = false}},
      {"call in reasoning, then the end",
       "I call.\n<tool_call><function=now></function></tool_call>",
       "R[I call.]CALL[now]A[{}]END[]",
       {.in_reasoning = true}},
      {"draft in reasoning, then content",
       "I could <tool_call><function=now></function></tool_call>\n</think>\n\nNo.",
       "R[I could<tool_call><function=now></function></tool_call>]C[No.]",
       {.in_reasoning = true}},
      {"draft in reasoning, then a call",
       "Hm<tool_call><function=x></function></tool_call></think><tool_call><function=now>"
       "</function></tool_call>",
       "R[Hm<tool_call><function=x></function></tool_call>]CALL[now]A[{}]END[]",
       {.in_reasoning = true}},
      {"call in closed reasoning, nothing after",
       "Hm<tool_call><function=now></function></tool_call></think>\n\n",
       "R[Hm]CALL[now]A[{}]END[]",
       {.in_reasoning = true}},
      {"JSON call without a name, cut off",
       R"(<tool_call>{"name": "", "arguments": {"a": 1)",
       R"(C[<tool_call>{"name": "", "arguments": {"a": 1])",
       {.truncated = true}},
      {"draft cut off",
       "Hm <tool_call><function=now>",
       "R[Hm<tool_call><function=now>]",
       {.in_reasoning = true, .truncated = true}},
  };
  return cases;
}

TEST(OutputParser, UnderstandsEachFormHoweverItIsCut) {
  for (const Case& c : Cases()) {
    for (uint64_t seed = 0; seed < 40; ++seed) {
      ASSERT_EQ(Spell(Parse(c.text, c.options, seed)), c.expected) << c.name << " seed " << seed;
    }
  }
}

// Of what opens a call and its body, and of a body's tags.
TEST(OutputParser, AGapIsAsLongHoweverItIsCut) {
  for (const size_t gap : {0, 1, 63, 64, 65, 66, 200}) {
    for (const bool token_markers : {false, true}) {
      for (const std::string body : {"<function=now></function>", "{\"name\": \"now\"}"}) {
        const std::string text = "<tool_call>" + std::string(gap, ' ') + body + "</tool_call>";
        const std::string expected = gap <= 64 ? "CALL[now]A[{}]END[]" : "C[" + text + "]";
        for (uint64_t seed = 0; seed < 40; ++seed) {
          ASSERT_EQ(Spell(Parse(text, {.token_markers = token_markers}, seed)), expected)
              << gap << " " << seed;
        }
      }
    }
  }
}

// Whatever comes, however cut: the same events, balanced calls, arguments that are JSON.
TEST(OutputParser, AnyCutOfAnyMixtureGivesTheSameEvents) {
  const std::string_view parts[] = {"<think>",
                                    "</think>",
                                    "<tool_call>",
                                    "</tool_call>",
                                    "<function=write_file>",
                                    "<function=",
                                    "</function>",
                                    "<parameter=path>",
                                    "<parameter=mode>",
                                    "<parameter=content",
                                    "</parameter>",
                                    "</parameter/>",
                                    "</function",
                                    "<function=now>",
                                    "\n",
                                    " ",
                                    "x",
                                    "{\"name\": \"now\", \"arguments\": {}}",
                                    "\"",
                                    "{",
                                    "é",
                                    "42",
                                    ">",
                                    "\r\n",
                                    "```"};
  for (uint64_t round = 1; round <= 3000; ++round) {
    std::string text;
    const auto count = static_cast<size_t>(UniformAt(round, 0, 1) * 18);
    for (size_t i = 0; i < count; ++i) {
      text += parts[static_cast<size_t>(UniformAt(round, i, 2) * std::size(parts))];
    }
    const Options options{.in_reasoning = round % 2 == 0,
                          .tools = round % 5 != 0,
                          .token_markers = round % 3 != 0,
                          .truncated = round % 7 == 0};
    const OutputEvents whole = Parse(text, options, 0);
    for (uint64_t seed = 1; seed < 6; ++seed) {
      ASSERT_EQ(Spell(Parse(text, options, seed)), Spell(whole)) << text << " round " << round;
    }
    std::string arguments;
    bool open = false;
    for (const OutputEvent& event : whole) {
      if (event.kind == EventKind::kCallStart) {
        ASSERT_FALSE(open) << text;
        open = true;
        arguments.clear();
      } else if (event.kind == EventKind::kArguments) {
        ASSERT_TRUE(open) << text;
        arguments += event.text;
      } else if (event.kind == EventKind::kCallEnd) {
        ASSERT_TRUE(open) << text;
        open = false;
        const auto value = json::Parse(arguments);
        ASSERT_TRUE(value.ok() && value->is_object()) << arguments << " from " << text;
      }
    }
    if (!options.truncated) {
      ASSERT_FALSE(open) << text;
    }
  }
}

TEST(StopMatcher, EndsAtTheFirstCompleteMatchHoweverCut) {
  struct StopCase {
    std::vector<std::string> stops;
    std::string text, expected;
  };
  const StopCase cases[] = {
      {{"END"}, "abENDcd", "ab"},
      {{"END"}, "abEN", "abEN"},
      {{"abcd", "bc"}, "xabcd", "xa"},
      {{"bcd", "abcd"}, "xabcd", "x"},
      {{"aab"}, "aaaab", "aa"},
      {{"\n\n", "\n"}, "a\n\nb", "a"},
      {{""}, "ab", "ab"},
  };
  for (const StopCase& c : cases) {
    const auto stops = std::make_shared<const Patterns>(c.stops);
    for (uint64_t seed = 0; seed < 20; ++seed) {
      StopMatcher matcher(stops, false);
      std::string out;
      for (size_t at = 0, i = 0; at < c.text.size(); ++i) {
        const size_t n =
            std::min<size_t>(c.text.size() - at, 1 + static_cast<size_t>(UniformAt(seed, i) * 4));
        out += matcher.Push(std::string_view(c.text).substr(at, n));
        at += n;
      }
      if (!matcher.matched()) out += matcher.Finish();
      EXPECT_EQ(out, c.expected) << c.text;
    }
  }
}

// Against the definition: cut at the first prefix of the text that contains a stop string, and hold
// back no byte more than could begin one.
TEST(StopMatcher, HoldsBackExactlyWhatMayBeginAStop) {
  for (uint64_t round = 0; round < 500; ++round) {
    const auto letter = [&](uint64_t i, uint32_t k) {
      return static_cast<char>('a' + static_cast<int>(UniformAt(round, i, k) * 2));
    };
    std::vector<std::string> stops(1 + round % 3);
    for (size_t s = 0; s < stops.size(); ++s) {
      const auto length = 1 + static_cast<size_t>(UniformAt(round, s, 9) * 5);
      for (size_t i = 0; i < length; ++i) stops[s] += letter(i, static_cast<uint32_t>(10 + s));
    }
    StopMatcher matcher(std::make_shared<const Patterns>(stops), false);
    std::string in, out;
    for (uint64_t i = 0; i < 24; ++i) {
      const char c = letter(i, 1);
      in += c;
      out += matcher.Push(std::string_view(&c, 1));
      size_t cut = std::string::npos;
      for (const std::string& stop : stops) {
        if (in.ends_with(stop)) cut = std::min(cut, in.size() - stop.size());
      }
      if (cut != std::string::npos) {
        ASSERT_TRUE(matcher.matched());
        ASSERT_EQ(out, in.substr(0, cut));
        break;
      }
      ASSERT_FALSE(matcher.matched());
      size_t tail = 0;
      for (const std::string& stop : stops) {
        for (size_t n = 1; n < stop.size() && n <= in.size(); ++n) {
          if (in.ends_with(stop.substr(0, n))) tail = std::max(tail, n);
        }
      }
      ASSERT_EQ(out, in.substr(0, in.size() - tail));
    }
  }
}

TEST(StopMatcher, CanKeepTheStopString) {
  const std::vector<std::string> stops{"END"};
  StopMatcher matcher(std::make_shared<const Patterns>(stops), true);
  EXPECT_EQ(matcher.Push("abENDcd"), "abEND");
  EXPECT_TRUE(matcher.matched());
  EXPECT_EQ(matcher.Push("more"), "");
}

}  // namespace
}  // namespace mach::chat
