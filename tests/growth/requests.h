// What rows of request bodies share.
#pragma once

#include <string>
#include <variant>

#include "growth.h"
#include "server/protocol/openai_chat/chat_request.h"

namespace mach::growth {

using server::Limits;

enum class Verdict : unsigned char { kTaken, kRefused };

template <class Parse>
void ExpectLinearRow(const Input& row, Verdict verdict, const Parse& parse) {
  ExpectLinear(row.name, row.most, [&](size_t n) -> Work {
    return [&parse, verdict, body = row.make(n)] {
      return std::holds_alternative<server::ApiError>(parse(body)) ==
             (verdict == Verdict::kRefused);
    };
  });
}

inline void ExpectLinearChat(const Input& row, Verdict verdict = Verdict::kTaken) {
  ExpectLinearRow(row, verdict,
                  [](const std::string& body) { return server::ParseChatRequest(body, Limits()); });
}

// A body of one user message and more members.
inline std::string Asking(const std::string& members) {
  return R"({"messages":[{"role":"user","content":"Hi"}],)" + members + "}";
}
inline std::string Conversation(const std::string& messages) {
  return "{\"messages\":[" + messages + "]}";
}
inline std::string FromAssistant(const std::string& members) {
  return Conversation(R"({"role":"user","content":"Hi"},{"role":"assistant",)" + members + "}");
}

}  // namespace mach::growth
