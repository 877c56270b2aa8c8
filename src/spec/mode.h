// The modes of speculation that a request may ask for.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace mach::spec {

enum class Mode : uint8_t {
  kAuto,            // the drafter, overridden by long matches in the text; off without a drafter
  kDFlash,          // the drafter alone
  kNgram,           // matches in the text alone
  kSummarisation,   // as kNgram: answers that quote their prompt
  kClassification,  // short answers out of labels that the prompt names
  kOff,             // every pass is one token
};

// Where a request's drafts come from.
enum class DraftSource : uint8_t {
  kNone,     // every pass is one token
  kText,     // matches of the text
  kDrafter,  // the drafter, with or without matches of the text
};
// What a mode comes to on an engine with or without a drafter.
DraftSource DraftSourceOf(Mode mode, bool has_drafter);

// "auto", "dflash", "ngram", "summarisation" (or "summarization"), "classification", "off".
std::optional<Mode> ModeFromName(std::string_view name);

}  // namespace mach::spec
