#include "json/parse.h"

#include <algorithm>
#include <limits>
#include <string>
#include <unordered_map>

#include <nlohmann/json.hpp>
#include <simdjson.h>

namespace mach::json {
namespace {

// Keeps the first place and the last value of a repeated key. Quadratic only for few members.
// False when the key is repeated.
bool AddMember(Object& object, std::string key, Value value,
               std::unordered_map<std::string, size_t>& places) {
  constexpr size_t kLinear = 32;
  if (object.size() < kLinear) {
    const size_t before = object.size();
    object.Set(key, std::move(value));
    return object.size() != before;
  }
  if (places.empty()) {
    size_t at = 0;
    for (const Member& m : object) places.emplace(m.key, at++);
  }
  const auto [it, added] = places.emplace(key, object.size());
  if (added) {
    object.Append(std::move(key), std::move(value));
  } else {
    (object.begin() + static_cast<std::ptrdiff_t>(it->second))->value = std::move(value);
  }
  return added;
}

struct PythonNumber {
  std::string_view name;
  double value;
};
constexpr PythonNumber kPythonNumbers[] = {
    {"NaN", std::numeric_limits<double>::quiet_NaN()},
    {"Infinity", std::numeric_limits<double>::infinity()},
    {"-Infinity", -std::numeric_limits<double>::infinity()},
};

// "python" and one ':' more than ever follow it in the text.
std::string UnusedMark(std::string_view text) {
  constexpr std::string_view kStem = "python";
  size_t most = 0;
  for (size_t at = text.find(kStem); at != std::string_view::npos; at = text.find(kStem, at)) {
    at += kStem.size();
    const size_t end = std::min(text.find_first_not_of(':', at), text.size());
    most = std::max(most, end - at);
    at = end;
  }
  return std::string(kStem) + std::string(most + 1, ':');
}

// The text with those numbers as strings, behind a mark that no string of it has.
std::string WithoutPythonNumbers(std::string_view text, std::string& mark) {
  mark = UnusedMark(text);
  std::string out;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string && c == '\\' && i + 1 < text.size()) {
      out += c;
      out += text[++i];
      continue;
    }
    if (c == '"') in_string = !in_string;
    const PythonNumber* found = nullptr;
    for (const PythonNumber& number : kPythonNumbers) {
      if (!in_string && text.substr(i).starts_with(number.name)) found = &number;
    }
    if (found == nullptr) {
      out += c;
      continue;
    }
    out.append("\"").append(mark).append(found->name).append("\"");
    i += found->name.size() - 1;
  }
  return out;
}

class Builder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  // mark: of strings that are numbers, see WithoutPythonNumbers; empty: there are none.
  Builder(const ParseOptions& options, std::string_view mark) : options_(options), mark_(mark) {}

  Value Take() { return std::move(root_); }
  const std::string& error() const { return error_; }

  bool null() override { return Put(Value()); }
  bool boolean(bool b) override { return Put(Value(b)); }
  bool number_integer(number_integer_t n) override { return Put(Value(int64_t{n})); }
  bool number_unsigned(number_unsigned_t n) override { return Put(Value(uint64_t{n})); }
  bool number_float(number_float_t d, const string_t& raw) override {
    if (skipping_) return Put(Value());
    // The lexer hands integers that do not fit 64 bits over as floats.
    if (raw.find_first_of(".eE") == std::string::npos) return Put(Value(BigInteger{raw}));
    return Put(Value(d));
  }
  bool string(string_t& s) override {
    if (skipping_) return Put(Value());
    if (!mark_.empty() && s.starts_with(mark_)) {
      for (const PythonNumber& number : kPythonNumbers) {
        if (s.substr(mark_.size()) == number.name) return Put(Value(number.value));
      }
    }
    return Put(Value(std::move(s)));
  }
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override { return Open(Value(Object())); }
  bool start_array(size_t) override { return Open(Value(Array())); }
  bool key(string_t& k) override {
    if (skipping_) return true;
    stack_.back().key = std::move(k);
    skipping_ = stack_.size() == 1 && !options_.members.empty() && !IsWanted(stack_.back().key);
    return true;
  }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception& e) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: reason"
    const std::string what = e.what();
    const size_t at = what.find(": ");
    error_ = "invalid JSON at byte " + std::to_string(position == 0 ? 0 : position - 1) + ": " +
             (at == std::string::npos ? what : what.substr(at + 2));
    return false;
  }

 private:
  struct Frame {
    Value value;
    std::string key;
    std::unordered_map<std::string, size_t> places;
  };

  bool IsWanted(std::string_view key) const {
    const auto& members = options_.members;
    return std::find(members.begin(), members.end(), key) != members.end();
  }
  bool Open(Value value) {
    if (stack_.size() + skipped_depth_ >= options_.max_depth) {
      error_ = "invalid JSON: nested deeper than " + std::to_string(options_.max_depth) + " levels";
      return false;
    }
    if (skipping_) {
      ++skipped_depth_;
    } else {
      stack_.push_back({std::move(value), {}, {}});
    }
    return true;
  }
  bool Close() {
    if (skipping_) {
      --skipped_depth_;
      return Put(Value());
    }
    Value done = std::move(stack_.back().value);
    stack_.pop_back();
    return Put(std::move(done));
  }
  // The end of a value that is skipped, or of a part of it.
  bool PutSkipped() {
    if (skipped_depth_ > 0) return true;
    skipping_ = false;
    return skipped_members_++ >= kMostSkippedNames || Put(Value());
  }
  bool Put(Value value) {
    if (skipping_) return PutSkipped();
    if (stack_.empty()) {
      root_ = std::move(value);
    } else if (Frame& top = stack_.back(); top.value.is_array()) {
      top.value.AsArray().push_back(std::move(value));
    } else {
      const bool added =
          AddMember(top.value.AsObject(), std::string(top.key), std::move(value), top.places);
      if (!added && options_.unique_keys) {
        error_ = "invalid JSON: the key '" + top.key + "' is there twice";
        return false;
      }
    }
    return true;
  }

  const ParseOptions options_;
  const std::string_view mark_;
  // Names of skipped members that are kept: enough to tell of them.
  static constexpr size_t kMostSkippedNames = 64;

  Value root_;
  std::vector<Frame> stack_;
  std::string error_;
  bool skipping_ = false;     // inside a member that nobody reads
  size_t skipped_depth_ = 0;  // of its value
  size_t skipped_members_ = 0;
};

// REQUIRES: nesting was bounded by the parser. False where the element needs the careful parser.
bool Convert(const simdjson::dom::element& element, const ParseOptions& options, Value& out) {
  using simdjson::dom::element_type;
  switch (element.type()) {
    case element_type::NULL_VALUE:
      return true;
    case element_type::BOOL:
      out = Value(bool(element));
      return true;
    case element_type::INT64:
      out = Value(int64_t(element));
      return true;
    case element_type::UINT64:
      out = Value(uint64_t(element));
      return true;
    case element_type::DOUBLE:
      out = Value(double(element));
      return true;
    case element_type::STRING:
      out = Value(std::string_view(element));
      return true;
    case element_type::ARRAY: {
      const simdjson::dom::array array(element);
      Array values;
      values.reserve(array.size());
      for (const auto& item : array) {
        if (!Convert(item, options, values.emplace_back())) return false;
      }
      out = Value(std::move(values));
      return true;
    }
    case element_type::OBJECT: {
      Object object;
      const simdjson::dom::object fields(element);
      std::unordered_map<std::string_view, size_t> places;  // keys of the parser, which outlives it
      places.reserve(fields.size());
      for (const auto& field : fields) {
        Value value;
        if (!Convert(field.value, options, value)) return false;
        const auto [place, added] = places.emplace(field.key, object.size());
        if (added) {
          object.Append(std::string(field.key), std::move(value));
        } else if (options.unique_keys) {
          return false;
        } else {
          (object.begin() + static_cast<std::ptrdiff_t>(place->second))->value = std::move(value);
        }
      }
      out = Value(std::move(object));
      return true;
    }
  }
  return false;
}

}  // namespace

Result<Value> Parse(std::string_view text, const ParseOptions& options) {
  std::string rewritten;
  std::string mark;
  if (options.python_numbers && (text.find("NaN") != std::string_view::npos ||
                                 text.find("Infinity") != std::string_view::npos)) {
    rewritten = WithoutPythonNumbers(text, mark);
    text = rewritten;
  }
  Builder builder(options, mark);
  if (!nlohmann::json::sax_parse(text, &builder)) {
    return Error{Code::kInvalidArgument, builder.error()};
  }
  // The library takes it for the end of the text, and what is behind it for nothing.
  if (const size_t nul = text.find('\0'); nul != std::string_view::npos) {
    return Error{Code::kInvalidArgument,
                 "invalid JSON at byte " + std::to_string(nul) +
                     ": a NUL byte after the end of the value; leave out what follows the value"};
  }
  return builder.Take();
}

Result<Value> ParseLarge(std::string_view text, const ParseOptions& options) {
  try {
    simdjson::dom::parser parser;
    if (parser.allocate(text.size(), options.max_depth) == simdjson::SUCCESS) {
      simdjson::dom::element element;
      Value value;
      if (parser.parse(text.data(), text.size()).get(element) == simdjson::SUCCESS &&
          Convert(element, options, value)) {
        return value;
      }
    }
  } catch (const simdjson::simdjson_error&) {
    // A type mismatch inside Convert cannot happen; the careful parser decides.
  }
  return Parse(text, options);
}

}  // namespace mach::json
