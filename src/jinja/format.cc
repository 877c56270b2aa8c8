#include "jinja/format.h"

#include <cmath>

#include "base/utf8.h"
#include "jinja/unicode.h"
#include "json/write.h"

namespace mach::jinja {
namespace {

void AppendHex(std::string& out, char letter, uint32_t c, int digits) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '\\';
  out += letter;
  for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4) out += kHex[c >> shift & 15];
}

void AppendReprOfText(std::string_view text, std::string& out) {
  const bool single = text.find('\'') != std::string_view::npos;
  const char quote = single && text.find('"') == std::string_view::npos ? '"' : '\'';
  out += quote;
  for (size_t at = 0; at < text.size();) {
    const utf8::Decoded d = utf8::Decode(text, at);
    const uint32_t c = d.code_point;
    if (c == static_cast<unsigned char>(quote) || c == '\\') {
      out += '\\';
      out += text[at];
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (unicode::IsPrintable(c)) {
      out.append(text, at, d.length);
    } else if (c < 0x100) {
      AppendHex(out, 'x', c, 2);
    } else if (c < 0x10000) {
      AppendHex(out, 'u', c, 4);
    } else {
      AppendHex(out, 'U', c, 8);
    }
    at += d.length;
  }
  out += quote;
}

// Writes nested values and watches their size.
class ReprWriter {
 public:
  ReprWriter(Runtime& runtime, std::string& out, bool& saw_plain)
      : runtime_(runtime), out_(out), saw_plain_(saw_plain) {}

  Status Put(const Value& value) {
    MACH_RETURN_IF_ERROR(runtime_.Step());
    MACH_RETURN_IF_ERROR(runtime_.Reserve(out_.size()));
    MACH_RETURN_IF_ERROR(runtime_.CheckStack());
    switch (value.kind()) {
      case Kind::kUndefined:
        out_ += "Undefined";
        break;
      case Kind::kNone:
        out_ += "None";
        break;
      case Kind::kBool:
        out_ += value.AsBool() ? "True" : "False";
        break;
      case Kind::kInt:
        out_ += std::to_string(value.AsInt());
        break;
      case Kind::kBigInt:
        out_ += static_cast<const BigInt&>(*value.object()).digits;
        break;
      case Kind::kFloat:
        out_ += json::FormatDouble(value.AsDouble());
        break;
      case Kind::kString: {
        const Text& text = value.text();
        saw_plain_ |= text.AnyPlain();
        if (text.safe) out_ += "Markup(";
        AppendReprOfText(text.bytes, out_);
        if (text.safe) out_ += ')';
        break;
      }
      case Kind::kList:
        return PutItems("[", "]", value.items());
      case Kind::kTuple:
        return PutItems("(", value.items().size() == 1 ? ",)" : ")", value.items());
      case Kind::kDict:
        return PutDict(value.dict());
      case Kind::kDictView:
        return PutView(value);
      case Kind::kRange: {
        const Range& range = value.range();
        out_ += "range(" + std::to_string(range.start) + ", " + std::to_string(range.stop);
        if (range.step != 1) out_ += ", " + std::to_string(range.step);
        out_ += ')';
        break;
      }
      case Kind::kNamespace: {
        out_ += "<Namespace {";
        bool first = true;
        for (const auto& [name, attribute] : value.name_space().attributes) {
          if (!first) out_ += ", ";
          first = false;
          AppendReprOfText(name, out_);
          out_ += ": ";
          MACH_RETURN_IF_ERROR(Put(Value(attribute)));
        }
        out_ += "}>";
        break;
      }
      case Kind::kGenerator:
        out_ += "<generator object>";
        break;
      case Kind::kMacro:
      case Kind::kFunction:
      case Kind::kLoop:
        out_ += "<" + std::string(TypeName(value)) + ">";
        break;
    }
    return Ok();
  }

 private:
  Status PutItems(std::string_view open, std::string_view close, const std::vector<Value>& items) {
    out_ += open;
    bool first = true;
    for (const Value& item : items) {
      if (!first) out_ += ", ";
      first = false;
      MACH_RETURN_IF_ERROR(Put(item));
    }
    out_ += close;
    return Ok();
  }

  Status PutDict(const Dict& dict) {
    out_ += '{';
    bool first = true;
    for (const auto& [key, value] : dict.items) {
      if (!first) out_ += ", ";
      first = false;
      MACH_RETURN_IF_ERROR(Put(key));
      out_ += ": ";
      MACH_RETURN_IF_ERROR(Put(value));
    }
    out_ += '}';
    return Ok();
  }

  Status PutView(const Value& value) {
    const DictView& view = value.view();
    out_ += std::string(TypeName(value)) + "([";
    bool first = true;
    for (const auto& [key, item] : view.dict.dict().items) {
      if (!first) out_ += ", ";
      first = false;
      const bool pair = view.what == DictView::What::kItems;
      if (pair) out_ += '(';
      if (view.what != DictView::What::kValues) MACH_RETURN_IF_ERROR(Put(key));
      if (pair) out_ += ", ";
      if (view.what != DictView::What::kKeys) MACH_RETURN_IF_ERROR(Put(item));
      if (pair) out_ += ')';
    }
    out_ += "])";
    return Ok();
  }

  Runtime& runtime_;
  std::string& out_;
  bool& saw_plain_;
};

}  // namespace

Status AppendRepr(Runtime& runtime, const Value& value, std::string& out, bool& saw_plain) {
  return ReprWriter(runtime, out, saw_plain).Put(value);
}

Status AppendStr(Runtime& runtime, const Value& value, TextBuilder& out) {
  if (value.is_string()) {
    out.Append(value.text());
    return runtime.Step(1 + value.bytes().size() / 64);
  }
  if (value.is_undefined()) return Ok();
  std::string text;
  bool saw_plain = false;
  MACH_RETURN_IF_ERROR(AppendRepr(runtime, value, text, saw_plain));
  if (saw_plain) {
    out.AppendPlain(text);
  } else {
    out.Append(text);
  }
  return Ok();
}

Result<Value> ToText(Runtime& runtime, const Value& value) {
  if (value.is_string()) return value;
  TextBuilder builder;
  MACH_RETURN_IF_ERROR(AppendStr(runtime, value, builder));
  return runtime.MakeText(std::move(builder));
}

}  // namespace mach::jinja
