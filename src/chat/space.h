// White space around what a model writes.
#pragma once

#include <string_view>

namespace mach::chat {

inline constexpr std::string_view kSpace = " \t\r\n";

inline std::string_view TrimLeft(std::string_view text) {
  const size_t begin = text.find_first_not_of(kSpace);
  return begin == std::string_view::npos ? std::string_view() : text.substr(begin);
}

inline std::string_view Trim(std::string_view text) {
  text = TrimLeft(text);
  const size_t last = text.find_last_not_of(kSpace);
  return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

}  // namespace mach::chat
