// What a Jinja template may write as it stands.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mach::text {

// The text outside of {{ }}, {% %} and {# #}, and the string literals inside of the first two, with
// their escapes resolved. Takes any text: what is no template is one literal.
std::vector<std::string> TemplateLiterals(std::string_view source);

}  // namespace mach::text
