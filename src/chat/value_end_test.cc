// Where a value of a call in XML form ends, through the parser, cut into single bytes and whole.
#include "chat/value_end.h"

#include <gtest/gtest.h>

#include "chat/output_parser.h"
#include "json/parse.h"
#include "json/write.h"

namespace mach::chat {
namespace {

const ToolSchemas& Notes() {
  static const ToolSchemas schemas(json::Parse(R"([
    {"type":"function","function":{"name":"note","parameters":{"type":"object","properties":{
      "title":{"type":"string"},"body":{"type":"string"},"stars":{"type":"integer"}}}}},
    {"type":"function","function":{"name":"free"}}])")
                                       ->AsArray());
  return schemas;
}

constexpr std::string_view kMarks[] = {"<think>", "</think>", "<tool_call>", "</tool_call>"};

// Name and arguments of the calls, a line each, then what else came.
std::string Calls(std::string_view text, bool token_markers, bool bytewise, bool cut_off) {
  OutputParser parser({"<think>", "</think>", "<tool_call>", "</tool_call>", token_markers, true},
                      {.tools = true}, Notes());
  OutputEvents events;
  for (size_t at = 0; at < text.size();) {
    size_t n = bytewise ? 1 : text.size() - at;
    bool marker = false;
    for (const std::string_view mark : kMarks) {
      if (!token_markers) continue;
      if (text.substr(at).starts_with(mark)) {
        n = mark.size();
        marker = true;
        break;
      }
      n = std::min(n, text.find(mark, at) - at);
    }
    parser.Push(text.substr(at, n), marker, events);
    at += n;
  }
  parser.Finish(cut_off, events);
  std::string out;
  std::string rest;
  for (const OutputEvent& event : events) {
    if (event.kind == EventKind::kCallStart) out += event.text + " ";
    if (event.kind == EventKind::kArguments) out += event.text;
    if (event.kind == EventKind::kCallEnd) out += "\n";
    if (event.kind == EventKind::kContent) rest += event.text;
  }
  return out + rest;
}

void Expect(const std::string& text, const std::string& calls, bool cut_off = false) {
  for (const bool token_markers : {false, true}) {
    for (const bool bytewise : {false, true}) {
      EXPECT_EQ(Calls(text, token_markers, bytewise, cut_off), calls)
          << text << "\ntoken_markers " << token_markers << " bytewise " << bytewise;
    }
  }
}

std::string Note(const std::string& body) {
  return "<tool_call>\n<function=note>\n" + body + "\n</function>\n</tool_call>";
}

TEST(ValueEnd, AMissingEndTagDoesNotRunIntoTheNextTag) {
  const std::string both = "note {\"title\": \"Milk\", \"body\": \"two\"}\n";
  Expect(Note("<parameter=title>\nMilk\n<parameter=body>\ntwo\n</parameter>"), both);
  Expect(Note("<parameter=title>\nMilk<parameter=body>\ntwo\n</parameter>"), both);
  Expect(Note("<parameter=title>\nMilk\n</parameter>\n<parameter=body>\ntwo"), both);
  Expect(Note("<parameter=title>Milk<parameter=body>two"), both);
  Expect(
      "<tool_call><function=note><parameter=title>Milk<parameter=body>two</function></tool_call>",
      both);
  Expect(Note("<parameter=stars>\n4\n<parameter=title>\nMilk\n</parameter>"),
         "note {\"stars\": 4, \"title\": \"Milk\"}\n");
  Expect("<tool_call>\n<function=note>\n<parameter=title>\nMilk\n</tool_call>",
         "note {\"title\": \"Milk\"}\n");
  Expect("<tool_call>\n<function=note>\n<parameter=title>\nMilk\n</parameter>\n</tool_call>\n",
         "note {\"title\": \"Milk\"}\n");
  Expect("<tool_call>\n<function=note>\n<parameter=title>\nMilk\n</function>\n",
         "note {\"title\": \"Milk\"}\n");
  Expect(Note("<parameter=title>\nMilk") + "\nDone.", "note {\"title\": \"Milk\"}\nDone.");
}

TEST(ValueEnd, OddTagsAreTags) {
  const std::string both = "note {\"title\": \"Milk\", \"body\": \"two\"}\n";
  for (const char* end : {"</parameter/>", "</parameter >", "</parameter=title>", "</parameter"}) {
    Expect(Note("<parameter=title>\nMilk\n" + std::string(end) + "\n<parameter=body>\ntwo\n" + end),
           both);
  }
  Expect(Note("<parameter=title\nMilk\n</parameter>\n<parameter=\"body\">\ntwo\n</parameter>"),
         both);
  Expect(
      "<tool_call>\n<function=note\n<parameter=title>\nMilk\n</parameter>\n</function/>\n"
      "</tool_call>",
      "note {\"title\": \"Milk\"}\n");
}

TEST(ValueEnd, TheNextCallClosesTheOneBefore) {
  const std::string second = "<tool_call>\n<function=free>\n</function>\n</tool_call>";
  const std::string both = "note {\"title\": \"Milk\"}\nfree {}\n";
  Expect("<tool_call>\n<function=note>\n<parameter=title>\nMilk\n</tool_call>\n" + second, both);
  Expect("<tool_call>\n<function=note>\n<parameter=title>\nMilk\n</function>\n" + second, both);
  Expect("<tool_call>\n<function=note>\n<parameter=title>\nMilk\n</parameter>\n" + second, both);
}

TEST(ValueEnd, MarkupThatCannotBeNextIsText) {
  for (const char* value :
       {"ends with </tool_call> in it", "<tool_call>", "a <tool_call> b", "a </think> b <think>",
        "</tool_call>\n<tool_call> twice", "</tool_call>\n<tool_call>\n<function=other>",
        "write <parameter=name> first", "<parameter=name>\nx", "<parameter=title>\nx",
        "see <parameter=stars> too", "a </parameter> b", "a </parameters>\nb", "</function> b",
        "see </function></tool_call> there", "</parameter\n>", "<parameter=", "a < b </ c"}) {
    std::string quoted;
    json::AppendString(quoted, value);
    Expect(Note("<parameter=title>\n" + std::string(value) + "\n</parameter>"),
           "note {\"title\": " + quoted + "}\n");
    Expect(Note("<parameter=title>\n" + std::string(value) +
                "\n</parameter>\n<parameter=body>\ntwo\n</parameter>"),
           "note {\"title\": " + quoted + ", \"body\": \"two\"}\n");
  }
}

TEST(ValueEnd, ACutLeavesTheCallOpen) {
  const std::string head = "<tool_call>\n<function=note>\n<parameter=title>\nMilk\n";
  Expect(head + "</param", "note {\"title\": \"Milk\\n</param", true);
  Expect(head + "</parameter>", "note {\"title\": \"Milk\"", true);
  Expect(head + "</param", "note {\"title\": \"Milk\"}\n");
}

TEST(ValueEnd, AStringOfTheJsonFormHoldsMarkers) {
  Expect(
      "<tool_call>\n{\"name\": \"note\", \"arguments\": {\"title\": \"a </tool_call> \\\" "
      "<tool_call>\"}}\n</tool_call>",
      "note {\"title\":\"a </tool_call> \\\" <tool_call>\"}\n");
  Expect(
      "<tool_call>{\"name\": \"note\", \"arguments\": {\"title\": \"a}}\n</tool_call>\n"
      "<tool_call>{\"name\": \"free\"}</tool_call>",
      "free {}\n<tool_call>{\"name\": \"note\", \"arguments\": {\"title\": \"a}}\n</tool_call>");
}

}  // namespace
}  // namespace mach::chat
