#include "json/write.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/utf8.h"

namespace mach::json {
namespace {

void AppendEscape(std::string& out, uint32_t unit) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out += kHex[unit >> shift & 15];
}

class Writer {
 public:
  explicit Writer(const WriteOptions& options) : options_(options) {}
  std::string Take() { return std::move(out_); }

  void Put(const Value& v, size_t depth) {
    if (v.is_null()) {
      out_ += "null";
    } else if (v.is_bool()) {
      out_ += v.AsBool() ? "true" : "false";
    } else if (v.is_int()) {
      out_ += std::to_string(v.AsInt());
    } else if (v.is_big_integer()) {
      out_ += v.AsBigInteger().digits;
    } else if (v.is_double()) {
      out_ += std::isfinite(v.AsDouble()) ? FormatDouble(v.AsDouble()) : "null";
    } else if (v.is_string()) {
      AppendString(out_, v.AsString(), options_.ensure_ascii);
    } else if (v.is_array()) {
      PutItems('[', ']', v.AsArray(), depth, [&](const Value& item) { Put(item, depth + 1); });
    } else {
      std::vector<const Member*> members;
      for (const Member& m : v.AsObject()) members.push_back(&m);
      if (options_.sort_keys) {
        std::stable_sort(members.begin(), members.end(),
                         [](const Member* a, const Member* b) { return a->key < b->key; });
      }
      PutItems('{', '}', members, depth, [&](const Member* m) {
        AppendString(out_, m->key, options_.ensure_ascii);
        out_ += options_.key_separator;
        Put(m->value, depth + 1);
      });
    }
  }

 private:
  template <class Items, class F>
  void PutItems(char open, char close, const Items& items, size_t depth, F put) {
    out_ += open;
    bool first = true;
    for (const auto& item : items) {
      if (!first) out_ += options_.item_separator;
      first = false;
      NewLine(depth + 1);
      put(item);
    }
    if (!first) NewLine(depth);
    out_ += close;
  }
  void NewLine(size_t depth) {
    if (options_.indent < 0) return;
    out_ += '\n';
    out_.append(depth * static_cast<size_t>(options_.indent), ' ');
  }

  const WriteOptions options_;
  std::string out_;
};

}  // namespace

void AppendString(std::string& out, std::string_view text, bool ensure_ascii) {
  out += '"';
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    const auto u = static_cast<unsigned char>(c);
    if (u < 0x80) {
      ++i;
      switch (c) {
        case '"':
          out += "\\\"";
          break;
        case '\\':
          out += "\\\\";
          break;
        case '\n':
          out += "\\n";
          break;
        case '\r':
          out += "\\r";
          break;
        case '\t':
          out += "\\t";
          break;
        case '\b':
          out += "\\b";
          break;
        case '\f':
          out += "\\f";
          break;
        default:
          if (u < 0x20) {
            AppendEscape(out, u);
          } else {
            out += c;
          }
      }
      continue;
    }
    const utf8::Decoded d = utf8::Decode(text, i);
    i += d.length;
    if (!ensure_ascii) {
      utf8::Append(out, d.code_point);
    } else if (d.code_point < 0x10000) {
      AppendEscape(out, d.code_point);
    } else {
      AppendEscape(out, 0xD800 + ((d.code_point - 0x10000) >> 10));
      AppendEscape(out, 0xDC00 + ((d.code_point - 0x10000) & 0x3FF));
    }
  }
  out += '"';
}

std::string FormatDouble(double d) {
  if (std::isnan(d)) return "nan";
  if (std::isinf(d)) return d < 0 ? "-inf" : "inf";
  char digits[32];
  const auto end =
      std::to_chars(digits, digits + sizeof(digits), d, std::chars_format::scientific).ptr;
  const std::string_view scientific(digits, static_cast<size_t>(end - digits));
  const size_t e = scientific.find('e');
  int exponent = 0;
  const size_t sign = scientific[e + 1] == '+' ? 1 : 0;  // from_chars takes no plus
  std::from_chars(scientific.data() + e + 1 + sign, end, exponent);
  if (exponent < -4 || exponent >= 16) return std::string(scientific);
  char fixed[400];
  const auto fixed_end =
      std::to_chars(fixed, fixed + sizeof(fixed), d, std::chars_format::fixed).ptr;
  std::string out(fixed, fixed_end);
  if (out.find('.') == std::string::npos) out += ".0";
  return out;
}

std::string Write(const Value& value, const WriteOptions& options) {
  Writer writer(options);
  writer.Put(value, 0);
  return writer.Take();
}

}  // namespace mach::json
