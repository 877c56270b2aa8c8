// Answers, token by token: text, reasoning, calls, stop strings, and replies.
#include <memory>

#include <gtest/gtest.h>

#include "engine/testing/scripted_engine.h"
#include "growth.h"
#include "server/protocol/output_pipeline.h"

namespace mach::growth {
namespace {

using engine::ScriptedCodec;
using server::GenerationRequest;
using server::OutputDelta;

// Three properties of many: what a call of the tool "f" may have.
GenerationRequest Requesting(size_t n_properties) {
  json::Object properties{{"s", json::Object{{"type", "string"}}},
                          {"o", json::Object{{"type", "object"}}},
                          {"z", json::Object{{"type", json::Array{"string", "null"}}}}};
  for (size_t i = 0; i < n_properties; ++i) {
    properties.Set("p" + std::to_string(i), json::Object{{"type", "integer"}});
  }
  GenerationRequest request;
  request.parse_tools = true;
  request.logprobs = true;
  request.stop = {"aaaaaaaaab", "\n\nHuman:", "<stop>"};
  request.chat.tools = {json::Object{
      {"type", "function"},
      {"function",
       json::Object{{"name", "f"},
                    {"parameters", json::Object{{"properties", std::move(properties)}}}}}}};
  return request;
}

bool RunPipeline(const std::shared_ptr<const engine::ScriptedCodec>& codec,
                 const GenerationRequest& request, bool in_reasoning,
                 const std::vector<TokenId>& tokens) {
  dialog::Prompt prompt;
  prompt.ends_in_reasoning = in_reasoning;
  server::OutputPipeline pipeline(codec, request, prompt,
                                  std::make_shared<const chat::Patterns>(request.stop));
  size_t bytes = 0;
  for (const TokenId token : tokens) {
    std::vector<OutputDelta> deltas;
    engine::TokenEvent event;
    event.token = token;
    pipeline.Push(event, deltas);
    for (const OutputDelta& delta : deltas) bytes += delta.text.size();
  }
  std::vector<OutputDelta> deltas;
  pipeline.Finish(false, deltas);
  for (const OutputDelta& delta : deltas) bytes += delta.text.size();
  return true;
}

struct Answer {
  std::string_view name;
  std::string (*make)(size_t n);
  bool in_reasoning = false;
};

constexpr Answer kAnswers[] = {
    {"words", [](size_t n) { return Times(n, "word "); }},
    {"spaces", [](size_t n) { return Times(n, " "); }},
    {"line breaks and a word", [](size_t n) { return "a" + Times(n, "\n") + "b"; }},
    {"open brackets", [](size_t n) { return Times(n, "<"); }},
    {"almost a function", [](size_t n) { return Times(n, "<function"); }},
    {"almost a stop string", [](size_t n) { return Times(n, "a"); }},
    {"almost a stop string, in turns",
     [](size_t n) { return Times(n, "aaaaaaaaa\n\nHuman<stop"); }},
    {"invalid bytes", [](size_t n) { return Times(n, "\xff"); }},
    {"cut-off characters", [](size_t n) { return Times(n, "\xe2\x82"); }},
    {"reasoning", [](size_t n) { return Times(n, "so "); }, true},
    {"spaces in reasoning", [](size_t n) { return Times(n, " "); }, true},
    {"reasoning and an answer",
     [](size_t n) { return Times(n, "so ") + "</think>" + Times(n, "word "); }, true},
    {"marks of reasoning", [](size_t n) { return Times(n, "<think></think>a"); }},
    {"drafts of calls",
     [](size_t n) { return Times(n, "<tool_call>\n<function=f>\na</tool_call>"); }, true},
    {"a draft of a call",
     [](size_t n) { return "<tool_call>\n<function=f><parameter=s>" + Times(n, "a"); }, true},
    {"a draft of marks",
     [](size_t n) { return "<tool_call>" + Times(n, "<tool_call></tool_call>"); }, true},
    {"calls",
     [](size_t n) {
       return Times(
           n,
           "<tool_call>\n<function=f>\n<parameter=s>\nv\n</parameter>\n</function>\n</tool_call>");
     }},
    {"calls without their opener",
     [](size_t n) { return Times(n, "<function=f>\n<parameter=s>v</parameter>\n</function>\n"); }},
    {"calls in JSON",
     [](size_t n) { return Times(n, "<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>"); }},
    {"calls that are none", [](size_t n) { return Times(n, "<tool_call>no</tool_call>"); }},
    {"parameters",
     [](size_t n) {
       return "<tool_call><function=f>" + Numbered(n, "<parameter=p@>1</parameter>\n", "") +
              "</function></tool_call>";
     }},
    {"one parameter again",
     [](size_t n) {
       return "<tool_call><function=f>" + Times(n, "<parameter=s>1</parameter>\n") +
              "</function></tool_call>";
     }},
    {"a parameter without its end",
     [](size_t n) {
       return "<tool_call><function=f>" + Numbered(n, "<parameter=p@>1\n", "") +
              "</function></tool_call>";
     }},
    {"text between parameters",
     [](size_t n) {
       return "<tool_call><function=f>" + Times(n, "<para ") + "</function></tool_call>";
     }},
    {"a long call in JSON",
     [](size_t n) {
       return "<tool_call>{\"name\":\"f\",\"arguments\":{\"s\":\"" + Times(n, "a\\n") +
              "\"}}</tool_call>";
     }},
    {"marks in a call in JSON",
     [](size_t n) {
       return "<tool_call>{\"name\":\"f\",\"arguments\":{\"s\":\"" +
              Times(n, "<tool_call></tool_call>") + "\"}}</tool_call>";
     }},
    {"a call in JSON that never ends", [](size_t n) { return "<tool_call>{" + Times(n, "\"a"); }},
    {"a fence", [](size_t n) { return "<tool_call>```json\n" + Times(n, "`"); }},
    {"a long name", [](size_t n) { return "<tool_call><function=" + Times(n, "f"); }},
};

// Values of a parameter of three types: text, objects, and text that may be null.
constexpr Input kValues[] = {
    {"text", [](size_t n) { return Times(n, "v"); }},
    {"lines", [](size_t n) { return "\n" + Times(n, "line\r\n"); }},
    {"blanks", [](size_t n) { return Times(n, " "); }},
    {"open brackets", [](size_t n) { return Times(n, "<"); }},
    {"almost the end", [](size_t n) { return Times(n, "</parameter"); }},
    {"ends in a text", [](size_t n) { return Times(n, "</parameter>a"); }},
    {"ends with wide gaps",
     [](size_t n) { return Times(n, "</parameter>" + std::string(64, ' ')); }},
    {"function ends", [](size_t n) { return Times(n, "</function>\n"); }},
    {"other parameters", [](size_t n) { return Times(n, "\n<parameter=none>\n"); }},
    {"marks", [](size_t n) { return Times(n, "<tool_call></tool_call>"); }},
    {"new calls",
     [](size_t n) { return Times(n, "</function>\n</tool_call>\n<tool_call>\n<function=g>"); }},
    {"quotes", [](size_t n) { return "{'a': '" + Times(n, "\\'\"") + "'}"; }},
    {"JSON", [](size_t n) { return "{\"a\":[" + Times(n, "1,") + "1]}"; }},
    {"JSON that is cut off", [](size_t n) { return "{" + Times(n, "["); }},
};

void ExpectLinearAnswer(const std::string& name, const GenerationRequest& request,
                        bool in_reasoning, const std::function<std::string(size_t)>& make) {
  const auto codec = std::make_shared<const engine::ScriptedCodec>();
  ExpectLinear(name, kManyParts, [&](size_t n) -> Work {
    return [codec, request, in_reasoning, tokens = engine::ScriptTokens(make(n))] {
      return RunPipeline(codec, request, in_reasoning, tokens);
    };
  });
}

TEST(OutputGrowth, Answers) {
  for (const Answer& answer : kAnswers) {
    ExpectLinearAnswer(std::string(answer.name), Requesting(0), answer.in_reasoning, answer.make);
  }
}

// Markers that are text, bytewise.
TEST(OutputGrowth, MarkersInText) {
  for (const Answer& answer : kAnswers) {
    if (answer.name.find("bytes") != std::string_view::npos ||
        answer.name.find("characters") != std::string_view::npos) {
      continue;  // the parser takes whole characters
    }
    ExpectLinear(answer.name, kManyParts, [&](size_t n) -> Work {
      return [in_reasoning = answer.in_reasoning, text = answer.make(n)] {
        const chat::ToolSchemas schemas(Requesting(0).chat.tools);
        chat::OutputParser parser(
            {"<think>", "</think>", "<tool_call>", "</tool_call>", false, true},
            {.starts_in_reasoning = in_reasoning, .tools = true}, schemas);
        size_t events = 0;
        for (const char& byte : text) {
          chat::OutputEvents some;
          parser.Push({&byte, 1}, false, some);
          events += some.size();
        }
        chat::OutputEvents last;
        parser.Finish(false, last);
        return events + last.size() < SIZE_MAX;
      };
    });
  }
}

TEST(OutputGrowth, Values) {
  for (const Input& value : kValues) {
    ExpectLinearAnswer(std::string(value.name), Requesting(0), false, [&](size_t n) {
      std::string call = "<tool_call><function=f>";
      for (const std::string key : {"s", "o", "z"}) {
        call += "<parameter=" + key + ">" + value.make(n) + "</parameter>";
      }
      return call + "</function></tool_call>";
    });
  }
}

TEST(OutputGrowth, AsManyProperties) {
  ExpectLinear("parameters that the schema lists", kManyParts, [](size_t n) -> Work {
    const auto codec = std::make_shared<const engine::ScriptedCodec>();
    const auto tokens = engine::ScriptTokens("<tool_call><function=f>" +
                                             Numbered(n, "<parameter=p@>1</parameter>\n", "") +
                                             "</function></tool_call>");
    return [codec, request = std::make_shared<GenerationRequest>(Requesting(n)), tokens] {
      return RunPipeline(codec, *request, false, tokens);
    };
  });
  ExpectLinear("calls of as many tools", 512 * 64, [](size_t n) -> Work {
    const auto codec = std::make_shared<const engine::ScriptedCodec>();
    auto request = std::make_shared<GenerationRequest>(Requesting(0));
    for (size_t i = 0; i < n; ++i) {
      request->chat.tools.push_back(
          json::Object{{"function", json::Object{{"name", "f" + std::to_string(i)}}}});
    }
    const auto tokens = engine::ScriptTokens(Numbered(
        n, "<tool_call><function=f@><parameter=p>1</parameter></function></tool_call>", ""));
    return [codec, request, tokens] { return RunPipeline(codec, *request, false, tokens); };
  });
}

}  // namespace
}  // namespace mach::growth
