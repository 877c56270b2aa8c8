// Any bytes as the body of each kind of request. The first byte chooses.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/utf8.h"
#include "json/write.h"
#include "server/protocol/openai_chat/chat_request.h"
#include "server/protocol/openai_completions/completion_request.h"
#include "server/protocol/text/text_request.h"

namespace {

using mach::server::ApiError;

// What is refused is explained, in text that can be sent.
void CheckError(const ApiError& error) {
  MACH_CHECK(error.status == 400);
  MACH_CHECK(!error.message.empty() && !error.code.empty());
  const mach::server::HttpResponse response = mach::server::ToResponse(error);
  MACH_CHECK(mach::utf8::IsValid(response.body));
}

template <class Parsed>
void CheckParsed(const Parsed& parsed) {
  if (const auto* error = std::get_if<ApiError>(&parsed)) CheckError(*error);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  const mach::server::Limits limits;
  switch (data[0] % 4) {
    case 0: {
      const auto parsed = mach::server::ParseChatRequest(body, limits);
      CheckParsed(parsed);
      const auto* request = std::get_if<mach::server::GenerationRequest>(&parsed);
      if (request == nullptr) break;
      // What templates rely on.
      for (const mach::json::Value& message : request->chat.messages) {
        MACH_CHECK(message.Find("role")->is_string());
        MACH_CHECK(message.Find("content")->is_string());
      }
      for (const mach::json::Value& tool : request->chat.tools) {
        MACH_CHECK(!tool.Find("function")->Find("name")->AsString().empty());
      }
      MACH_CHECK(request->choices >= 1 && request->choices <= limits.choices);
      MACH_CHECK(mach::utf8::IsValid(mach::json::Write(request->chat.messages)));
      break;
    }
    case 1: {
      const auto parsed = mach::server::ParseCompletionRequest(body, limits);
      CheckParsed(parsed);
      const auto* request = std::get_if<mach::server::GenerationRequest>(&parsed);
      if (request == nullptr) break;
      MACH_CHECK(!request->prompts.empty());
      MACH_CHECK(request->prompts.size() * request->choices <= limits.choices);
      break;
    }
    case 2:
      CheckParsed(mach::server::ParseTokenizeRequest(body, limits));
      break;
    default:
      CheckParsed(mach::server::ParseDetokenizeRequest(body, limits));
      break;
  }
  return 0;
}
