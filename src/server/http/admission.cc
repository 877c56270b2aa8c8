#include "server/http/admission.h"

#include "base/printable.h"
#include "server/http/ids.h"

namespace mach::server {
namespace {

bool IsJson(std::string_view content_type) {
  std::string_view type = content_type.substr(0, content_type.find(';'));
  while (!type.empty() && (type.back() == ' ' || type.back() == '\t')) type.remove_suffix(1);
  if (EqualIgnoringCase(type, "application/json")) return true;
  constexpr std::string_view kSuffix = "+json";  // RFC 6839
  return type.size() > kSuffix.size() && EqualIgnoringCase(type.substr(0, 12), "application/") &&
         EqualIgnoringCase(type.substr(type.size() - kSuffix.size()), kSuffix);
}

std::optional<ApiError> CheckMediaType(const HttpRequest& request) {
  if (const std::string* encoding = request.FindHeader("Content-Encoding");
      encoding != nullptr && !EqualIgnoringCase(*encoding, "identity")) {
    return Refusal(415, "unsupported_media_type",
                   "Content-Encoding '" + PrintableAscii(*encoding).substr(0, 60) +
                       "' is not supported; send the body as it is");
  }
  const std::string* type = request.FindHeader("Content-Type");
  if (type != nullptr && IsJson(*type)) return std::nullopt;
  return Refusal(415, "unsupported_media_type",
                 (type == nullptr ? std::string("the request has no Content-Type")
                                  : "Content-Type '" + PrintableAscii(*type).substr(0, 60) +
                                        "' is not supported") +
                     "; expected JSON: add -H 'Content-Type: application/json'");
}

}  // namespace

std::string RequestId(const HttpRequest& request) {
  const std::string* given = request.FindHeader("x-request-id");
  constexpr std::string_view kAccepted =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-";
  if (given != nullptr && !given->empty() && given->size() <= 128 &&
      given->find_first_not_of(kAccepted) == std::string::npos) {
    return *given;
  }
  return RandomId("req_");
}

Admission Admit(const HttpRequest& request, bool has_body, const Limits& limits,
                const Security& security, const Router& router) {
  Admission admission;
  const auto refuse = [&](const ApiError& error) { admission.answer = ToResponse(error); };
  if (request.target.size() > limits.target_bytes) {
    refuse(Refusal(414, "uri_too_long",
                   "the request target has " + std::to_string(request.target.size()) +
                       " bytes, the limit is " + std::to_string(limits.target_bytes)));
    return admission;
  }
  if (request.headers.size() > limits.header_fields) {
    refuse(Refusal(431, "headers_too_large",
                   "the request has " + std::to_string(request.headers.size()) +
                       " header fields, the limit is " + std::to_string(limits.header_fields)));
    return admission;
  }
  if (auto error = security.CheckSource(request)) {
    refuse(*error);
    return admission;
  }
  admission.match = router.Find(request.method, request.path);
  if (request.method == "OPTIONS" && (!admission.match.allow.empty() || request.path == "*")) {
    admission.answer = security.Preflight(
        request, request.path == "*" ? "GET, HEAD, POST, OPTIONS" : admission.match.allow);
    return admission;
  }
  if (admission.match.route == nullptr) {
    const std::string what = PrintableAscii(request.method).substr(0, 20) + " " +
                             PrintableAscii(request.path).substr(0, 200);
    if (admission.match.allow.empty()) {
      ApiError error = Refusal(404, "route_not_found",
                               "there is no '" + what +
                                   "'; GET /v1/models and POST "
                                   "/v1/chat/completions are good places to start");
      error.type = "not_found_error";
      refuse(error);
    } else {
      refuse(Refusal(405, "method_not_allowed",
                     "'" + what + "' is not possible; allowed: " + admission.match.allow));
      admission.answer->headers.push_back({"Allow", admission.match.allow});
    }
    return admission;
  }
  if (admission.match.route->access == Access::kKey) {
    if (auto error = security.CheckKey(request)) {
      refuse(*error);
      return admission;
    }
  }
  if (admission.match.route->takes_json && has_body) {
    if (auto error = CheckMediaType(request)) refuse(*error);
  }
  return admission;
}

}  // namespace mach::server
