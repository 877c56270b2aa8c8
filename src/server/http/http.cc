#include "server/http/http.h"

#include <utility>

#include "json/write.h"

namespace mach::server {
namespace {

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

bool EqualIgnoringCase(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (Lower(a[i]) != Lower(b[i])) return false;
  }
  return true;
}

void HttpRequest::SetHeader(std::string_view name, std::string value) {
  std::erase_if(headers, [&](const Header& h) { return EqualIgnoringCase(h.name, name); });
  headers.push_back({std::string(name), std::move(value)});
}

const std::string* HttpRequest::FindHeader(std::string_view name) const {
  for (const Header& header : headers) {
    if (EqualIgnoringCase(header.name, name)) return &header.value;
  }
  return nullptr;
}

HttpResponse JsonResponse(const json::Value& value) {
  HttpResponse response;
  response.body = json::Write(value);
  return response;
}

}  // namespace mach::server
