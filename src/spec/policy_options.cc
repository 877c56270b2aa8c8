#include "spec/policy_options.h"

namespace mach::spec {
namespace {

constexpr char kAdaptiveName[] = "opencode-sampled-v1";

}  // namespace

Result<PolicyOptions> ParsePolicy(const std::string& name) {
  PolicyOptions options;
  if (name == kAdaptiveName) return options;
  if (name.starts_with("fixed-")) {
    const std::string digits = name.substr(6);
    if (!digits.empty() && digits.size() <= 2 &&
        digits.find_first_not_of("0123456789") == std::string::npos) {
      options.fixed = static_cast<size_t>(std::stoul(digits));
      if (options.fixed >= 1 && options.fixed <= kMaxBlock) return options;
    }
  }
  return Error{Code::kInvalidArgument, "there is no block policy '" + name + "'; expected '" +
                                           kAdaptiveName + "' or 'fixed-N' with N from 1 to " +
                                           std::to_string(kMaxBlock)};
}

std::string PolicyName(const PolicyOptions& options) {
  return options.fixed == 0 ? kAdaptiveName : "fixed-" + std::to_string(options.fixed);
}

}  // namespace mach::spec
