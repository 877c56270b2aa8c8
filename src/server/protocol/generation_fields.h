// Parameters that every protocol of generations has, and readers for their tables.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "json/value.h"
#include "server/http/http.h"
#include "server/protocol/fields.h"
#include "server/protocol/generation_request.h"

namespace mach::server {

inline constexpr double kMaxTokensParameter = 1 << 30;

// The rows that the tables of all protocols end with.
std::span<const Field> SharedFields();

// A protocol's own rows and the shared ones.
std::vector<Field> WithSharedFields(std::span<const Field> own);

// The name of a session, of which bytes beyond 128 are cut off.
std::string SessionName(std::string_view name);
// The header x-session-id, where there is one, wins over the fields.
void ReadSessionHeader(const HttpRequest& http, std::string& session);

// Readers of one plain member.
template <auto member>
std::optional<ApiError> ReadFlag(const json::Value& value, const Limits&,
                                 GenerationRequest& request) {
  request.*member = value.AsBool();
  return std::nullopt;
}

template <auto member>
std::optional<ApiError> ReadSampling(const json::Value& value, const Limits&,
                                     GenerationRequest& request) {
  auto& target = request.sampling.*member;
  if (!target) target = value.AsDouble();
  return std::nullopt;
}

}  // namespace mach::server
