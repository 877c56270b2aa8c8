#include "server/status/openapi.h"

#include <algorithm>
#include <cmath>

namespace mach::server {
namespace {

json::Object FieldSchema(const FieldSpec& field) {
  json::Object schema;
  switch (field.type) {
    case FieldType::kBoolean:
      schema.Set("type", json::Array{"boolean", "null"});
      break;
    case FieldType::kInteger:
      schema.Set("type", json::Array{"integer", "null"});
      break;
    case FieldType::kNumber:
      schema.Set("type", json::Array{"number", "null"});
      break;
    case FieldType::kString:
      schema.Set("type", json::Array{"string", "null"});
      break;
    case FieldType::kArray:
      schema.Set("type", json::Array{"array", "null"});
      break;
    case FieldType::kObject:
      schema.Set("type", json::Array{"object", "null"});
      break;
    case FieldType::kAny:
      break;
  }
  if (std::isfinite(field.minimum)) schema.Set("minimum", field.minimum);
  if (std::isfinite(field.maximum)) schema.Set("maximum", field.maximum);
  std::string help(field.help);
  if (field.handling == Handling::kRefused) help = "Refused; " + help;
  if (field.handling == Handling::kAccepted) help = "Without effect: " + help;
  schema.Set("description", help);
  if (field.handling == Handling::kRefused) schema.Set("deprecated", true);
  return schema;
}

json::Object BodySchema(const std::vector<FieldSpec>& fields) {
  json::Object properties;
  json::Array required;
  for (const FieldSpec& field : fields) {
    properties.Set(field.name, FieldSchema(field));
    if (field.required) required.push_back(field.name);
  }
  json::Object schema{{"type", "object"}, {"properties", std::move(properties)}};
  if (!required.empty()) schema.Set("required", std::move(required));
  return schema;
}

// "POST /v1/chat/completions" is post_v1_chat_completions.
std::string OperationId(const Route& route) {
  std::string id;
  for (const char c : route.method) id += static_cast<char>(c - 'A' + 'a');
  for (const char c : route.pattern) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (plain) {
      id += c;
    } else if (c != '{' && c != '}') {
      id += '_';
    }
  }
  return id;
}

json::Object Operation(const Route& route) {
  json::Object content;
  for (const std::string& type : route.answers) content.Set(type, json::Object());
  json::Object ok{{"description", route.summary}, {"content", std::move(content)}};
  json::Object error{
      {"description", "An error in OpenAI's envelope"},
      {"content", json::Object{{"application/json",
                                json::Object{{"schema", json::Object{{"$ref",
                                                                      "#/components/schemas/"
                                                                      "Error"}}}}}}}};
  json::Object operation{{"operationId", OperationId(route)}, {"summary", route.summary}};
  if (route.pattern.ends_with("{id}")) {
    operation.Set("parameters",
                  json::Array{json::Object{{"name", "id"},
                                           {"in", "path"},
                                           {"required", true},
                                           {"schema", json::Object{{"type", "string"}}}}});
  }
  if (!route.body.empty()) {
    operation.Set("requestBody",
                  json::Object{{"required", true},
                               {"content",
                                json::Object{{"application/json",
                                              json::Object{{"schema", BodySchema(route.body)}}}}}});
  }
  operation.Set("responses", json::Object{{std::to_string(route.status), std::move(ok)},
                                          {"default", std::move(error)}});
  if (route.access == Access::kPublic) operation.Set("security", json::Array());
  return operation;
}

json::Object ErrorSchema() {
  const json::Array text_or_null{"string", "null"};
  json::Object inner{{"type", "object"},
                     {"required", json::Array{"message", "type", "param", "code"}},
                     {"properties", json::Object{{"message", json::Object{{"type", "string"}}},
                                                 {"type", json::Object{{"type", "string"}}},
                                                 {"param", json::Object{{"type", text_or_null}}},
                                                 {"code", json::Object{{"type", text_or_null}}}}}};
  return {{"type", "object"},
          {"required", json::Array{"error"}},
          {"properties", json::Object{{"error", std::move(inner)}}}};
}

}  // namespace

json::Object OpenApi(const Router& router, const std::string& version) {
  json::Object paths;
  for (const Route& route : router.routes()) {
    if (paths.Find(route.pattern) == nullptr) paths.Set(route.pattern, json::Object());
    std::string method = route.method;
    std::transform(method.begin(), method.end(), method.begin(),
                   [](char c) { return static_cast<char>(c - 'A' + 'a'); });
    paths.Find(route.pattern)->AsObject().Set(method, Operation(route));
  }
  json::Object keys{
      {"bearer", json::Object{{"type", "http"}, {"scheme", "bearer"}}},
      {"x-api-key", json::Object{{"type", "apiKey"}, {"in", "header"}, {"name", "x-api-key"}}}};
  return {{"openapi", "3.1.0"},
          {"info", json::Object{{"title", "Mach"},
                                {"version", version},
                                {"description",
                                 "Every /v1/x is served as /x too. Keys are asked for only "
                                 "where the server was started with some."}}},
          {"paths", std::move(paths)},
          {"components", json::Object{{"schemas", json::Object{{"Error", ErrorSchema()}}},
                                      {"securitySchemes", std::move(keys)}}},
          {"security", json::Array{json::Object{{"bearer", json::Array()}},
                                   json::Object{{"x-api-key", json::Array()}}}}};
}

}  // namespace mach::server
