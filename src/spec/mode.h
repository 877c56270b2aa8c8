// What a request may say about speculation.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace mach::spec {

enum class Mode : uint8_t {
  kAuto,            // what is there: the drafter, corrected by long matches of the text
  kDFlash,          // the drafter alone
  kNgram,           // matches of the text alone
  kSummarisation,   // as kNgram: answers that quote their prompt
  kClassification,  // short answers out of labels that the prompt names
  kOff,             // every pass is one token
};

// "auto", "dflash", "ngram", "summarisation" (or "summarization"), "classification", "off".
std::optional<Mode> ModeFromName(std::string_view name);

}  // namespace mach::spec
