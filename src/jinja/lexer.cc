#include "jinja/lexer.h"

#include <array>
#include <cctype>
#include <cstdio>

#include "base/utf8.h"
#include "jinja/unicode.h"

namespace mach::jinja {
namespace {

std::string NormalizeNewlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
    } else {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

class Lexer {
 public:
  explicit Lexer(std::string source) : source_(std::move(source)) {}

  Result<std::vector<Token>> Run() {
    while (pos_ < source_.size()) MACH_RETURN_IF_ERROR(Root());
    Add(TokenType::kEof, "");
    return std::move(tokens_);
  }

 private:
  bool At(size_t at, std::string_view text) const {
    return std::string_view(source_).substr(at, text.size()) == text;
  }
  size_t SkipSpace(size_t at) const {
    while (at < source_.size()) {
      const utf8::Decoded d = utf8::Decode(source_, at);
      if (!unicode::IsSpace(d.code_point)) break;
      at += d.length;
    }
    return at;
  }
  void Add(TokenType type, std::string text) { tokens_.push_back({type, line_, std::move(text)}); }
  void MoveTo(size_t end) {
    for (; pos_ < end; ++pos_) line_ += source_[pos_] == '\n' ? 1 : 0;
    line_starting_ = end > 0 && source_[end - 1] == '\n';
  }

  // Where `{% raw %}` that begins at `at` ends, or 0.
  size_t RawBeginEnd(size_t at) const {
    at += 2;
    if (At(at, "-") || At(at, "+")) ++at;
    at = SkipSpace(at);
    if (!At(at, "raw")) return 0;
    at = SkipSpace(at + 3);
    if (At(at, "-%}")) return SkipSpace(at + 3);
    return At(at, "%}") ? at + 2 : 0;
  }

  // The end of a tag whose closing mark begins at `at`, or 0 when there is none.
  size_t CloseEnd(size_t at, std::string_view mark) const {
    if (At(at, "+") && At(at + 1, mark)) return at + 3;
    if (At(at, "-") && At(at + 1, mark)) return SkipSpace(at + 3);
    if (!At(at, mark)) return 0;
    return At(at + 2, "\n") ? at + 3 : at + 2;
  }

  // The text before a tag at `tag`, stripped as the tag's sign and lstrip_blocks say.
  void AddText(size_t tag, char sign, bool lstrip) {
    size_t end = tag;
    if (sign == '-') {
      while (end > pos_) {
        const size_t before = unicode::Previous(source_, end);
        if (!unicode::IsSpace(utf8::Decode(source_, before).code_point)) break;
        end = before;
      }
    } else if (sign != '+' && lstrip) {
      const size_t newline = std::string_view(source_).substr(pos_, tag - pos_).rfind('\n');
      const bool has_newline = newline != std::string_view::npos;
      const size_t line_begin = has_newline ? pos_ + newline + 1 : pos_;
      if ((has_newline || line_starting_) && SkipSpace(line_begin) >= tag) end = line_begin;
    }
    if (end > pos_) Add(TokenType::kData, source_.substr(pos_, end - pos_));
  }

  Status Root() {
    size_t tag = pos_;
    for (; tag < source_.size(); ++tag) {
      if (source_[tag] == '{' && tag + 1 < source_.size() &&
          (source_[tag + 1] == '%' || source_[tag + 1] == '{' || source_[tag + 1] == '#')) {
        break;
      }
    }
    if (tag >= source_.size()) {
      Add(TokenType::kData, source_.substr(pos_));
      MoveTo(source_.size());
      return Ok();
    }
    const char kind = source_[tag + 1];
    const char next = tag + 2 < source_.size() ? source_[tag + 2] : ' ';
    const char sign = next == '-' || next == '+' ? next : ' ';
    AddText(tag, sign, kind != '{');
    const size_t raw = kind == '%' ? RawBeginEnd(tag) : 0;
    if (raw != 0) {
      MoveTo(raw);
      return Raw();
    }
    MoveTo(tag + (sign == ' ' ? 2 : 3));
    if (kind == '#') return Comment();
    Add(kind == '%' ? TokenType::kBlockBegin : TokenType::kVariableBegin, "");
    return Tag(kind == '%');
  }

  Status Comment() {
    const int line = line_;
    for (size_t at = pos_; at < source_.size(); ++at) {
      if (const size_t end = CloseEnd(at, "#}")) {
        MoveTo(end);
        return Ok();
      }
    }
    return SyntaxError(line, "missing end of comment tag");
  }

  Status Raw() {
    const int line = line_;
    for (size_t at = pos_; at < source_.size(); ++at) {
      if (!At(at, "{%")) continue;
      size_t end = at + 2;
      const char next = end < source_.size() ? source_[end] : ' ';
      const char sign = next == '-' || next == '+' ? next : ' ';
      if (sign != ' ') ++end;
      end = SkipSpace(end);
      if (!At(end, "endraw")) continue;
      end = CloseEnd(SkipSpace(end + 6), "%}");
      if (end == 0) continue;
      AddText(at, sign, true);
      MoveTo(end);
      return Ok();
    }
    return SyntaxError(line, "missing end of raw directive");
  }

  // Tokens up to the end of a block or a variable tag.
  Status Tag(bool block) {
    std::string open;
    while (pos_ < source_.size()) {
      if (open.empty()) {
        size_t end = 0;
        if (block) {
          end = CloseEnd(pos_, "%}");
        } else if (At(pos_, "-}}")) {
          end = SkipSpace(pos_ + 3);
        } else if (At(pos_, "}}")) {
          end = pos_ + 2;
        }
        if (end != 0) {
          Add(block ? TokenType::kBlockEnd : TokenType::kVariableEnd, "");
          MoveTo(end);
          return Ok();
        }
      }
      const size_t space = SkipSpace(pos_);
      if (space != pos_) {
        MoveTo(space);
        continue;
      }
      if (Number() || Name()) continue;
      if (source_[pos_] == '\'' || source_[pos_] == '"') {
        MACH_RETURN_IF_ERROR(String());
        continue;
      }
      MACH_RETURN_IF_ERROR(Operator(open));
    }
    return Ok();
  }

  // (\d+_)*\d+ at `at`; the end, or `at` when there is none.
  size_t Digits(size_t at) const {
    size_t end = at;
    while (at < source_.size() && IsDigit(source_[at])) {
      while (at < source_.size() && IsDigit(source_[at])) ++at;
      end = at;
      if (!At(at, "_")) break;
      ++at;
    }
    return end;
  }

  bool Number() {
    if (!IsDigit(source_[pos_])) return false;
    size_t end = 0;
    TokenType type = TokenType::kFloat;
    if (pos_ == 0 || source_[pos_ - 1] != '.') end = FloatEnd();
    if (end == 0) {
      type = TokenType::kInteger;
      end = IntegerEnd();
    }
    std::string text;
    for (size_t i = pos_; i < end; ++i) {
      if (source_[i] != '_') text += source_[i];
    }
    Add(type, std::move(text));
    MoveTo(end);
    return true;
  }

  size_t FloatEnd() const {
    size_t end = Digits(pos_);
    bool fraction = false;
    if (At(end, ".")) {
      const size_t digits = Digits(end + 1);
      if (digits > end + 1) {
        end = digits;
        fraction = true;
      }
    }
    if (end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
      size_t at = end + 1;
      if (At(at, "+") || At(at, "-")) ++at;
      const size_t digits = Digits(at);
      if (digits > at) return digits;
    }
    return fraction ? end : 0;
  }

  size_t IntegerEnd() const {
    if (source_[pos_] == '0' && pos_ + 1 < source_.size()) {
      const int base = std::tolower(static_cast<unsigned char>(source_[pos_ + 1]));
      const auto valid = [base](char c) {
        const auto u = static_cast<unsigned char>(c);
        if (base == 'b') return c == '0' || c == '1';
        if (base == 'o') return c >= '0' && c <= '7';
        return base == 'x' && std::isxdigit(u) != 0;
      };
      size_t at = pos_ + 2;
      size_t end = 0;
      while (at < source_.size()) {
        if (At(at, "_")) ++at;
        if (at >= source_.size() || !valid(source_[at])) break;
        end = ++at;
      }
      if (end != 0) return end;
    }
    const bool zero = source_[pos_] == '0';
    size_t end = pos_ + 1;
    for (size_t at = end; at < source_.size();) {
      if (At(at, "_")) ++at;
      if (at >= source_.size() || !(zero ? source_[at] == '0' : IsDigit(source_[at]))) break;
      end = ++at;
    }
    return end;
  }

  bool Name() {
    size_t end = pos_;
    while (end < source_.size()) {
      const utf8::Decoded d = utf8::Decode(source_, end);
      const uint32_t c = d.code_point;
      if (c != '_' && !unicode::IsAlpha(c) && !unicode::IsNumeric(c)) break;
      end += d.length;
    }
    if (end == pos_) return false;
    Add(TokenType::kName, source_.substr(pos_, end - pos_));
    MoveTo(end);
    return true;
  }

  Status Operator(std::string& open) {
    static constexpr std::array<std::string_view, 6> kTwo = {"//", "**", "==", "!=", ">=", "<="};
    static constexpr std::string_view kOne = "+-/*%~[](){}><=.:|,;";
    std::string_view op;
    for (const std::string_view two : kTwo) {
      if (At(pos_, two)) op = two;
    }
    const char c = source_[pos_];
    if (op.empty() && kOne.find(c) != std::string_view::npos) op = kOne.substr(kOne.find(c), 1);
    if (op.empty()) {
      const size_t length = utf8::Decode(source_, pos_).length;
      return SyntaxError(line_, "unexpected character '" + source_.substr(pos_, length) + "'");
    }
    if (op == "(") open += ')';
    if (op == "[") open += ']';
    if (op == "{") open += '}';
    if (op == ")" || op == "]" || op == "}") {
      if (open.empty()) return SyntaxError(line_, "unexpected '" + std::string(op) + "'");
      if (open.back() != op[0]) {
        return SyntaxError(line_, "unexpected '" + std::string(op) + "', expected '" +
                                      std::string(1, open.back()) + "'");
      }
      open.pop_back();
    }
    Add(TokenType::kOperator, std::string(op));
    MoveTo(pos_ + op.size());
    return Ok();
  }

  Status String() {
    const char quote = source_[pos_];
    size_t end = pos_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) {
      return SyntaxError(line_,
                         "a string that begins with " + std::string(1, quote) + " does not end");
    }
    MACH_TRY(std::string text,
             Unescape(std::string_view(source_).substr(pos_ + 1, end - pos_ - 1)));
    Add(TokenType::kString, std::move(text));
    MoveTo(end + 1);
    return Ok();
  }

  // Python's unicode-escape codec, as Jinja2 applies it.
  Result<std::string> Unescape(std::string_view in) const {
    std::string out;
    for (size_t i = 0; i < in.size();) {
      if (in[i] != '\\') {
        out += in[i++];
        continue;
      }
      const char c = in[i + 1];  // String() never ends within an escape
      i += 2;
      static constexpr std::string_view kSimple = "\\'\"abfnrtv";
      static constexpr std::string_view kValues = "\\'\"\a\b\f\n\r\t\v";
      if (c == '\n') continue;
      if (const size_t at = kSimple.find(c); at != std::string_view::npos) {
        out += kValues[at];
      } else if (c >= '0' && c <= '7') {
        uint32_t value = static_cast<uint32_t>(c - '0');
        for (int n = 1; n < 3 && i < in.size() && in[i] >= '0' && in[i] <= '7'; ++n) {
          value = value * 8 + static_cast<uint32_t>(in[i++] - '0');
        }
        utf8::Append(out, value);
      } else if (c == 'x' || c == 'u' || c == 'U') {
        MACH_TRY(const uint32_t value, Hex(in, i, c == 'x' ? 2 : (c == 'u' ? 4 : 8)));
        uint32_t code = value;
        if (code >= 0xD800 && code < 0xDC00 && in.substr(i, 2) == "\\u") {
          size_t next = i + 2;
          MACH_TRY(const uint32_t low, Hex(in, next, 4));
          if (low >= 0xDC00 && low < 0xE000) {
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
            i = next;
          }
        }
        utf8::Append(out, code);
      } else if (c == 'N') {
        return SyntaxError(line_,
                           "the escape \\N{...} in a string is not supported; write the "
                           "character itself");
      } else if (static_cast<unsigned char>(c) >= 0x80) {
        // Jinja2 writes such characters as escapes first, which the backslash then takes apart.
        const utf8::Decoded d = utf8::Decode(in, i - 1);
        char escape[16];
        const char* const format = d.code_point < 0x100     ? "\\x%02x"
                                   : d.code_point < 0x10000 ? "\\u%04x"
                                                            : "\\U%08x";
        std::snprintf(escape, sizeof(escape), format, d.code_point);
        out += escape;
        i += d.length - 1u;
      } else {
        out += '\\';
        out += c;
      }
    }
    return out;
  }

  Result<uint32_t> Hex(std::string_view in, size_t& i, size_t digits) const {
    uint32_t value = 0;
    for (size_t n = 0; n < digits; ++n, ++i) {
      const auto c = i < in.size() ? static_cast<unsigned char>(in[i]) : 0;
      if (std::isxdigit(c) == 0) return SyntaxError(line_, "a string has a truncated \\x or \\u");
      value = value * 16 +
              static_cast<uint32_t>(std::isdigit(c) != 0 ? c - '0' : std::tolower(c) - 'a' + 10);
    }
    if (value > 0x10FFFF) return SyntaxError(line_, "a string has an illegal character code");
    return value;
  }

  const std::string source_;
  size_t pos_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

Result<std::vector<Token>> Tokenize(std::string_view source) {
  return Lexer(NormalizeNewlines(source)).Run();
}

std::string Describe(const Token& token) {
  switch (token.type) {
    case TokenType::kData:
      return "template text";
    case TokenType::kVariableBegin:
      return "begin of print statement";
    case TokenType::kVariableEnd:
      return "end of print statement";
    case TokenType::kBlockBegin:
      return "begin of statement block";
    case TokenType::kBlockEnd:
      return "end of statement block";
    case TokenType::kEof:
      return "end of template";
    case TokenType::kString:
      return "string";
    default:
      return token.text;
  }
}

Error SyntaxError(int line, std::string message) {
  return {Code::kCorrupt, "chat template line " + std::to_string(line) + ": " + std::move(message)};
}

}  // namespace mach::jinja
