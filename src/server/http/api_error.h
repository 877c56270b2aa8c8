// Errors as clients get them: OpenAI's envelope, string codes, the offending parameter by name.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "dialog/field_error.h"
#include "json/value.h"
#include "server/http/http.h"

namespace mach::server {

struct ApiError {
  int status = 400;
  std::string type = "invalid_request_error";
  std::string code;   // empty: null
  std::string param;  // path of the field, as in "messages[2].content"; empty: null
  std::string message;
  std::string detail;      // what the log alone tells, with the server's paths; empty: nothing
  json::Object extra;      // further members of "error"
  int retry_after_s = 0;   // 1 to 60 where set; clients ignore longer waits
  bool retryable = false;  // of a status that clients retry: whether that can help
};

// A fault of the request: status 400.
ApiError BadRequest(std::string_view code, std::string_view param, std::string message);

ApiError FromFieldError(dialog::FieldError error);

// A fault of the request as a whole, of any status.
ApiError Refusal(int status, std::string_view code, std::string message);

// Status 500: a sentence for the client, completed by where the log has more, and the detail.
ApiError ServerFault(std::string_view code, std::string_view sentence, std::string detail,
                     std::string_view request_id);

// An engine's or codec's error. Where it is the server's fault (status 500) the client learns what
// kind of thing failed, and under which request the log says more; the message, which names files,
// is the detail.
ApiError FromError(const Error& error, std::string_view request_id);

// {"error":{"message","type","param","code",...}}
json::Value ToJson(const ApiError& error);
HttpResponse ToResponse(const ApiError& error);

// " code=CODE param=PARAM detail="..."" for the log. Nothing that a client wrote but the names of
// fields, without what could be taken for another pair.
std::string LogText(const ApiError& error);

}  // namespace mach::server
