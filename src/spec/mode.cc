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

DraftSource DraftSourceOf(Mode mode, bool has_drafter) {
  switch (mode) {
    case Mode::kAuto:
    case Mode::kDFlash:
      return has_drafter ? DraftSource::kDrafter : DraftSource::kNone;
    case Mode::kNgram:
    case Mode::kSummarisation:
    case Mode::kClassification:
      return DraftSource::kText;
    case Mode::kOff:
      break;
  }
  return DraftSource::kNone;
}

std::optional<Mode> ModeFromName(std::string_view name) {
  for (const auto& [known, mode] : kNames) {
    if (known == name) return mode;
  }
  return std::nullopt;
}

}  // namespace mach::spec
