#include "text/post_processor.h"

#include <algorithm>
#include <string>
#include <utility>

#include "text/component.h"

namespace mach::text {
namespace {

Error Malformed(std::string_view what) { return Error{Code::kInvalidArgument, std::string(what)}; }

// ["<s>", 0]
Result<TokenId> FramingToken(const json::Value& component, std::string_view key) {
  const json::Value* v = component.Find(key);
  if (v == nullptr || !v->is_array() || v->AsArray().size() != 2) {
    return Malformed("'" + std::string(key) + "' is not a pair of token and id");
  }
  return ToTokenId(v->AsArray()[1], "'" + std::string(key) + "'");
}

Result<std::vector<TokenId>> SpecialIds(const json::Value& component, const std::string& name) {
  const json::Value* specials = component.Find("special_tokens");
  const json::Value* entry = specials == nullptr ? nullptr : specials->Find(name);
  const json::Value* ids = entry == nullptr ? nullptr : entry->Find("ids");
  if (ids == nullptr || !ids->is_array() || ids->AsArray().size() > kMaxStages) {
    return Malformed("special token " + Quoted(name) +
                     " has no array 'ids' in 'special_tokens', or one of more than " +
                     std::to_string(kMaxStages));
  }
  std::vector<TokenId> out;
  for (const json::Value& id : ids->AsArray()) {
    MACH_TRY(out.emplace_back(), ToTokenId(id, Quoted(name)));
  }
  return out;
}

// The name in {"Sequence": {"id": ...}} or {"SpecialToken": {"id": ...}}.
Result<std::string> TemplatePartName(const json::Value& part) {
  const json::Value* inner = part.Find("Sequence");
  if (inner == nullptr) inner = part.Find("SpecialToken");
  if (inner != nullptr) return json::GetString(*inner, "id");
  return Malformed("a part of a template is neither 'Sequence' nor 'SpecialToken'");
}

}  // namespace

Result<PostProcessor> PostProcessor::FromJson(const json::Value& component) {
  PostProcessor out;
  if (component.is_null()) return out;
  MACH_TRY(const auto components, FlattenSequence(component, "processors", "post_processor"));
  for (const json::Value* c : components) {
    if (auto added = out.Add(*c); !added.ok()) {
      return std::move(added).error().In("post_processor");
    }
  }
  return out;
}

Status PostProcessor::Add(const json::Value& component) {
  MACH_TRY(const std::string type, ComponentType(component, "post_processor"));
  if (type == "ByteLevel") return Ok();
  const bool framing = type == "BertProcessing" || type == "RobertaProcessing";
  if (!framing && type != "TemplateProcessing") {
    return UnsupportedComponent("post_processor", type,
                                "ByteLevel, TemplateProcessing, BertProcessing, RobertaProcessing "
                                "and Sequence");
  }
  if (!parts_.empty()) {
    return Error{Code::kUnsupported, "more than one component adds tokens, expected at most one"};
  }
  if (!framing) return AddTemplate(component);
  MACH_TRY(const TokenId first, FramingToken(component, "cls"));
  MACH_TRY(const TokenId last, FramingToken(component, "sep"));
  parts_ = {{false, {first}}, {true, {}}, {false, {last}}};
  return Ok();
}

Status PostProcessor::AddTemplate(const json::Value& component) {
  for (const std::string_view key : {"single", "pair"}) {
    const json::Value* list = component.Find(key);
    if (list == nullptr || !list->is_array() || list->AsArray().size() > kMaxStages) {
      return Malformed("'" + std::string(key) + "' is no array of at most " +
                       std::to_string(kMaxStages) + " parts");
    }
    for (const json::Value& item : list->AsArray()) {
      const bool is_text = item.Find("Sequence") != nullptr;
      auto named = TemplatePartName(item);
      if (!named.ok()) return std::move(named).error();
      const std::string& name = *named;
      Part read{is_text, {}};
      if (!is_text) {
        MACH_TRY(read.ids, SpecialIds(component, name));
      } else if (name != "A" && (key == "single" || name != "B")) {
        return Malformed("'" + std::string(key) + "' has a sequence " + Quoted(name));
      }
      if (key == "single") parts_.push_back(std::move(read));
    }
  }
  if (std::ranges::count_if(parts_, &Part::is_text) != 1) {
    return Malformed("'single' has not exactly one sequence A");
  }
  return Ok();
}

std::vector<TokenId> PostProcessor::Apply(std::vector<TokenId> ids, bool add_special_tokens) const {
  if (parts_.empty() || !add_special_tokens) return ids;
  std::vector<TokenId> out;
  for (const Part& part : parts_) {
    const std::vector<TokenId>& from = part.is_text ? ids : part.ids;
    out.insert(out.end(), from.begin(), from.end());
  }
  return out;
}

}  // namespace mach::text
