#include "engine/chat_templates.h"

#include <map>
#include <utility>

#include "io/lfs_pointer.h"
#include "io/path.h"
#include "json/parse.h"

namespace mach::engine {
namespace {

constexpr size_t kMaxTemplateBytes = size_t{4} << 20;
constexpr std::string_view kDefault = "default";
constexpr std::string_view kToolUse = "tool_use";
constexpr std::string_view kJinja = ".jinja";

using NamedTemplates = std::map<std::string, std::string, std::less<>>;  // name to source

Error WrongTemplate(const std::string& file, std::string what) {
  return Error{Code::kCorrupt,
               file + ": 'chat_template' " + std::move(what) +
                   ", expected a string, a list of {\"name\", \"template\"} or an object of "
                   "templates by name; put the template into chat_template.jinja"};
}

// "chat_template" in its three forms.
Status AddNamed(const json::Value& value, const std::string& file, NamedTemplates& found) {
  if (value.is_string()) {
    found[std::string(kDefault)] = value.AsString();
    return Ok();
  }
  if (value.is_object()) {
    for (const json::Member& member : value.AsObject()) {
      if (!member.value.is_string()) {
        return WrongTemplate(
            file, "has '" + member.key + "' of the kind " + std::string(member.value.KindName()));
      }
      found[member.key] = member.value.AsString();
    }
    return Ok();
  }
  if (!value.is_array()) {
    return WrongTemplate(file, "is of the kind " + std::string(value.KindName()));
  }
  for (size_t i = 0; i < value.AsArray().size(); ++i) {
    const json::Value& entry = value.AsArray()[i];
    const json::Value* name = entry.Find("name");
    const json::Value* source = entry.Find("template");
    if (name == nullptr || !name->is_string() || source == nullptr || !source->is_string()) {
      return WrongTemplate(file,
                           "has no name or no template as text in its entry " + std::to_string(i));
    }
    found[name->AsString()] = source->AsString();
  }
  return Ok();
}

Status AddFromJsonFile(io::FileSystem& fs, const std::string& path, NamedTemplates& found) {
  MACH_TRY(const std::string text, io::ReadFetchedFile(fs, path, 2 * kMaxTemplateBytes));
  auto parsed = json::ParseLarge(text);
  if (!parsed) return std::move(parsed).error().In(path);
  const json::Value* value = parsed->Find("chat_template");
  if (value == nullptr || value->is_null()) return WrongTemplate(path, "is missing");
  return AddNamed(*value, path, found);
}

Status AddFromDirectory(io::FileSystem& fs, const std::string& directory, NamedTemplates& found) {
  if (!fs.Exists(directory)) return Ok();
  MACH_TRY(const std::vector<std::string> names, fs.List(directory));
  for (const std::string& name : names) {
    if (!name.ends_with(kJinja) || name.size() == kJinja.size()) continue;
    MACH_TRY(found[name.substr(0, name.size() - kJinja.size())],
             io::ReadFetchedFile(fs, io::JoinPath(directory, name), kMaxTemplateBytes));
  }
  return Ok();
}

}  // namespace

Result<ChatTemplates> ReadChatTemplates(io::FileSystem& fs, const std::string& directory,
                                        const json::Value& tokenizer_config) {
  NamedTemplates found;
  const std::string jinja = io::JoinPath(directory, "chat_template.jinja");
  const std::string json_file = io::JoinPath(directory, "chat_template.json");
  const std::string config = io::JoinPath(directory, "tokenizer_config.json");
  const json::Value* in_config = tokenizer_config.Find("chat_template");
  if (fs.Exists(jinja)) {
    MACH_TRY(found[std::string(kDefault)], io::ReadFetchedFile(fs, jinja, kMaxTemplateBytes));
  } else if (fs.Exists(json_file)) {
    MACH_RETURN_IF_ERROR(AddFromJsonFile(fs, json_file, found));
  } else if (in_config != nullptr && !in_config->is_null()) {
    MACH_RETURN_IF_ERROR(AddNamed(*in_config, config, found));
  }
  MACH_RETURN_IF_ERROR(
      AddFromDirectory(fs, io::JoinPath(directory, "additional_chat_templates"), found));
  if (found.empty()) {
    return Error{Code::kNotFound,
                 directory +
                     ": there is no chat_template.jinja, no chat_template.json and no "
                     "'chat_template' in tokenizer_config.json; a chat server needs one of them: "
                     "take it from the model's page"};
  }
  const auto plain = found.find(kDefault);
  const auto tool_use = found.find(kToolUse);
  if (plain != found.end()) {
    return ChatTemplates{plain->second, tool_use == found.end() ? "" : tool_use->second, false};
  }
  if (tool_use != found.end()) return ChatTemplates{tool_use->second, "", true};
  std::string names;
  for (const auto& [name, source] : found) names += (names.empty() ? "'" : ", '") + name + "'";
  return Error{Code::kNotFound, directory + ": the chat templates are named " + names +
                                    ", expected one named 'default' or 'tool_use'; put the one to "
                                    "use into chat_template.jinja"};
}

}  // namespace mach::engine
