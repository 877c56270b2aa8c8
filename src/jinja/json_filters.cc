// tojson, as transformers defines it (json.dumps without HTML escapes), and from_json.
#include <algorithm>
#include <cmath>
#include <vector>

#include "jinja/arguments.h"
#include "jinja/filters.h"
#include "jinja/format.h"
#include "jinja/interpreter.h"
#include "jinja/operators.h"
#include "json/parse.h"
#include "json/write.h"

namespace mach::jinja {
namespace {

struct JsonStyle {
  bool ensure_ascii = false;
  bool pretty = false;
  std::string indent;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool sort_keys = false;
};

class JsonWriter {
 public:
  JsonWriter(Runtime& runtime, const JsonStyle& style) : runtime_(runtime), style_(style) {}

  Status Put(const Value& value, size_t level) {
    MACH_RETURN_IF_ERROR(runtime_.Step());
    MACH_RETURN_IF_ERROR(runtime_.CheckStack());
    MACH_RETURN_IF_ERROR(runtime_.Reserve(out_.size()));
    switch (value.kind()) {
      case Kind::kNone:
        out_ += "null";
        return Ok();
      case Kind::kBool:
        out_ += value.AsBool() ? "true" : "false";
        return Ok();
      case Kind::kInt:
        out_ += std::to_string(value.AsInt());
        return Ok();
      case Kind::kBigInt:
        out_ += static_cast<const BigInt&>(*value.object()).digits;
        return Ok();
      case Kind::kFloat:
        out_ += Number(value.AsDouble());
        return Ok();
      case Kind::kString:
        saw_plain_ |= value.text().AnyPlain();
        PutString(value.bytes());
        return Ok();
      case Kind::kList:
      case Kind::kTuple:
        return PutList(value.items(), level);
      case Kind::kDict:
        return PutDict(value.dict(), level);
      default:
        return RenderError("Object of type " + std::string(TypeName(value)) +
                           " is not JSON serializable");
    }
  }

  Value Take() { return runtime_.MakeText(std::move(out_), saw_plain_); }

 private:
  static std::string Number(double d) {
    if (std::isnan(d)) return "NaN";
    if (std::isinf(d)) return d < 0 ? "-Infinity" : "Infinity";
    return json::FormatDouble(d);
  }

  void PutString(std::string_view text) {
    const size_t begin = out_.size();
    json::AppendString(out_, text, style_.ensure_ascii);
    if (!style_.ensure_ascii) return;
    for (size_t at = out_.find('\x7F', begin); at != std::string::npos;
         at = out_.find('\x7F', at)) {
      out_.replace(at, 1, "\\u007f");
    }
  }

  Status NewLine(size_t level) {
    if (!style_.pretty) return Ok();
    const size_t unit = style_.indent.size();
    MACH_RETURN_IF_ERROR(runtime_.Reserve(out_.size() + unit * level));
    MACH_RETURN_IF_ERROR(runtime_.Step(unit * level / 64));
    out_ += '\n';
    for (size_t i = 0; i < level; ++i) out_ += style_.indent;
    return Ok();
  }

  Status PutList(const std::vector<Value>& items, size_t level) {
    if (items.empty()) {
      out_ += "[]";
      return Ok();
    }
    out_ += '[';
    for (size_t i = 0; i < items.size(); ++i) {
      if (i != 0) out_ += style_.item_separator;
      MACH_RETURN_IF_ERROR(NewLine(level + 1));
      MACH_RETURN_IF_ERROR(Put(items[i], level + 1));
    }
    MACH_RETURN_IF_ERROR(NewLine(level));
    out_ += ']';
    return Ok();
  }

  Status PutKey(const Value& key) {
    switch (key.kind()) {
      case Kind::kString:
        saw_plain_ |= key.text().AnyPlain();
        PutString(key.bytes());
        return Ok();
      case Kind::kBool:
        out_ += key.AsBool() ? "\"true\"" : "\"false\"";
        return Ok();
      case Kind::kNone:
        out_ += "\"null\"";
        return Ok();
      case Kind::kInt:
      case Kind::kBigInt:
      case Kind::kFloat:
        out_ += '"';
        MACH_RETURN_IF_ERROR(Put(key, 0));
        out_ += '"';
        return Ok();
      default:
        return RenderError("keys must be str, int, float, bool or None, not " +
                           std::string(TypeName(key)));
    }
  }

  Status PutDict(const Dict& dict, size_t level) {
    if (dict.items.empty()) {
      out_ += "{}";
      return Ok();
    }
    std::vector<const std::pair<Value, Value>*> members;
    for (const auto& member : dict.items) members.push_back(&member);
    if (style_.sort_keys) MACH_RETURN_IF_ERROR(SortKeys(members));
    out_ += '{';
    for (size_t i = 0; i < members.size(); ++i) {
      if (i != 0) out_ += style_.item_separator;
      MACH_RETURN_IF_ERROR(NewLine(level + 1));
      MACH_RETURN_IF_ERROR(PutKey(members[i]->first));
      out_ += style_.key_separator;
      MACH_RETURN_IF_ERROR(Put(members[i]->second, level + 1));
    }
    MACH_RETURN_IF_ERROR(NewLine(level));
    out_ += '}';
    return Ok();
  }

  // Keys of a mapping differ, so any sort will do; unlike types have no order.
  Status SortKeys(std::vector<const std::pair<Value, Value>*>& members) {
    const auto is_text = [](const auto* member) { return member->first.is_string(); };
    const auto is_number = [](const auto* member) { return member->first.is_number(); };
    if (std::all_of(members.begin(), members.end(), is_text)) {
      std::sort(members.begin(), members.end(),
                [](const auto* a, const auto* b) { return a->first.bytes() < b->first.bytes(); });
      return Ok();
    }
    if (std::all_of(members.begin(), members.end(), is_number)) {
      std::sort(members.begin(), members.end(), [](const auto* a, const auto* b) {
        return a->first.AsDouble() < b->first.AsDouble();
      });
      return Ok();
    }
    if (members.size() == 1) return Ok();
    return RenderError("tojson: sort_keys needs keys of one type");
  }

  Runtime& runtime_;
  const JsonStyle& style_;
  std::string out_;
  bool saw_plain_ = false;
};

Result<Value> ToJson(Interpreter& in, const Value& subject, Arguments& args) {
  MACH_TRY(const Bound bound,
           Bound::Bind("tojson", args, {"ensure_ascii", "indent", "separators", "sort_keys"}));
  JsonStyle style;
  style.ensure_ascii = bound.Flag(0);
  style.sort_keys = bound.Flag(3);
  const Value indent = bound.Or(1);
  if (!indent.is_none()) {
    style.pretty = true;
    style.item_separator = ",";
    if (indent.is_string()) {
      style.indent = indent.bytes();
    } else if (indent.is_integral()) {
      const auto count = static_cast<size_t>(std::max<int64_t>(indent.AsInt(), 0));
      MACH_RETURN_IF_ERROR(in.Reserve(count));
      style.indent = std::string(count, ' ');
    } else {
      return RenderError("tojson: indent must be an integer, a string or none, not " +
                         std::string(TypeName(indent)));
    }
  }
  const Value separators = bound.Or(2);
  if (!separators.is_none()) {
    MACH_TRY(const std::vector<Value> pair, Collect(in, separators));
    if (pair.size() != 2 || !pair[0].is_string() || !pair[1].is_string()) {
      return RenderError("tojson: separators must be a pair of strings");
    }
    style.item_separator = pair[0].bytes();
    style.key_separator = pair[1].bytes();
  }
  JsonWriter writer(in, style);
  MACH_RETURN_IF_ERROR(writer.Put(subject, 0));
  return writer.Take();
}

Result<Value> FromJsonFilter(Interpreter& in, const Value& subject, Arguments& args) {
  MACH_RETURN_IF_ERROR(Bound::Bind("from_json", args, {}));
  if (!subject.is_string()) {
    return RenderError("the JSON object must be str, not " + std::string(TypeName(subject)));
  }
  MACH_RETURN_IF_ERROR(in.Step(subject.bytes().size() / 4));
  MACH_RETURN_IF_ERROR(in.Reserve(subject.bytes().size() * 8));
  Result<json::Value> value = json::Parse(subject.bytes());
  if (!value) return RenderError("from_json: " + value.error().message);
  return in.FromJson(*value, subject.text().AnyPlain());
}

}  // namespace

std::span<const Filter> JsonFilters() {
  static constexpr Filter kFilters[] = {
      {"from_json", FromJsonFilter},
      {"tojson", ToJson},
  };
  return kFilters;
}

}  // namespace mach::jinja
