// Endpoints about the model that is served.
#include <utility>

#include "chat/output_parser.h"
#include "engine/engine.h"
#include "engine/stats.h"
#include "json/value.h"
#include "sample/params.h"
#include "server/endpoints/service.h"
#include "server/protocol/generation.h"
#include "server/status/decode_words.h"

namespace mach::server {

json::Object Service::DescribeModel(const Model& model) const {
  const engine::Info& info = model.engine->info();
  json::Array capabilities{"completion"};
  if (!model.codec->format().call_open.empty()) capabilities.push_back("tools");
  if (!model.codec->format().reasoning_open.empty()) capabilities.push_back("reasoning");
  json::Array aliases;
  for (const std::string& alias : options_.aliases) aliases.push_back(alias);
  return {{"id", info.model_id},
          {"object", "model"},
          {"created", model.created},
          {"owned_by", "mach"},
          {"context_length", info.context_tokens},
          {"max_model_len", info.context_tokens},
          {"aliases", std::move(aliases)},
          {"capabilities", std::move(capabilities)},
          {"meta", json::Object{{"architecture", info.architecture},
                                {"n_ctx", info.context_tokens},
                                {"n_params", info.parameter_count},
                                {"n_vocab", info.vocab_size}}}};
}

// The id, an alias, or the last part of the id's path.
bool Service::IsModelName(const Model& model, const std::string& name) const {
  const std::string& id = model.engine->info().model_id;
  if (name == id) return true;
  if (!name.empty() && id.size() > name.size() && id.ends_with("/" + name)) return true;
  for (const std::string& alias : options_.aliases) {
    if (name == alias) return true;
  }
  return false;
}

HandlerResult Service::Models(const HttpRequest&, const std::string&) const {
  // Clients take the list for readiness: as long as there is no model it is no answer.
  const auto served = model();
  if (served == nullptr) return UnavailableResponse(UnavailableError(state()));
  return JsonResponse(
      json::Object{{"object", "list"}, {"data", json::Array{DescribeModel(*served)}}});
}

HandlerResult Service::OneModel(const HttpRequest&, const std::string& tail) const {
  const auto served = model();
  if (served == nullptr) return UnavailableResponse(UnavailableError(state()));
  if (IsModelName(*served, tail)) return JsonResponse(DescribeModel(*served));
  return ToResponse(ModelNotFound(tail, served->engine->info().model_id));
}

// Named as llama-server names them.
HandlerResult Service::Props(const HttpRequest&, const std::string&) const {
  const auto served = model();
  if (served == nullptr) return ToResponse(UnavailableError(state()));
  const engine::Info& info = served->engine->info();
  const sample::Params& p = info.default_sampling;
  const chat::OutputFormat& format = served->codec->format();
  const bool tools = !format.call_open.empty();
  json::Object props{
      {"default_generation_settings",
       json::Object{
           {"n_ctx", info.context_tokens},
           {"params", json::Object{{"temperature", static_cast<double>(p.temperature)},
                                   {"top_k", int64_t{p.top_k}},
                                   {"top_p", static_cast<double>(p.top_p)},
                                   {"min_p", static_cast<double>(p.min_p)},
                                   {"repeat_penalty", static_cast<double>(p.repetition_penalty)},
                                   {"n_predict", -1}}}}},
      {"total_slots", 1},
      {"model_alias", info.model_id},
      {"chat_template", served->codec->template_source()},
      {"chat_template_caps", json::Object{{"supports_tools", tools},
                                          {"supports_tool_calls", tools},
                                          {"supports_reasoning", !format.reasoning_open.empty()},
                                          {"tool_calls", !tools                 ? "none"
                                                         : format.function_tags ? "xml"
                                                                                : "json"}}},
      {"modalities", json::Object{{"vision", false}, {"audio", false}}},
      {"build_info", served->fingerprint},
      {"is_sleeping", false}};
  if (const std::string_view source = served->codec->tool_template_source(); !source.empty()) {
    props.Set("chat_template_tool_use", source);
  }
  if (!options_.model_path.empty()) props.Set("model_path", options_.model_path);
  props.Set("mach", json::Object{{"version", options_.version},
                                 {"architecture", info.architecture},
                                 {"decode_path", DecodePath(info)},
                                 {"max_queue", info.max_queue},
                                 {"n_params", info.parameter_count}});
  return JsonResponse(props);
}

}  // namespace mach::server
