#include "server/status/decode_words.h"

namespace mach::server {

std::string_view DecodePath(const engine::Info& info) {
  return info.has_drafter ? "specdec-v7" : "target-only";
}

std::string_view AdaptiveBlockPolicy(const engine::Info& info) {
  return info.has_drafter ? std::string_view(info.block_policy) : "off";
}

std::string_view DecodeMode(const engine::Info& info, engine::SpeculationMode mode) {
  switch (engine::DraftSourceOf(info, mode)) {
    case engine::DraftSource::kDrafter:
      return "specdec";
    case engine::DraftSource::kText:
      return "ngram";
    case engine::DraftSource::kNone:
      break;
  }
  return "target-only";
}

}  // namespace mach::server
