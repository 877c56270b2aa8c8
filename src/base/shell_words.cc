#include "base/shell_words.h"

namespace mach {

std::string ShellQuoted(std::string_view word) {
  // '~' and '=' mean something at the beginning of a word only.
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:,@%+=~";
  const bool plain = !word.empty() && word.find_first_not_of(kPlain) == std::string_view::npos &&
                     word.front() != '~' && word.front() != '=';
  if (plain) return std::string(word);
  std::string quoted = "'";
  for (const char c : word) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

std::string ShellCommand(std::span<const std::string> words) {
  std::string line;
  for (const std::string& word : words) {
    if (!line.empty()) line += ' ';
    line += ShellQuoted(word);
  }
  return line;
}

}  // namespace mach
