#include "engine/engine.h"

#include <algorithm>

namespace mach::engine {

std::string HowToFitPrompt(const Info& info, size_t prompt_tokens) {
  // One more than the prompt, for an answer.
  if (info.most_context_tokens <= std::max(info.context_tokens, prompt_tokens)) {
    return "shorten it; this model under this ceiling (--wired-gb) can have no context that long";
  }
  return "shorten it, or restart with --ctx-size up to " + std::to_string(info.most_context_tokens);
}

}  // namespace mach::engine
