#include "text/template_literals.h"

#include <algorithm>

namespace mach::text {
namespace {

// A string literal from its quote at `at` on; moves behind its end.
std::string ReadString(std::string_view source, size_t& at) {
  const char quote = source[at++];
  std::string out;
  while (at < source.size() && source[at] != quote) {
    char c = source[at++];
    if (c == '\\' && at < source.size()) {
      c = source[at++];
      switch (c) {
        case 'n':
          c = '\n';
          break;
        case 't':
          c = '\t';
          break;
        case 'r':
          c = '\r';
          break;
        case '\\':
        case '\'':
        case '"':
          break;
        default:
          out += '\\';
      }
    }
    out += c;
  }
  if (at < source.size()) ++at;
  return out;
}

}  // namespace

std::vector<std::string> TemplateLiterals(std::string_view source) {
  std::vector<std::string> out;
  size_t at = 0;
  while (at < source.size()) {
    size_t open = at;
    while (open < source.size() &&
           !(source[open] == '{' && open + 1 < source.size() &&
             (source[open + 1] == '{' || source[open + 1] == '%' || source[open + 1] == '#'))) {
      ++open;
    }
    if (open > at) out.emplace_back(source.substr(at, open - at));
    if (open >= source.size()) break;
    const char kind = source[open + 1];
    const std::string_view close = kind == '{' ? "}}" : kind == '%' ? "%}" : "#}";
    at = open + 2;
    if (kind == '#') {
      const size_t end = source.find(close, at);
      at = end == std::string_view::npos ? source.size() : end + 2;
      continue;
    }
    while (at < source.size() && !source.substr(at).starts_with(close)) {
      if (source[at] == '"' || source[at] == '\'') {
        out.push_back(ReadString(source, at));
      } else {
        ++at;
      }
    }
    at = std::min(at + 2, source.size());
  }
  return out;
}

}  // namespace mach::text
