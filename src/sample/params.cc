#include "sample/params.h"

#include <cmath>
#include <string>

namespace mach::sample {
namespace {

Status Refuse(const char* name, double found, const char* expected) {
  return Error{Code::kInvalidArgument,
               std::string(name) + " is " + std::to_string(found) + ", expected " + expected};
}

}  // namespace

Status ValidateParams(const Params& p, size_t vocab) {
  // Written so that NaN fails too.
  if (!(p.temperature >= 0 && p.temperature <= 100)) {
    return Refuse("temperature", p.temperature, "0 to 100");
  }
  if (p.top_k < 0) return Refuse("top_k", p.top_k, "0 (off) or more");
  if (!(p.top_p > 0 && p.top_p <= 1)) return Refuse("top_p", p.top_p, "more than 0, at most 1");
  if (!(p.min_p >= 0 && p.min_p <= 1)) return Refuse("min_p", p.min_p, "0 to 1");
  if (!(p.repetition_penalty > 0 && std::isfinite(p.repetition_penalty))) {
    return Refuse("repetition_penalty", p.repetition_penalty, "more than 0");
  }
  if (!(std::abs(p.presence_penalty) <= 2)) {
    return Refuse("presence_penalty", p.presence_penalty, "-2 to 2");
  }
  if (!(std::abs(p.frequency_penalty) <= 2)) {
    return Refuse("frequency_penalty", p.frequency_penalty, "-2 to 2");
  }
  for (const auto& [token, bias] : p.logit_bias) {
    if (token < 0 || static_cast<size_t>(token) >= vocab) {
      return Error{Code::kInvalidArgument, "logit_bias names token " + std::to_string(token) +
                                               ", expected ids below " + std::to_string(vocab)};
    }
    if (!(std::abs(bias) <= 100)) return Refuse("logit_bias", bias, "-100 to 100");
  }
  return Ok();
}

}  // namespace mach::sample
