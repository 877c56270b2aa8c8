// Parameters that every protocol of generations has, and readers for their tables.
#pragma once

#include <span>

#include "server/fields.h"
#include "server/generation_request.h"

namespace mach::server {

inline constexpr double kMaxTokensParameter = 1 << 30;

// The rows that the tables of all protocols end with.
std::span<const Field> SharedFields();

// A protocol's own rows and the shared ones.
std::vector<Field> WithSharedFields(std::span<const Field> own);

inline constexpr size_t kMaxSessionBytes = 128;

// The header x-session-id, which wins over the fields. Bytes beyond 128 are cut off.
void SetSession(std::string_view name, GenerationRequest& request);

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
