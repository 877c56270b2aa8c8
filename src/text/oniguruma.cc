#include "text/oniguruma.h"

#include <array>
#include <cctype>
#include <charconv>
#include <optional>
#include <utility>

#include "base/utf8.h"
#include "text/component.h"
#include "text/regex.h"
#include "text/unicode.h"

namespace mach::text {
namespace {

constexpr int kMaxDepth = 64;
constexpr size_t kMaxPatternBytes = 64 << 10;

constexpr std::string_view kWordClass = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";
constexpr std::string_view kNotWhiteSpaceClass =
    "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}"
    "\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}"
    "\\x{3001}-\\x{10ffff}";
constexpr std::string_view kNotHexClass = "\\x{0}-/:-@G-`g-\\x{10ffff}";

// The inside of a class for a POSIX bracket or a property of that name.
std::optional<std::string> PosixClass(std::string_view name) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 12> kClasses = {{
      {"alnum", "\\p{Alphabetic}\\p{Nd}"},
      {"alpha", "\\p{Alphabetic}"},
      {"ascii", "\\x{0}-\\x{7f}"},
      {"blank", "\\p{Zs}\\x{9}"},
      {"cntrl", "\\p{Cc}"},
      {"digit", "\\p{Nd}"},
      {"lower", "\\p{Lowercase}"},
      {"punct", "\\p{P}\\$\\+<=>\\^`\\|~"},
      {"space", kWhiteSpaceClass},
      {"upper", "\\p{Uppercase}"},
      {"word", kWordClass},
      {"xdigit", "0-9a-fA-F"},
  }};
  for (const auto& [key, inside] : kClasses) {
    if (key == name) return std::string(inside);
  }
  return std::nullopt;
}

// The short form of a general category, as PCRE2 wants it. `key`: lower case, without _ - and
// space.
std::string_view GeneralCategory(std::string_view key) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 37> kNames = {{
      {"other", "C"},
      {"control", "Cc"},
      {"format", "Cf"},
      {"unassigned", "Cn"},
      {"privateuse", "Co"},
      {"surrogate", "Cs"},
      {"letter", "L"},
      {"lowercaseletter", "Ll"},
      {"modifierletter", "Lm"},
      {"otherletter", "Lo"},
      {"titlecaseletter", "Lt"},
      {"uppercaseletter", "Lu"},
      {"mark", "M"},
      {"combiningmark", "M"},
      {"spacingmark", "Mc"},
      {"enclosingmark", "Me"},
      {"nonspacingmark", "Mn"},
      {"number", "N"},
      {"decimalnumber", "Nd"},
      {"letternumber", "Nl"},
      {"othernumber", "No"},
      {"punctuation", "P"},
      {"connectorpunctuation", "Pc"},
      {"dashpunctuation", "Pd"},
      {"closepunctuation", "Pe"},
      {"finalpunctuation", "Pf"},
      {"initialpunctuation", "Pi"},
      {"otherpunctuation", "Po"},
      {"openpunctuation", "Ps"},
      {"symbol", "S"},
      {"currencysymbol", "Sc"},
      {"modifiersymbol", "Sk"},
      {"mathsymbol", "Sm"},
      {"othersymbol", "So"},
      {"separator", "Z"},
      {"lineseparator", "Zl"},
      {"paragraphseparator", "Zp"},
  }};
  for (const auto& [name, category] : kNames) {
    if (name == key) return category;
    const auto same = [](char a, char b) { return a == std::tolower(static_cast<uint8_t>(b)); };
    if (key.size() == category.size() &&
        std::equal(key.begin(), key.end(), category.begin(), same)) {
      return category;
    }
  }
  return key == "spaceseparator" || key == "zs" ? "Zs" : "";
}

class Translator {
 public:
  explicit Translator(std::string_view in) : in_(in) {}

  Result<std::string> Run() {
    MACH_RETURN_IF_ERROR(Alternatives(0));
    if (at_ < in_.size()) return Invalid("unmatched )");
    return std::move(out_);
  }

 private:
  bool More() const { return at_ < in_.size(); }
  bool Starts(std::string_view s) const { return in_.substr(at_).starts_with(s); }
  bool Take(std::string_view s) {
    if (!Starts(s)) return false;
    at_ += s.size();
    return true;
  }
  Error Invalid(std::string_view what) const {
    return Error{Code::kInvalidArgument,
                 std::string(what) + " (at byte " + std::to_string(at_) + ")"};
  }
  Error Unsupported(std::string_view what) const {
    return Error{Code::kUnsupported,
                 std::string(what) + " (at byte " + std::to_string(at_) + ") is not supported"};
  }

  uint32_t NextCodePoint() {
    const utf8::Decoded d = utf8::Decode(in_, at_);
    at_ += d.length;
    return d.code_point;
  }

  static void AppendLiteral(std::string& out, uint32_t c) {
    if (c < 0x80 && std::isalnum(static_cast<int>(c)) == 0) {
      char hex[16];
      const auto end = std::to_chars(hex, hex + sizeof(hex), c, 16).ptr;
      out += "\\x{";
      out.append(hex, end);
      out += '}';
    } else {
      utf8::Append(out, c);
    }
  }

  // To the ) that closes the group, or the end.
  Status Alternatives(int depth) {
    if (depth > kMaxDepth) return Unsupported("nesting of more than 64 groups");
    while (More() && in_[at_] != ')') {
      if (Take("|")) {
        out_ += '|';
        continue;
      }
      const size_t start = out_.size();
      // An option without a colon holds to the end of the group, alternatives included.
      MACH_TRY(const bool to_the_end, Atom(depth));
      if (to_the_end) return Ok();
      MACH_RETURN_IF_ERROR(Quantifiers(start));
    }
    return Ok();
  }

  Result<bool> Atom(int depth) {
    switch (in_[at_]) {
      case '(':
        return Group(depth);
      case '[': {
        ++at_;
        MACH_RETURN_IF_ERROR(Class(0, out_));
        return false;
      }
      case '\\':
        return Escape();
      case '.':
      case '^':
      case '$':
        out_ += in_[at_++];
        return false;
      case '*':
      case '+':
      case '?':
        return Invalid("a quantifier without anything before it");
      default:
        AppendLiteral(out_, NextCodePoint());
        return false;
    }
  }

  Result<bool> Group(int depth) {
    ++at_;
    if (Starts("*")) return Unsupported("(*");
    if (Starts("?#")) {
      const size_t end = in_.find(')', at_);
      if (end == std::string_view::npos) return Invalid("a comment without )");
      at_ = end + 1;
      return false;
    }
    bool to_the_end = false;
    if (!Take("?") || Take(":")) {
      out_ += "(?:";
    } else if (Starts("=") || Starts("!") || Starts(">")) {
      out_ += "(?";
      out_ += in_[at_++];
    } else if (Starts("<=") || Starts("<!")) {
      out_ += "(?";
      out_ += in_.substr(at_, 2);
      at_ += 2;
    } else if (Starts("<") || Starts("'")) {
      const size_t end = in_.find(in_[at_] == '<' ? '>' : '\'', at_ + 1);
      if (end == std::string_view::npos) return Invalid("a group name without end");
      at_ = end + 1;
      out_ += "(?:";
    } else {
      MACH_RETURN_IF_ERROR(Options());
      to_the_end = !Take(":");
      if (to_the_end && !Take(")")) return Invalid("an unknown kind of group");
    }
    MACH_RETURN_IF_ERROR(Alternatives(depth + 1));
    out_ += ')';
    if (!to_the_end && !Take(")")) return Invalid("a group without )");
    return to_the_end;
  }

  Status Options() {
    std::string options = "(?";
    for (; More() && in_[at_] != ':' && in_[at_] != ')'; ++at_) {
      switch (in_[at_]) {
        case 'i':
        case '-':
          options += in_[at_];
          break;
        case 'm':
          options += 's';
          break;
        default:
          return Unsupported("group (?" + std::string(1, in_[at_]));
      }
    }
    out_ += options + ":";
    return Ok();
  }

  Status Quantifiers(size_t start) {
    for (bool first = true; More(); first = false) {
      const char c = in_[at_];
      std::string quantifier;
      bool optional = false;
      if (c == '*' || c == '+' || c == '?') {
        quantifier = c;
        ++at_;
        if (More() && (in_[at_] == '?' || in_[at_] == '+')) quantifier += in_[at_++];
      } else if (c != '{' || !Interval(quantifier, optional)) {
        return Ok();
      }
      if (out_.size() == start) return Invalid("a quantifier without anything before it");
      if (!first) Wrap(start);
      out_ += quantifier;
      if (optional) {
        Wrap(start);
        out_ += '?';
      }
    }
    return Ok();
  }

  void Wrap(size_t start) {
    out_.insert(start, "(?:");
    out_ += ')';
  }

  // {n}, {n,}, {,m}, {n,m}; anything else is literal. {n}? is optional, not lazy.
  bool Interval(std::string& quantifier, bool& optional) {
    size_t p = at_ + 1;
    const auto digits = [&] {
      const size_t begin = p;
      while (p < in_.size() && in_[p] >= '0' && in_[p] <= '9') ++p;
      return in_.substr(begin, p - begin);
    };
    const std::string_view low = digits();
    const bool comma = p < in_.size() && in_[p] == ',';
    if (comma) ++p;
    const std::string_view high = comma ? digits() : low;
    if (p >= in_.size() || in_[p] != '}' || (low.empty() && high.empty())) return false;
    at_ = p + 1;
    quantifier = "{" + (low.empty() ? std::string("0") : std::string(low));
    if (comma) quantifier += "," + std::string(high);
    quantifier += '}';
    if (Take("?")) {
      optional = !comma;
      if (comma) quantifier += '?';
    }
    return true;
  }

  Result<bool> Escape() {
    if (at_ + 1 >= in_.size()) return Invalid("\\ at the end");
    const char c = in_[at_ + 1];
    switch (c) {
      case 'b':
      case 'B': {
        at_ += 2;
        const std::string w = "[" + std::string(kWordClass) + "]";
        out_ += c == 'b' ? "(?:(?<=" + w + ")(?!" + w + ")|(?<!" + w + ")(?=" + w + "))"
                         : "(?:(?<=" + w + ")(?=" + w + ")|(?<!" + w + ")(?!" + w + "))";
        return false;
      }
      case 'A':
      case 'z':
      case 'Z':
      case 'R':
      case 'N':
        out_ += in_.substr(at_, 2);
        at_ += 2;
        return false;
      case 'W':
        at_ += 2;
        out_ += "[^" + std::string(kWordClass) + "]";
        return false;
      default:
        break;
    }
    std::string inside;
    MACH_TRY(const std::optional<uint32_t> literal, ClassEscape(inside, false));
    if (literal) {
      AppendLiteral(out_, *literal);
    } else {
      out_ += "[" + inside + "]";
    }
    return false;
  }

  Result<uint32_t> HexNumber(size_t max_digits) {
    uint32_t value = 0;
    size_t n = 0;
    for (; More() && n < max_digits && std::isxdigit(static_cast<uint8_t>(in_[at_])) != 0; ++n) {
      const char c = in_[at_++];
      value = value * 16 + static_cast<uint32_t>(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
    }
    if (n == 0 || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) {
      return Invalid("no code point after \\x or \\u");
    }
    return value;
  }

  // An escape that may stand in a class: a character, or a set whose inside is appended.
  Result<std::optional<uint32_t>> ClassEscape(std::string& inside, bool in_class) {
    ++at_;
    if (!More()) return Invalid("\\ at the end");
    const char c = in_[at_];
    const auto set = [&](std::string_view s) -> Result<std::optional<uint32_t>> {
      ++at_;
      inside += s;
      return std::optional<uint32_t>();
    };
    const auto one = [&](uint32_t code) -> Result<std::optional<uint32_t>> {
      ++at_;
      return std::optional<uint32_t>(code);
    };
    switch (c) {
      case 't':
        return one('\t');
      case 'n':
        return one('\n');
      case 'r':
        return one('\r');
      case 'f':
        return one('\f');
      case 'v':
        return one('\v');
      case 'a':
        return one('\a');
      case 'e':
        return one(0x1B);
      case 's':
        return set(kWhiteSpaceClass);
      case 'S':
        return set(kNotWhiteSpaceClass);
      case 'd':
        return set("\\p{Nd}");
      case 'D':
        return set("\\P{Nd}");
      case 'w':
        return set(kWordClass);
      case 'h':
        return set("0-9a-fA-F");
      case 'H':
        return set(kNotHexClass);
      case 'p':
      case 'P': {
        MACH_RETURN_IF_ERROR(Property(inside));
        return std::optional<uint32_t>();
      }
      case 'x':
      case 'u': {
        ++at_;
        const bool braces = c == 'x' && Take("{");
        const size_t digits = braces ? 8 : c == 'x' ? 2 : 4;
        MACH_TRY(const uint32_t code, HexNumber(digits));
        if (braces && !Take("}")) return Invalid("\\x{ without }");
        if (c == 'x' && !braces && code >= 0x80) {
          return Unsupported("a byte of a character (write \\x{...})");
        }
        return std::optional<uint32_t>(code);
      }
      case 'b':
        if (in_class) return one('\b');
        break;
      case '0':
        if (at_ + 1 >= in_.size() || in_[at_ + 1] < '0' || in_[at_ + 1] > '9') return one(0);
        break;
      default:
        if (std::isalnum(static_cast<uint8_t>(c)) == 0) {
          return std::optional<uint32_t>(NextCodePoint());
        }
    }
    return Unsupported("escape \\" + std::string(1, c));
  }

  // \p{...} or \P{...}, from the p on.
  Status Property(std::string& inside) {
    bool negated = in_[at_++] == 'P';
    if (!Take("{")) return Unsupported("\\p without {");
    if (Take("^")) negated = !negated;
    const size_t end = in_.find('}', at_);
    if (end == std::string_view::npos) return Invalid("\\p{ without }");
    const std::string name(in_.substr(at_, end - at_));
    std::string key;
    for (const char c : name) {
      if (std::isalnum(static_cast<uint8_t>(c)) != 0) {
        key += static_cast<char>(std::tolower(static_cast<uint8_t>(c)));
      } else if (c != '_' && c != '-' && c != ' ') {
        return Unsupported("property " + Quoted(name));
      }
    }
    const std::string p = negated ? "\\P{" : "\\p{";
    if (const std::string_view category = GeneralCategory(key); !category.empty()) {
      inside += p + std::string(category) + "}";
    } else if (const auto posix = PosixClass(key); posix && !negated) {
      inside += *posix;
    } else if (key == "any" && !negated) {
      inside += "\\x{0}-\\x{10ffff}";
    } else {
      // A script, or else a binary property (Emoji, Extended_Pictographic).
      std::string script = p + "sc:" + key + "}";
      if (!Regex::Compiles(script)) script = p + key + "}";
      if (!Regex::Compiles(script)) return Unsupported("property " + Quoted(name));
      inside += script;
    }
    at_ = end + 1;
    return Ok();
  }

  // A class, from behind its [ to behind its ]. Appends "[...]" or "[^...]"; of a class in a class
  // only the inside, which joins the one around it.
  Status Class(int depth, std::string& set) {
    if (depth > kMaxDepth) return Unsupported("nesting of more than 64 classes");
    const bool negated = Take("^");
    if (negated && depth > 0) return Unsupported("a negated class in a class");
    if (depth == 0) set += negated ? "[^" : "[";
    const size_t empty = set.size();
    bool first = true;
    while (first || !Starts("]")) {
      if (!More()) return Invalid("[ without ]");
      if (first && Starts("]") && in_.find(']', at_ + 1) == std::string_view::npos) {
        return Invalid("an empty class");
      }
      first = false;
      if (Starts("&&")) return Unsupported("an intersection of classes");
      if (Starts("[:")) {
        MACH_TRY(const bool posix, PosixBracket(set));
        if (posix) continue;
      }
      if (Take("[")) {
        MACH_RETURN_IF_ERROR(Class(depth + 1, set));
        continue;
      }
      MACH_TRY(const std::optional<uint32_t> low, ClassCharacter(set));
      if (!low) continue;
      AppendLiteral(set, *low);
      if (!Starts("-") || at_ + 1 >= in_.size() || in_[at_ + 1] == ']') continue;
      const size_t dash = at_++;
      if (Starts("[")) {  // the - is literal, and what follows is a class
        at_ = dash;
        continue;
      }
      std::string ignored;
      MACH_TRY(const std::optional<uint32_t> high, ClassCharacter(ignored));
      if (!high) {  // a set: the - is literal
        AppendLiteral(set, '-');
        set += ignored;
        continue;
      }
      if (*high < *low) return Invalid("an empty range in a class");
      set += '-';
      AppendLiteral(set, *high);
    }
    ++at_;
    if (set.size() == empty) return Invalid("an empty class");
    if (depth == 0) set += ']';
    return Ok();
  }

  Result<std::optional<uint32_t>> ClassCharacter(std::string& set) {
    if (!More()) return Invalid("[ without ]");
    if (in_[at_] == '\\') return ClassEscape(set, true);
    return std::optional<uint32_t>(NextCodePoint());
  }

  // [:name:] inside a class; false where it is something else.
  Result<bool> PosixBracket(std::string& set) {
    const size_t end = in_.find(":]", at_ + 2);
    if (end == std::string_view::npos) return false;
    const std::string_view name = in_.substr(at_ + 2, end - at_ - 2);
    if (name.empty() || name.find_first_not_of("^abcdefghijklmnopqrstuvwxyz") != name.npos) {
      return false;
    }
    const auto posix = PosixClass(name);
    if (!posix) return Unsupported("[:" + std::string(name) + ":]");
    set += *posix;
    at_ = end + 2;
    return true;
  }

  const std::string_view in_;
  size_t at_ = 0;
  std::string out_;
};

}  // namespace

Result<std::string> TranslateOniguruma(std::string_view pattern) {
  if (pattern.size() > kMaxPatternBytes) {
    return Error{Code::kUnsupported, "pattern of " + std::to_string(pattern.size()) +
                                         " bytes, expected at most " +
                                         std::to_string(kMaxPatternBytes)};
  }
  return Translator(pattern).Run();
}

}  // namespace mach::text
