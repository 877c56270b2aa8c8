#include "server/http/api_error.h"

#include <algorithm>

#include "base/log.h"
#include "json/write.h"

namespace mach::server {

ApiError BadRequest(std::string_view code, std::string_view param, std::string message) {
  ApiError error;
  error.code = code;
  error.param = param;
  error.message = std::move(message);
  return error;
}

ApiError FromFieldError(dialog::FieldError error) {
  return BadRequest(error.code, error.param, std::move(error.message));
}

ApiError Refusal(int status, std::string_view code, std::string message) {
  ApiError error = BadRequest(code, "", std::move(message));
  error.status = status;
  return error;
}

ApiError ServerFault(std::string_view code, std::string_view sentence, std::string detail,
                     std::string_view request_id) {
  ApiError api;
  api.status = 500;
  api.type = "server_error";
  api.code = code;
  api.message = sentence;
  api.message += "; the server's log says more under the request '";
  api.message += request_id;
  api.message += "'";
  api.detail = std::move(detail);
  api.extra = {{"request_id", request_id}};
  return api;
}

ApiError FromError(const Error& error, std::string_view request_id) {
  ApiError api;
  api.message = error.message;
  switch (error.code) {
    case Code::kInvalidArgument:
      api.code = "invalid_value";
      break;
    case Code::kUnsupported:
      api.code = "unsupported_parameter";
      break;
    case Code::kBusy:
      api.status = 429;
      api.type = "rate_limit_error";
      api.code = "queue_full";
      api.retry_after_s = 2;
      api.retryable = true;
      break;
    case Code::kCancelled:
      api.status = 503;
      api.type = "unavailable_error";
      api.code = "cancelled";
      api.retry_after_s = 5;
      api.retryable = true;
      break;
    case Code::kNotFound:  // a file of the server's: what a client names is looked up elsewhere
    case Code::kIo:
      return ServerFault("io", "a file that the answer needs could not be read or written",
                         error.message, request_id);
    case Code::kCorrupt:
      return ServerFault("corrupt", "a file that the answer needs is damaged", error.message,
                         request_id);
    case Code::kNoMemory:
      return ServerFault("no_memory", "the server has no memory left for this request",
                         error.message, request_id);
    case Code::kNonFinite:  // names a layer, and no path
      return ServerFault("non_finite", error.message, error.message, request_id);
  }
  return api;
}

json::Value ToJson(const ApiError& error) {
  const auto text_or_null = [](const std::string& text) {
    return text.empty() ? json::Value() : json::Value(text);
  };
  json::Object body{{"message", error.message},
                    {"type", error.type},
                    {"param", text_or_null(error.param)},
                    {"code", text_or_null(error.code)}};
  for (const json::Member& member : error.extra) body.Set(member.key, member.value);
  return json::Object{{"error", std::move(body)}};
}

std::string LogText(const ApiError& error) {
  constexpr size_t kMostBytes = 100;
  std::string text = " code=" + (error.code.empty() ? "none" : error.code);
  if (!error.param.empty()) text += " param=";
  for (const char c : std::string_view(error.param).substr(0, kMostBytes)) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '_' || c == '-' || c == '.' || c == '[' || c == ']';
    text += plain ? c : '?';
  }
  if (!error.detail.empty()) text += " detail=\"" + EscapeForLog(error.detail, true) + "\"";
  return text;
}

HttpResponse ToResponse(const ApiError& error) {
  HttpResponse response;
  response.status = error.status;
  response.log = LogText(error);
  response.body = json::Write(ToJson(error));
  if (error.retry_after_s > 0) {
    response.headers.push_back(
        {"Retry-After", std::to_string(std::clamp(error.retry_after_s, 1, 60))});
  }
  if (error.status >= 500 && !error.retryable) {
    response.headers.push_back({"x-should-retry", "false"});
  }
  if (error.status == 401) response.headers.push_back({"WWW-Authenticate", "Bearer"});
  return response;
}

}  // namespace mach::server
