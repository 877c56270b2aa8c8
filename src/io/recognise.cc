#include "io/recognise.h"

#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include "base/nearest.h"
#include "base/shell_words.h"
#include "io/path.h"
#include "json/parse.h"

namespace mach::io {
namespace {

constexpr size_t kMostConfigBytes = size_t{16} << 20;
constexpr size_t kMostListed = 3;
constexpr std::string_view kExpected =
    "the directory of a model, with config.json, tokenizer.json and *.safetensors files";

enum class Kind : unsigned char { kUnknown, kMissing, kFile, kDirectory };

// What there is to see of a path.
struct Sight {
  FileSystem& fs;
  std::string path;  // without '/' at its end
  Kind kind = Kind::kUnknown;
  std::vector<std::string> names;  // of a directory
  std::string first;               // of a file: its first bytes

  std::string In(std::string_view name) const { return JoinPath(path, name); }
  std::string Quoted() const { return "'" + path + "'"; }
  bool Has(std::string_view name) const { return std::ranges::find(names, name) != names.end(); }
  // The first name that ends so; empty when there is none.
  std::string WithSuffix(std::span<const std::string_view> suffixes) const {
    for (const std::string& name : names) {
      for (const std::string_view suffix : suffixes) {
        if (name.ends_with(suffix)) return name;
      }
    }
    return "";
  }
  bool HasSafetensors() const {
    return !WithSuffix(std::array<std::string_view, 1>{".safetensors"}).empty();
  }
  bool HasConfig() const { return Has("config.json"); }
};

bool IsDirectory(FileSystem& fs, const std::string& path) { return fs.List(path).ok(); }

Sight Look(FileSystem& fs, const std::string& path) {
  Sight sight{.fs = fs, .path = WithoutSlash(path)};
  if (auto names = fs.List(sight.path)) {
    sight.kind = Kind::kDirectory;
    sight.names = *std::move(names);
    return sight;
  }
  if (!fs.Exists(sight.path)) {
    sight.kind = Kind::kMissing;
    return sight;
  }
  const auto file = fs.Open(sight.path);
  if (!file) return sight;
  sight.kind = Kind::kFile;
  sight.first.resize(std::min<uint64_t>((*file)->size(), 4));
  if (!ReadExactly(**file, 0, std::as_writable_bytes(std::span(sight.first)))) sight.first.clear();
  return sight;
}

// The text of one of the lists below, quoted and cut short.
std::string Listed(const std::vector<std::string>& paths) {
  std::string out;
  for (size_t i = 0; i < std::min(paths.size(), kMostListed); ++i) {
    out += (i == 0 ? "'" : ", '") + paths[i] + "'";
  }
  return paths.size() > kMostListed ? out + ", ..." : out;
}

// What is missing.

bool IsHubName(std::string_view text) {
  constexpr std::string_view kLetters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
  return !text.empty() && text.size() <= 96 && text.front() != '.' && text.front() != '-' &&
         text.find_first_not_of(kLetters) == std::string_view::npos;
}

// "ORG/NAME" of an id, with or without a tag ("ORG/NAME:Q4_K_M"), or of an address; else empty.
std::string HubId(std::string_view text) {
  bool address = false;
  for (const std::string_view prefix : {"https://", "http://", "huggingface.co/", "hf.co/"}) {
    if (!text.starts_with(prefix)) continue;
    text.remove_prefix(prefix.size());
    address = true;
  }
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return "";
  const std::string_view organisation = text.substr(0, slash);
  std::string_view name = text.substr(slash + 1);
  if (address) name = name.substr(0, name.find_first_of("/?#"));
  name = name.substr(0, name.find(':'));
  if (!IsHubName(organisation) || !IsHubName(name)) return "";
  return std::string(organisation) + "/" + std::string(name);
}

// The path with its first name that does not exist replaced by the nearest one that does; empty
// when none is near.
std::string NearMiss(FileSystem& fs, const std::string& path) {
  std::string there = path.starts_with('/') ? "/" : ".";
  std::string kept = path.starts_with('/') ? "/" : "";  // as `there`, as it was spelled
  bool replaced = false;
  for (size_t at = 0; at < path.size();) {
    const size_t end = std::min(path.find('/', at), path.size());
    std::string name = path.substr(at, end - at);
    at = end + 1;
    if (name.empty()) continue;
    const auto child = [&](std::string_view of) {
      return there == "." ? std::string(of) : JoinPath(there, of);
    };
    if (!IsDirectory(fs, child(name))) {
      const auto siblings = fs.List(there);
      if (replaced || !siblings) return "";
      std::vector<std::string_view> names;
      for (const std::string& sibling : *siblings) {
        if (IsDirectory(fs, child(sibling))) names.push_back(sibling);
      }
      name = Nearest(name, names);
      if (name.empty()) return "";
      replaced = true;
    }
    there = child(name);
    kept = kept.empty() ? name : JoinPath(kept, name);
  }
  return replaced ? kept : "";
}

std::optional<Error> HubIdError(const Sight& s) {
  const std::string id = HubId(s.path);
  if (id.empty()) return std::nullopt;
  const std::string organisation = id.substr(0, id.find('/'));
  const std::string name = id.substr(id.find('/') + 1);
  if (s.path.starts_with(organisation) && IsDirectory(s.fs, organisation)) return std::nullopt;
  const std::string target = "models/" + name;
  for (const std::string& local : {target, name}) {
    if (!s.fs.Exists(JoinPath(local, "config.json"))) continue;
    return Error{Code::kNotFound, "there is no directory " + s.Quoted() +
                                      ", which looks like the id of a Hugging Face repository; "
                                      "its model seems to be in '" +
                                      local + "': give that"};
  }
  const std::string download =
      ShellCommand(std::vector<std::string>{"hf", "download", id, "--local-dir", target});
  return Error{Code::kNotFound,
               "there is no directory " + s.Quoted() +
                   ", which looks like the id of a Hugging Face repository; mach wants a directory "
                   "on this machine: download it with '" +
                   download + "' (or 'git lfs install && git clone https://huggingface.co/" + id +
                   " " + target + "'), then give '" + target + "'"};
}

std::optional<Error> OllamaName(const Sight& s) {
  const size_t colon = s.path.find(':');
  if (colon == std::string::npos || s.path.find('/') != std::string::npos ||
      !IsHubName(s.path.substr(0, colon)) || !IsHubName(s.path.substr(colon + 1))) {
    return std::nullopt;
  }
  return Error{Code::kNotFound,
               "there is no directory " + s.Quoted() +
                   ", which looks like a model's name of Ollama; mach keeps no models by name and "
                   "does not read GGUF: download a checkpoint with 'hf download ORG/NAME "
                   "--local-dir models/NAME', then give 'models/NAME'"};
}

std::optional<Error> Tilde(const Sight& s) {
  if (!s.path.starts_with("~/")) return std::nullopt;
  return Error{Code::kNotFound, "there is no directory " + s.Quoted() +
                                    ": the shell left '~' as it is; write \"$HOME" +
                                    s.path.substr(1) + "\""};
}

std::optional<Error> Misspelled(const Sight& s) {
  const std::string near = NearMiss(s.fs, s.path);
  if (near.empty()) return std::nullopt;
  return Error{Code::kNotFound,
               "there is no directory " + s.Quoted() + "; did you mean '" + near + "'?"};
}

std::optional<Error> Missing(const Sight& s) {
  return Error{Code::kNotFound,
               "there is no directory " + s.Quoted() + "; expected " + std::string(kExpected) +
                   ", as 'hf download ORG/NAME --local-dir DIR' makes one ('mach models --dir DIR' "
                   "lists those in DIR)"};
}

// What is a file.

Error GgufError(const std::string& what) {
  return {Code::kUnsupported, what + ", which mach does not read yet; it reads " +
                                  std::string(kReadFormats) +
                                  ": download the model as such ('hf download ORG/NAME "
                                  "--local-dir DIR')"};
}

std::optional<Error> GgufFile(const Sight& s) {
  if (s.first != "GGUF" && !s.path.ends_with(".gguf")) return std::nullopt;
  return GgufError(s.Quoted() + " is a GGUF file");
}

std::optional<Error> OneFile(const Sight& s) {
  const std::string name(FileName(s.path));
  if (!name.ends_with(".safetensors") && !name.ends_with(".json") && !name.ends_with(".jinja")) {
    return std::nullopt;
  }
  const std::string directory = DirectoryName(s.path);
  std::string message =
      s.Quoted() + " is one file of a checkpoint; give its directory, '" + directory + "'";
  if (!s.fs.Exists(JoinPath(directory, "config.json"))) {
    message +=
        ", which must hold config.json, tokenizer.json and every *.safetensors file (it has no "
        "config.json: download the rest of the repository)";
  }
  return Error{Code::kInvalidArgument, message};
}

constexpr std::array<std::string_view, 3> kPyTorch = {".bin", ".pt", ".pth"};

Error PyTorchError(const std::string& what) {
  return {Code::kUnsupported,
          what + ", which mach does not read; it reads " + std::string(kReadFormats) +
              ": download a repository that has them, or convert it with transformers "
              "(model.save_pretrained(DIR, safe_serialization=True))"};
}

std::optional<Error> PyTorchFile(const Sight& s) {
  for (const std::string_view suffix : kPyTorch) {
    if (s.path.ends_with(suffix)) return PyTorchError(s.Quoted() + " is a file of PyTorch");
  }
  return std::nullopt;
}

std::optional<Error> OtherFile(const Sight& s) {
  return Error{Code::kInvalidArgument,
               s.Quoted() + " is a file; expected " + std::string(kExpected)};
}

// What is a directory.

std::optional<Error> Empty(const Sight& s) {
  if (!s.names.empty()) return std::nullopt;
  return Error{Code::kNotFound,
               s.Quoted() + " is an empty directory; expected " + std::string(kExpected) +
                   " ('hf download ORG/NAME --local-dir " + ShellQuoted(s.path) + "' fills it)"};
}

std::optional<Error> HubCache(const Sight& s) {
  if (s.HasConfig() || !s.Has("snapshots")) return std::nullopt;
  const std::string id = HubCacheId(s.path);
  const std::string snapshot = HubCacheSnapshot(s.fs, s.path);
  const std::string what = s.Quoted() + " is a folder of Hugging Face's cache";
  if (snapshot.empty() || !s.fs.Exists(JoinPath(snapshot, "config.json"))) {
    return Error{Code::kNotFound, what + " without a whole snapshot; 'hf download " +
                                      (id.empty() ? "ORG/NAME" : id) + "' goes on with it"};
  }
  return Error{Code::kInvalidArgument,
               what + "; the checkpoint is its snapshot: give '" + snapshot + "'"};
}

std::optional<Error> HubCacheRoot(const Sight& s) {
  if (s.HasConfig()) return std::nullopt;
  std::vector<std::string> snapshots;
  for (const std::string& name : s.names) {
    if (HubCacheId(name).empty()) continue;
    const std::string snapshot = HubCacheSnapshot(s.fs, s.In(name));
    if (!snapshot.empty()) snapshots.push_back(snapshot);
  }
  if (snapshots.empty()) return std::nullopt;
  return Error{
      Code::kInvalidArgument,
      s.Quoted() + " is Hugging Face's cache; give a snapshot in it: " + Listed(snapshots)};
}

std::optional<Error> SidecarFolder(const Sight& s) {
  if (s.HasConfig() || !s.Has("manifest.json") || !s.Has("index.bin")) return std::nullopt;
  const std::string parent = DirectoryName(s.path);
  const bool within = s.fs.Exists(JoinPath(parent, "config.json"));
  return Error{Code::kInvalidArgument,
               s.Quoted() +
                   " is an expert sidecar, which belongs to a model; give the model's "
                   "directory" +
                   (within ? ", '" + parent + "'"
                           : " and '--sidecar-dir " + ShellQuoted(s.path) + "' beside it")};
}

std::optional<Error> Diffusers(const Sight& s) {
  if (!s.Has("model_index.json")) return std::nullopt;
  return Error{Code::kUnsupported, s.Quoted() +
                                       " is a pipeline of diffusers (model_index.json), "
                                       "no language model; expected " +
                                       std::string(kExpected)};
}

std::optional<Error> Adapter(const Sight& s) {
  if (s.HasConfig() || !s.Has("adapter_config.json")) return std::nullopt;
  return Error{Code::kUnsupported,
               s.Quoted() +
                   " is an adapter (LoRA), which mach does not apply; merge it into its "
                   "model, and give the directory of the result"};
}

std::optional<Error> OneLevelUp(const Sight& s) {
  if (s.HasConfig()) return std::nullopt;
  std::vector<std::string> models;
  std::vector<std::string> drafters;
  for (const std::string& name : s.names) {
    const std::string config = JoinPath(s.In(name), "config.json");
    if (!s.fs.Exists(config)) continue;
    const auto text = ReadSmallFile(s.fs, config, kMostConfigBytes);
    const auto parsed = text ? json::Parse(*text, {.python_numbers = true}) : json::Value();
    (parsed.ok() && IsDrafterConfig(*parsed) ? drafters : models).push_back(s.In(name));
  }
  if (models.empty()) models = drafters;
  if (models.empty()) return std::nullopt;
  return Error{Code::kInvalidArgument,
               s.Quoted() + " has no config.json, but " +
                   (models.size() == 1
                        ? Listed(models) + " has one: give that"
                        : std::to_string(models.size()) +
                              " directories in it have: " + Listed(models) + "; give one of them")};
}

std::optional<Error> GgufFolder(const Sight& s) {
  const std::string name = s.WithSuffix(std::array<std::string_view, 1>{".gguf"});
  if (name.empty() || s.HasSafetensors()) return std::nullopt;
  return GgufError(s.Quoted() + " holds GGUF ('" + name + "')");
}

std::optional<Error> PyTorchFolder(const Sight& s) {
  const std::string name = s.WithSuffix(kPyTorch);
  if (name.empty() || s.HasSafetensors()) return std::nullopt;
  return PyTorchError(s.Quoted() + " holds a PyTorch checkpoint ('" + name + "')");
}

std::optional<Error> NoConfig(const Sight& s) {
  if (s.HasConfig()) return std::nullopt;
  if (s.HasSafetensors()) {
    return Error{Code::kNotFound, s.Quoted() +
                                      " has *.safetensors files but no config.json; "
                                      "download the rest of the repository, too"};
  }
  return Error{Code::kNotFound,
               s.Quoted() + " has no config.json; expected " + std::string(kExpected)};
}

// The first rule that has something to say wins.
struct Rule {
  std::string_view name;
  Kind kind;
  std::optional<Error> (*look)(const Sight&);
};
constexpr Rule kRules[] = {
    {"tilde", Kind::kMissing, Tilde},
    {"misspelled", Kind::kMissing, Misspelled},
    {"hub id", Kind::kMissing, HubIdError},
    {"ollama name", Kind::kMissing, OllamaName},
    {"missing", Kind::kMissing, Missing},
    {"gguf", Kind::kFile, GgufFile},
    {"one file", Kind::kFile, OneFile},
    {"pytorch", Kind::kFile, PyTorchFile},
    {"file", Kind::kFile, OtherFile},
    {"empty", Kind::kDirectory, Empty},
    {"hub cache", Kind::kDirectory, HubCache},
    {"hub cache root", Kind::kDirectory, HubCacheRoot},
    {"sidecar", Kind::kDirectory, SidecarFolder},
    {"diffusers", Kind::kDirectory, Diffusers},
    {"adapter", Kind::kDirectory, Adapter},
    {"gguf", Kind::kDirectory, GgufFolder},
    {"pytorch", Kind::kDirectory, PyTorchFolder},
    {"one level up", Kind::kDirectory, OneLevelUp},
    {"no config", Kind::kDirectory, NoConfig},
};

}  // namespace

std::optional<Recognised> RecogniseOther(FileSystem& fs, const std::string& path) {
  if (path.empty()) return std::nullopt;
  const Sight sight = Look(fs, path);
  for (const Rule& rule : kRules) {
    if (rule.kind != sight.kind) continue;
    if (auto error = rule.look(sight)) return Recognised{rule.name, *std::move(error)};
  }
  return std::nullopt;
}

std::string HubCacheId(std::string_view path) {
  std::string_view name = FileName(path);
  constexpr std::string_view kPrefix = "models--";
  if (!name.starts_with(kPrefix)) return "";
  name.remove_prefix(kPrefix.size());
  const size_t at = name.find("--");
  if (at == std::string_view::npos || at == 0 || at + 2 == name.size()) return "";
  return std::string(name.substr(0, at)) + "/" + std::string(name.substr(at + 2));
}

std::string HubCacheSnapshot(FileSystem& fs, const std::string& path) {
  constexpr size_t kMostRefBytes = 256;
  const std::string all = JoinPath(path, "snapshots");
  const auto names = fs.List(all);
  if (!names || names->empty()) return "";
  if (auto main = ReadSmallFile(fs, JoinPath(path, "refs/main"), kMostRefBytes)) {
    while (main->ends_with('\n')) main->pop_back();
    if (std::ranges::find(*names, *main) != names->end()) return JoinPath(all, *main);
  }
  return JoinPath(all, names->back());
}

}  // namespace mach::io
