#include "spec/mode.h"

#include <utility>

namespace mach::spec {
namespace {

constexpr std::pair<std::string_view, Mode> kNames[] = {
    {"auto", Mode::kAuto},
    {"dflash", Mode::kDFlash},
    {"ngram", Mode::kNgram},
    {"summarisation", Mode::kSummarisation},
    {"classification", Mode::kClassification},
    {"off", Mode::kOff},
    {"summarization", Mode::kSummarisation},
};

}  // namespace

std::optional<Mode> ModeFromName(std::string_view name) {
  for (const auto& [known, mode] : kNames) {
    if (known == name) return mode;
  }
  return std::nullopt;
}

}  // namespace mach::spec
