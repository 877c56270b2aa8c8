#include "jinja/template.h"

#include <utility>

#include "base/utf8.h"
#include "jinja/ast.h"
#include "jinja/interpreter.h"
#include "jinja/parser.h"

namespace mach::jinja {

struct Template::Impl {
  std::string source;
  jinja::Tree tree;
};

Result<Template> Template::Parse(std::string_view source) {
  constexpr size_t kMaxSourceBytes = 4u << 20;
  if (source.size() > kMaxSourceBytes) {
    return Error{Code::kCorrupt, "the chat template has " + std::to_string(source.size()) +
                                     " bytes, more than " + std::to_string(kMaxSourceBytes)};
  }
  if (!utf8::IsValid(source)) return Error{Code::kCorrupt, "the chat template is not UTF-8"};
  auto impl = std::make_shared<Impl>();
  impl->source = std::string(source);
  MACH_TRY(impl->tree, jinja::Parse(source));
  return Template(std::move(impl));
}

Result<Rendered> Template::Render(const json::Object& variables,
                                  const RenderOptions& options) const {
  return jinja::Interpreter(impl_->tree, options).Run(variables);
}

const std::string& Template::source() const { return impl_->source; }

}  // namespace mach::jinja
