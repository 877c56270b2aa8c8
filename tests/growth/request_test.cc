// Bodies of requests but for messages: each list, object and string of the tables of fields.
#include <gtest/gtest.h>

#include "requests.h"
#include "server/protocol/openai_completions/completion_request.h"
#include "server/protocol/text/text_request.h"

namespace mach::growth {
namespace {

constexpr std::string_view kTool =
    R"({"type":"function","function":{"name":"tool_@","parameters":{}}})";

std::string Tools(size_t n) { return "\"tools\":[" + Numbered(n, kTool) + "]"; }

constexpr Input kTools[] = {
    {"tools", [](size_t n) { return Asking(Tools(n)); }, 512},
    {"flat tools",
     [](size_t n) {
       return Asking("\"tools\":[" + Numbered(n, R"({"type":"function","name":"t@"})") + "]");
     },
     512},
    {"a tool's name",
     [](size_t n) {
       return Asking(R"("tools":[{"type":"function","function":{"name":")" + Times(n, "n") +
                     "\"}}]");
     }},
    {"a tool's properties",
     [](size_t n) {
       return Asking(R"("tools":[{"function":{"name":"f","parameters":{"properties":{)" +
                     Numbered(n, R"("p@":{"type":"string"})") + "}}}}]");
     },
     kManyKeys},
    {"a forced tool",
     [](size_t n) {
       return Asking(Tools(n) + R"(,"tool_choice":{"type":"function","function":{"name":"tool_)" +
                     std::to_string(n - 1) + "\"}}");
     },
     512},
    {"allowed tools",
     [](size_t n) {
       return Asking(Tools(n) + R"(,"tool_choice":{"type":"allowed_tools","tools":[)" +
                     Numbered(n, R"({"type":"function","name":"other_@"})") + "]}");
     },
     512},
    {"allowed names",
     [](size_t n) {
       return Asking(Tools(512) + R"(,"tool_choice":{"type":"allowed_tools","tools":[)" +
                     Numbered(n, R"({"name":"other_@"})") + "]}");
     }},
};

constexpr Input kFields[] = {
    {"unknown members", [](size_t n) { return Asking(Numbered(n, R"("k@":1)")); }, kManyKeys},
    {"a long unknown member", [](size_t n) { return Asking("\"" + Times(n, "k") + "\":1"); }},
    {"an ignored value",
     [](size_t n) { return Asking(R"("metadata":{)" + Numbered(n, R"("k@":"v")") + "}"); },
     kManyKeys},
    {"chat_template_kwargs",
     [](size_t n) {
       return Asking(R"("chat_template_kwargs":{)" + Numbered(n, R"("k@":1)") + "}");
     },
     kManyKeys},
    {"logit_bias",
     [](size_t n) { return Asking(R"("logit_bias":{)" + Numbered(n, R"("@":1)") + "}"); },
     kManyKeys},
    {"stop_token_ids",
     [](size_t n) { return Asking(R"("stop_token_ids":[)" + Numbered(n, "@") + "]"); }},
    {"modalities",
     [](size_t n) { return Asking(R"("modalities":["text")" + Times(n, R"(,"text")") + "]"); }},
    {"stop strings",
     [](size_t n) { return Asking(R"("stop":[)" + Numbered(n, "\"stop number @\"") + "]"); }, 32},
    {"model", [](size_t n) { return Asking(R"("model":")" + Times(n, "m") + "\""); }},
    {"user", [](size_t n) { return Asking(R"("user":")" + Times(n, "m") + "\""); }},
    {"session_id and others",
     [](size_t n) {
       return Asking(R"("session_id":")" + Times(n, "m") + R"(","prompt_cache_key":")" +
                     Times(n, "m") + "\"");
     }},
    {"stream_options",
     [](size_t n) {
       return Asking(R"("stream":true,"stream_options":{)" + Numbered(n, R"("k@":true)") + "}");
     },
     kManyKeys},
    {"speculation",
     [](size_t n) { return Asking(R"("speculation":{)" + Numbered(n, R"("k@":true)") + "}"); },
     kManyKeys},
    {"response_format",
     [](size_t n) {
       return Asking(R"("response_format":{)" + Numbered(n, R"("k@":true)") + R"(,"type":"text"})");
     },
     kManyKeys},
};

// What an error tells of the input.
constexpr Input kRefused[] = {
    {"a long role",
     [](size_t n) { return Conversation(R"({"content":"q","role":")" + Times(n, "r") + "\"}"); }},
    {"a long type of a part",
     [](size_t n) {
       return Conversation(R"({"role":"user","content":[{"type":")" + Times(n, "r") + "\"}]}");
     }},
    {"a long tool_choice",
     [](size_t n) { return Asking(R"("tool_choice":")" + Times(n, "r") + "\""); }},
    {"a tool that is not there",
     [](size_t n) {
       return Asking(Tools(1) + R"(,"tool_choice":{"function":{"name":")" + Times(n, "r") + "\"}}");
     }},
    {"a long effort",
     [](size_t n) { return Asking(R"("reasoning_effort":")" + Times(n, "r") + "\""); }},
    {"a long reasoning_format",
     [](size_t n) { return Asking(R"("reasoning_format":")" + Times(n, "r") + "\""); }},
    {"a long key of logit_bias",
     [](size_t n) { return Asking(R"("logit_bias":{")" + Times(n, "r") + "\":1}"); }},
    {"the last id is none",
     [](size_t n) { return Asking(R"("stop_token_ids":[)" + Times(n, "1,") + "-1]"); }},
    {"the last part is none",
     [](size_t n) {
       return Conversation(R"({"role":"user","content":[)" + Times(n, "\"a\",") + "1]}");
     }},
    {"a member twice",
     [](size_t n) { return Asking(R"("seed":1,)" + Numbered(n, R"("k@":1)") + R"(,"seed":1)"); },
     kManyKeys},
    {"the body is cut off",
     [](size_t n) { return Conversation(R"({"role":"user","content":")" + Times(n, "a")); }},
    {"a long seed", [](size_t n) { return Asking(R"("seed":)" + Times(n, "1")); }},
    {"a refused value", [](size_t n) { return Asking(R"("grammar":")" + Times(n, "1") + "\""); }},
};

TEST(RequestGrowth, Tools) {
  for (const Input& row : kTools) ExpectLinearChat(row);
}
TEST(RequestGrowth, Fields) {
  for (const Input& row : kFields) ExpectLinearChat(row);
}
TEST(RequestGrowth, Refused) {
  for (const Input& row : kRefused) ExpectLinearChat(row, Verdict::kRefused);
}

TEST(RequestGrowth, Completions) {
  constexpr Input kRows[] = {
      {"prompt", [](size_t n) { return R"({"prompt":")" + Times(n, "word ") + "\"}"; }},
      {"prompts", [](size_t n) { return "{\"prompt\":[" + Numbered(n, "\"prompt @\"") + "]}"; },
       16},
      {"token ids", [](size_t n) { return "{\"prompt\":[" + Numbered(n, "@") + "]}"; }},
      {"lists of token ids",
       [](size_t n) {
         return "{\"prompt\":[" + Numbered(16, "[" + Times(n / 16, "7,") + "7]") + "]}";
       }},
      {"suffix",
       [](size_t n) {
         return R"({"prompt":"a","logit_bias":{)" + Numbered(n, R"("@":0.5)") + "}}";
       },
       kManyKeys},
  };
  for (const Input& row : kRows) {
    ExpectLinearRow(row, Verdict::kTaken, [](const std::string& body) {
      return server::ParseCompletionRequest(body, Limits());
    });
  }
}

TEST(RequestGrowth, Texts) {
  constexpr Input kTokenize[] = {
      {"content", [](size_t n) { return R"({"content":")" + Times(n, "word ") + "\"}"; }},
      {"messages",
       [](size_t n) { return Conversation(Numbered(n, R"({"role":"user","content":"q@"})")); },
       8192},
      {"chat_template_kwargs",
       [](size_t n) {
         return Asking(R"("chat_template_kwargs":{)" + Numbered(n, R"("k@":1)") + "}");
       },
       kManyKeys},
      {"tools", [](size_t n) { return Asking(Tools(n)); }, 512},
  };
  for (const Input& row : kTokenize) {
    ExpectLinearRow(row, Verdict::kTaken, [](const std::string& body) {
      return server::ParseTokenizeRequest(body, Limits());
    });
    ExpectLinearRow(row, Verdict::kTaken, [](std::string body) {
      if (body.starts_with("{\"content\"")) body.replace(2, 7, "text");
      return server::ParseWarmRequest(body, Limits());
    });
  }
  const Input tokens = {"tokens",
                        [](size_t n) { return "{\"tokens\":[" + Numbered(n, "@") + "]}"; }};
  ExpectLinearRow(tokens, Verdict::kTaken, [](const std::string& body) {
    return server::ParseDetokenizeRequest(body, Limits());
  });
}

}  // namespace
}  // namespace mach::growth
