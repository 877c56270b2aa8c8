#include "engine/local_engine.h"
#include "engine/model_defaults.h"
#include "experts/eviction.h"
#include "residency/loaded_model.h"

namespace mach::engine {

Result<Info> DescribeModel(const residency::LoadedModel& model, const std::string& model_id,
                           std::span<const TokenId> stop_tokens) {
  Info info;
  info.model_id = model_id;
  info.architecture = model.config().architecture;
  info.context_tokens = model.context_tokens();
  info.most_context_tokens = model.most_context_tokens();
  info.vocab_size = model.config().vocab;
  info.parameter_count = model.model().ParameterCount();
  if (const experts::StreamingStore* store = model.streaming()) {
    info.eviction_policy = experts::EvictionName(store->eviction());
  }
  auto defaults =
      ReadModelDefaults(model.checkpoint().config(), model.checkpoint().generation_config(),
                        stop_tokens, info.vocab_size);
  if (!defaults) return std::move(defaults).error().In(model.checkpoint().directory());
  info.stop_tokens = std::move(defaults->stop_tokens);
  info.default_sampling = defaults->sampling;
  return info;
}

}  // namespace mach::engine
