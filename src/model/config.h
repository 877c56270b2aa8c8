// What a model is, as plain data: each architecture's parser fills it from config.json.
#pragma once

#include <cstddef>
#include <string>
#include <variant>
#include <vector>

#include "json/value.h"
#include "ops/attention.h"
#include "ops/delta_net.h"
#include "ops/ffn.h"

namespace mach::model {

struct DenseShape {
  size_t width = 0;
};

struct LayerConfig {
  std::variant<ops::AttentionShape, ops::DeltaNetShape> mixer;
  std::variant<ops::MoeShape, DenseShape> ffn;
};

struct ModelConfig {
  std::string architecture;  // the registry's name
  size_t vocab = 0;
  size_t hidden = 0;
  float norm_eps = 0;
  double rope_theta = 0;
  size_t rotary = 0;            // dimensions of a head that rotate; one table for all layers
  bool centered_norms = false;  // the published layout stores w - 1
  bool tied_head = false;
  size_t max_positions = 0;
  std::vector<LayerConfig> layers;
};

// What a number of a config may be; both ends count.
struct NumberRange {
  double least;
  double most;
};
inline constexpr NumberRange kNormEpsRange = {1e-12, 0.1};
inline constexpr NumberRange kRopeThetaRange = {1.001, 1e12};

// Reads of one config.json with its nesting undone; the first error is kept, so that a parser reads
// as a list. A member of another type than is read, or outside its range, is an error, never its
// fallback; null is as good as absent. All sizes are checked to be at least 1 and at most
// kMostSize.
class ConfigReader {
 public:
  // Members of "text_config" win over the top level's.
  explicit ConfigReader(const json::Value& config);

  size_t Size(std::string_view key, std::optional<size_t> fallback = std::nullopt);
  size_t SizeOrZero(std::string_view key, size_t fallback);
  // num_hidden_layers, at most kMostLayers.
  size_t Layers();
  double Number(std::string_view key, double fallback, NumberRange range);
  bool Flag(std::string_view key, bool fallback);
  std::string Text(std::string_view key, std::string_view fallback);
  // Strings of an array; empty when absent.
  std::vector<std::string> Texts(std::string_view key);
  std::vector<size_t> Sizes(std::string_view key);
  // A key of "rope_parameters" (or "rope_scaling"), which wins over the same key beside it.
  // Parameters by layer type are an error.
  double Rope(std::string_view key, double fallback, NumberRange range);
  // "default" where all groups that name a type say so, else the first other one; in a group
  // "rope_type" wins over "type".
  std::string RopeType();

  bool Has(std::string_view key) const { return Find(key) != nullptr; }
  // Records an error unless `condition` holds.
  void Require(bool condition, std::string_view message);
  Status status() const;

 private:
  const json::Value* Find(std::string_view key) const;
  // An object of rope parameters; nullptr where there is none.
  const json::Value* FindRopeGroup(const char* group);
  // A member of the first group of rope parameters that has it; `where`: its name for messages.
  const json::Value* FindRope(std::string_view key, std::string& where);
  double Checked(const std::string& where, const json::Value& found, double fallback,
                 NumberRange range);
  std::string CheckedText(const std::string& where, const json::Value& found);
  void Fail(std::string message);
  const json::Value& config_;
  const json::Value* text_ = nullptr;
  std::string error_;
};

}  // namespace mach::model
