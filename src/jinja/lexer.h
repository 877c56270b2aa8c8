// Source text to tokens, as Jinja2's lexer splits it with trim_blocks and lstrip_blocks.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mach::jinja {

enum class TokenType {
  kData,  // text between tags
  kVariableBegin,
  kVariableEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,   // text: unescaped
  kInteger,  // text: as written, without underscores
  kFloat,
  kOperator,  // text: the operator
  kEof,
};

struct Token {
  TokenType type = TokenType::kEof;
  int line = 1;
  std::string text;

  bool IsOperator(std::string_view op) const { return type == TokenType::kOperator && text == op; }
  bool IsName(std::string_view name) const { return type == TokenType::kName && text == name; }
};

// The last token is kEof. REQUIRES: source is valid UTF-8.
Result<std::vector<Token>> Tokenize(std::string_view source);

// For messages: 'end of template', a name, an operator.
std::string Describe(const Token& token);

// An error of kCorrupt that names the line.
Error SyntaxError(int line, std::string message);

}  // namespace mach::jinja
