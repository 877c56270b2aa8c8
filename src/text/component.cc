#include "text/component.h"

#include "base/log.h"
#include "base/utf8.h"

namespace mach::text {

Result<std::string> ComponentType(const json::Value& component, std::string_view role) {
  if (!component.is_object()) {
    return Error{Code::kInvalidArgument, std::string(role) + " is " +
                                             std::string(component.KindName()) +
                                             ", expected an object with a 'type'"};
  }
  auto type = json::GetString(component, "type");
  if (!type.ok()) return std::move(type).error().In(role);
  return type;
}

Error UnsupportedComponent(std::string_view role, std::string_view type,
                           std::string_view supported) {
  return Error{Code::kUnsupported, std::string(role) + " of type " + Quoted(type) +
                                       " is not supported; supported are " +
                                       std::string(supported)};
}

namespace {

Status Flatten(const json::Value& component, std::string_view key, std::string_view role,
               std::vector<const json::Value*>& out) {
  MACH_TRY(const std::string type, ComponentType(component, role));
  if (type != "Sequence") {
    if (out.size() == kMaxStages) {
      return Error{Code::kUnsupported, std::string(role) + " has more than " +
                                           std::to_string(kMaxStages) + " components"};
    }
    out.push_back(&component);
    return Ok();
  }
  const json::Value* list = component.Find(key);
  if (list == nullptr || !list->is_array()) {
    return Error{Code::kInvalidArgument, std::string(role) + " of type 'Sequence': '" +
                                             std::string(key) + "' is " +
                                             (list == nullptr ? "missing" : "no array") +
                                             ", expected an array of components"};
  }
  // Depth is bounded by the JSON parser.
  for (const json::Value& item : list->AsArray()) {
    MACH_RETURN_IF_ERROR(Flatten(item, key, role, out));
  }
  return Ok();
}

}  // namespace

Result<std::vector<const json::Value*>> FlattenSequence(const json::Value& component,
                                                        std::string_view key,
                                                        std::string_view role) {
  std::vector<const json::Value*> out;
  MACH_RETURN_IF_ERROR(Flatten(component, key, role, out));
  return out;
}

Result<std::string> GetContent(const json::Value& object, std::string_view key) {
  MACH_TRY(std::string content, json::GetString(object, key));
  if (content.size() > kMaxContentBytes) {
    return Error{Code::kInvalidArgument,
                 "'" + std::string(key) + "' has " + std::to_string(content.size()) +
                     " bytes, expected at most " + std::to_string(kMaxContentBytes)};
  }
  return content;
}

Result<uint32_t> GetCharacter(const json::Value& object, std::string_view key) {
  MACH_TRY(const std::string content, json::GetString(object, key));
  if (!content.empty()) {
    const utf8::Decoded d = utf8::Decode(content, 0);
    if (d.valid && d.length == content.size()) return d.code_point;
  }
  return Error{Code::kInvalidArgument,
               "'" + std::string(key) + "' is " + Quoted(content) + ", expected one character"};
}

Result<PrependScheme> ReadPrependScheme(const json::Value& component) {
  MACH_TRY(const bool add_prefix, json::GetBool(component, "add_prefix_space", true));
  MACH_TRY(const std::string scheme,
           json::GetString(component, "prepend_scheme", add_prefix ? "always" : "never"));
  if (scheme == "always") return PrependScheme::kAlways;
  if (scheme == "first") return PrependScheme::kFirst;
  if (scheme == "never") return PrependScheme::kNever;
  return Error{Code::kInvalidArgument, "Metaspace: 'prepend_scheme' is " + Quoted(scheme) +
                                           ", expected always, first or never"};
}

Result<int32_t> ToTokenId(const json::Value& value, std::string_view what) {
  if (!value.is_int() || value.AsInt() < 0 || value.AsInt() > kMaxTokenId) {
    const std::string found =
        value.is_int() ? std::to_string(value.AsInt()) : std::string(value.KindName());
    return Error{Code::kInvalidArgument, "id of " + std::string(what) + " is " + found +
                                             ", expected an integer from 0 to " +
                                             std::to_string(kMaxTokenId)};
  }
  return static_cast<int32_t>(value.AsInt());
}

std::string Quoted(std::string_view text) {
  constexpr size_t kShown = 80;
  const bool cut = text.size() > kShown;
  return "'" + EscapeForLog(utf8::Repair(text.substr(0, kShown)), false) + (cut ? "..." : "") + "'";
}

}  // namespace mach::text
