#include "model/config.h"

#include <algorithm>
#include <cstdio>

namespace mach::model {
namespace {
// Beyond any published model by far; keeps products of two sizes within 64 bits.
constexpr int64_t kMostSize = int64_t{1} << 28;
constexpr size_t kMostLayers = 1024;
// The new spelling wins.
constexpr const char* kRopeGroups[] = {"rope_parameters", "rope_scaling"};

std::string NumberText(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

std::string Quoted(std::string_view key) { return "'" + std::string(key) + "'"; }

std::string WrongType(const std::string& where, const json::Value& found,
                      std::string_view expected) {
  return where + " is " + std::string(found.KindName()) + ", expected " + std::string(expected);
}

}  // namespace

ConfigReader::ConfigReader(const json::Value& config) : config_(config) {
  text_ = config.Find("text_config");
  if (text_ != nullptr && !text_->is_null() && !text_->is_object()) {
    Fail(WrongType("'text_config'", *text_, "an object"));
  }
}

const json::Value* ConfigReader::Find(std::string_view key) const {
  for (const json::Value* from : {text_, &config_}) {
    const json::Value* found = from == nullptr ? nullptr : from->Find(key);
    if (found != nullptr && !found->is_null()) return found;
  }
  return nullptr;
}

void ConfigReader::Fail(std::string message) {
  if (error_.empty()) error_ = std::move(message);
}

void ConfigReader::Require(bool condition, std::string_view message) {
  if (!condition) Fail(std::string(message));
}

Status ConfigReader::status() const {
  if (error_.empty()) return Ok();
  return Error{Code::kUnsupported, "config.json: " + error_};
}

size_t ConfigReader::Size(std::string_view key, std::optional<size_t> fallback) {
  const json::Value* found = Find(key);
  if (found == nullptr && fallback) return *fallback;
  const auto value =
      json::GetInt(json::Object{{std::string(key), found ? *found : json::Value()}}, key);
  if (!value) {
    Fail(value.error().message);
    return 1;
  }
  if (*value < 1 || *value > kMostSize) {
    Fail("'" + std::string(key) + "' is " + std::to_string(*value) + ", expected 1 to " +
         std::to_string(kMostSize));
    return 1;
  }
  return static_cast<size_t>(*value);
}

size_t ConfigReader::SizeOrZero(std::string_view key, size_t fallback) {
  const json::Value* found = Find(key);
  if (found != nullptr && found->is_int() && found->AsInt() == 0) return 0;
  return Size(key, fallback);
}

size_t ConfigReader::Layers() {
  const size_t layers = Size("num_hidden_layers");
  Require(layers <= kMostLayers, "'num_hidden_layers' is " + std::to_string(layers) +
                                     ", expected at most " + std::to_string(kMostLayers));
  return std::min(layers, kMostLayers);
}

double ConfigReader::Checked(const std::string& where, const json::Value& found, double fallback,
                             NumberRange range) {
  if (!found.is_number()) {
    Fail(WrongType(where, found, "a number"));
    return fallback;
  }
  const double value = found.AsDouble();
  if (value >= range.least && value <= range.most) return value;  // false for NaN
  Fail(where + " is " + NumberText(value) + ", expected " + NumberText(range.least) +
       (range.least < range.most ? " to " + NumberText(range.most) : ""));
  return fallback;
}

std::string ConfigReader::CheckedText(const std::string& where, const json::Value& found) {
  if (found.is_string()) return found.AsString();
  Fail(WrongType(where, found, "a string"));
  return "";
}

double ConfigReader::Number(std::string_view key, double fallback, NumberRange range) {
  const json::Value* found = Find(key);
  return found == nullptr ? fallback : Checked(Quoted(key), *found, fallback, range);
}

bool ConfigReader::Flag(std::string_view key, bool fallback) {
  const json::Value* found = Find(key);
  if (found == nullptr) return fallback;
  if (!found->is_bool()) {
    Fail(WrongType(Quoted(key), *found, "a boolean"));
    return fallback;
  }
  return found->AsBool();
}

std::string ConfigReader::Text(std::string_view key, std::string_view fallback) {
  const json::Value* found = Find(key);
  return found == nullptr ? std::string(fallback) : CheckedText(Quoted(key), *found);
}

std::vector<std::string> ConfigReader::Texts(std::string_view key) {
  std::vector<std::string> out;
  const json::Value* found = Find(key);
  if (found == nullptr) return out;
  Require(found->is_array(), "'" + std::string(key) + "' is no array");
  if (!found->is_array()) return out;
  for (const json::Value& v : found->AsArray()) {
    Require(v.is_string(), "'" + std::string(key) + "' holds something else than strings");
    out.push_back(v.is_string() ? v.AsString() : "");
  }
  return out;
}

std::vector<size_t> ConfigReader::Sizes(std::string_view key) {
  std::vector<size_t> out;
  const json::Value* found = Find(key);
  if (found == nullptr) return out;
  Require(found->is_array(), "'" + std::string(key) + "' is no array");
  if (!found->is_array()) return out;
  for (const json::Value& v : found->AsArray()) {
    const bool good = v.is_int() && v.AsInt() >= 0 && v.AsInt() <= kMostSize;
    Require(good, "'" + std::string(key) + "' holds something else than sizes");
    out.push_back(good ? static_cast<size_t>(v.AsInt()) : 0);
  }
  return out;
}

const json::Value* ConfigReader::FindRopeGroup(const char* group) {
  const json::Value* rope = Find(group);
  if (rope == nullptr) return nullptr;
  if (!rope->is_object()) {
    Fail(WrongType(Quoted(group), *rope, "an object"));
    return nullptr;
  }
  for (const json::Member& member : rope->AsObject()) {
    if (!member.value.is_object()) continue;
    Fail(Quoted(group) + " has parameters of its own for '" + member.key +
         "'; expected the same for all layers");
  }
  return rope;
}

const json::Value* ConfigReader::FindRope(std::string_view key, std::string& where) {
  for (const char* group : kRopeGroups) {
    const json::Value* rope = FindRopeGroup(group);
    const json::Value* found = rope == nullptr ? nullptr : rope->Find(key);
    if (found == nullptr || found->is_null()) continue;
    where = Quoted(key) + " of " + Quoted(group);
    return found;
  }
  return nullptr;
}

double ConfigReader::Rope(std::string_view key, double fallback, NumberRange range) {
  std::string where;
  const json::Value* found = FindRope(key, where);
  return found == nullptr ? Number(key, fallback, range) : Checked(where, *found, fallback, range);
}

std::string ConfigReader::RopeType() {
  for (const char* group : kRopeGroups) {
    const json::Value* rope = FindRopeGroup(group);
    for (const char* key : {"rope_type", "type"}) {
      const json::Value* found = rope == nullptr ? nullptr : rope->Find(key);
      if (found == nullptr || found->is_null()) continue;
      std::string type = CheckedText(Quoted(key) + " of " + Quoted(group), *found);
      if (type != "default") return type;
      break;
    }
  }
  return "default";
}

}  // namespace mach::model
