// How the experts of a model are best kept on this machine, as a command line to copy.
#pragma once

#include <string>

#include "cli/commands/check_report.h"

namespace mach::cli {

struct Recommendation {
  const ModeReport* mode = nullptr;  // of the report; null: nothing fits
  std::string flag;                  // "--streaming" or "--no-streaming"; empty: nothing fits
  std::string reason;                // a sentence, without a full stop
  bool export_first = false;         // there is no valid sidecar, and one is needed
  std::string wired_gb;              // that would do, where nothing fits; empty: none would
};

// all experts in memory where they fit, else a bank of them. bf16_streaming: where they stream,
// from the checkpoint itself.
Recommendation Recommend(const CheckReport& report, bool bf16_streaming);

// The words with the flag at their end (before "--"), quoted for a shell. wired_gb: in place of the
// words' own, unless it is empty.
std::string CommandWith(const std::vector<std::string>& words, const std::string& flag,
                        const std::string& wired_gb = "");

// The export that must come first, by the same program.
std::string ExportCommandFor(const ModelOptions& options);

// The recommendation for a command that loads a model, as lines of commands under a sentence. Looks
// at headers and at the free memory. Fails as the checkpoint does.
Result<std::string> RecommendationText(const ModelOptions& options, const DraftOptions& draft);

// After a load that failed for want of memory (kNoMemory) though neither --streaming nor
// --no-streaming was given: as RecommendationText. Else empty.
std::string AdviceWhenTooLarge(const ModelOptions& options, const DraftOptions& draft,
                               const Error& error);

}  // namespace mach::cli
