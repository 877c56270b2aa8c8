// Messages of requests, and the calls in them.
#include <gtest/gtest.h>

#include "requests.h"

namespace mach::growth {
namespace {

constexpr Input kMessages[] = {
    {"messages",
     [](size_t n) {
       return Conversation(Numbered(n / 2, R"({"role":"user","content":"q@"},)"
                                           R"({"role":"assistant","content":"a@"})") +
                           R"(,{"role":"user","content":"q"})");
     },
     8192},
    {"system messages",
     [](size_t n) {
       return Conversation(Numbered(n, R"({"role":"system","content":"rule @"})") +
                           R"(,{"role":"user","content":"q"})");
     },
     8192},
    {"content",
     [](size_t n) {
       return Conversation(R"({"role":"user","content":")" + Times(n, "word ") + "\"}");
     }},
    {"parts",
     [](size_t n) {
       return Conversation(R"({"role":"user","content":[)" +
                           Numbered(n, R"({"type":"text","text":"@"})") + "]}");
     }},
    {"parts that are strings",
     [](size_t n) {
       return Conversation(R"({"role":"user","content":[)" + Numbered(n, R"("part @")") + "]}");
     }},
    {"parts with thoughts",
     [](size_t n) {
       return FromAssistant(R"("content":[)" +
                            Numbered(n, R"({"type":"thinking","thinking":"t@"})") + "]");
     }},
    {"a thought of many texts",
     [](size_t n) {
       return FromAssistant(R"("content":[{"type":"reasoning","summary":[)" +
                            Numbered(n, R"({"text":"t@"})") + "]}]");
     }},
    {"reasoning_content",
     [](size_t n) {
       return FromAssistant(R"("content":"a","reasoning_content":")" + Times(n, "hm ") + "\"");
     }},
    {"reasoning_details",
     [](size_t n) {
       return FromAssistant(R"("content":"a","reasoning_details":[)" +
                            Numbered(n, R"({"text":"t@"})") + "]");
     }},
    {"members of a message",
     [](size_t n) {
       return Conversation("{" + Numbered(n, R"("k@":1)") + R"(,"role":"user","content":"q"})");
     },
     kManyKeys},
    {"members of a part",
     [](size_t n) {
       return Conversation(R"({"role":"user","content":[{)" + Numbered(n, R"("k@":1)") +
                           R"(,"type":"text","text":"t"}]})");
     },
     kManyKeys},
    {"names",
     [](size_t n) {
       return Conversation(R"({"role":"user","content":"q","name":")" + Times(n, "n") + "\"}");
     }},
    {"tool_call_id",
     [](size_t n) {
       return Conversation(R"({"role":"tool","content":"q","tool_call_id":")" + Times(n, "n") +
                           "\"}");
     }},
    {"a nonce in front",
     [](size_t n) {
       return Conversation(R"({"role":"system","content":"x-anthropic-billing-header: )" +
                           Times(n, "c") + R"(\nrules"},{"role":"user","content":"q"})");
     }},
};

constexpr Input kCalls[] = {
    {"tool_calls",
     [](size_t n) {
       return FromAssistant(
           R"("content":"","tool_calls":[)" +
           Numbered(n, R"({"id":"c@","function":{"name":"f","arguments":"{\"a\":@}"}})") + "]");
     }},
    {"arguments of many keys",
     [](size_t n) {
       return FromAssistant(R"("content":"","tool_calls":[{"function":{"name":"f","arguments":{)" +
                            Numbered(n, R"("k@":1)") + "}}}]");
     },
     kManyKeys},
    {"arguments in a string",
     [](size_t n) {
       return FromAssistant(R"("content":"","tool_calls":[{"function":{"name":"f","arguments":"{)" +
                            Numbered(n, R"(\"k@\":1)") + "}\"}}]");
     },
     kManyKeys},
    {"cut-off arguments",
     [](size_t n) {
       return FromAssistant(R"("content":"","tool_calls":[{"function":{"name":"f","arguments":"{)" +
                            Numbered(n, R"(\"k@\":[1)", "],") + "\"}}]");
     },
     kManyKeys},
    {"arguments of open brackets",
     [](size_t n) {
       return FromAssistant(R"("content":"","tool_calls":[{"function":{"name":"f","arguments":")" +
                            Times(n, "[{") + "\"}}]");
     }},
    {"arguments of quotes",
     [](size_t n) {
       return FromAssistant(R"("content":"","tool_calls":[{"function":{"name":"f","arguments":"{)" +
                            Times(n, R"(\"\\\")") + "\"}}]");
     }},
    {"blank arguments",
     [](size_t n) {
       return FromAssistant(R"("content":"","tool_calls":[{"function":{"name":"f","arguments":")" +
                            Times(n, " ") + "\"}}]");
     }},
    {"many cut-off arguments",
     [](size_t n) {
       return FromAssistant(R"("content":"","tool_calls":[)" +
                            Numbered(n, R"({"function":{"name":"f","arguments":"{\"a\":[@"}})") +
                            "]");
     }},
};

TEST(MessageGrowth, Messages) {
  for (const Input& row : kMessages) ExpectLinearChat(row);
}
TEST(MessageGrowth, Calls) {
  for (const Input& row : kCalls) ExpectLinearChat(row);
}

}  // namespace
}  // namespace mach::growth
