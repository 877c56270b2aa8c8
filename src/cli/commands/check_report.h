// Whether a checkpoint runs on this machine, told from headers alone.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/memory_ledger.h"
#include "cli/options/options.h"
#include "engine/plan.h"
#include "io/file.h"
#include "json/value.h"
#include "residency/plan.h"
#include "spec/memory.h"

namespace mach::cli {

// In order: a report's exit code is its verdict's number.
enum class Verdict : unsigned char { kFits = 0, kTight = 1, kWontFit = 2 };
std::string_view VerdictName(Verdict verdict);  // "fits", "tight", "wont_fit"

struct CheckOptions {
  // As a server would open it, with a prefix cache; `experts` is each mode's own.
  engine::OpenOptions open;
  std::string sidecar_dir;      // empty: in the checkpoint
  bool allow_fallback = false;  // as if started with the diagnostic switch
  size_t free_bytes = 0;        // of memory, on this machine
};

// Of a command that loads a model: what it would find.
CheckOptions CheckOptionsOf(const ModelOptions& model, const DraftOptions& draft,
                            size_t free_bytes);

struct ModeReport {
  std::string mode;              // "streaming", "stacked", "bf16_streaming"
  size_t context_tokens = 0;     // that was asked for, else the mode's default
  residency::MemoryNeeds needs;  // with the mode's experts
  spec::DecodeNeeds decode;
  Verdict verdict = Verdict::kWontFit;
  std::string reason;
  std::vector<std::string> slow_paths;  // as server::ServingFacts names them
  size_t bytes = 0;                     // what the mode would reserve
  size_t prefix_bytes = 0;    // of the prefix cache; streaming: of `bytes`, stacked: besides
  size_t bank_slots = 0;      // streaming: experts in memory at a time
  double bank_share = 0;      // of all experts
  double hit_rate = 0;        // an estimate (experts::EstimateHitRate)
  std::string expert_format;  // of its experts: "4-bit affine, group 64"
  size_t expert_bytes = 0;    // of one
  // By memory tag, as `startup memory` says it; zeros when it does not fit.
  std::array<size_t, kMemoryTags> memory = {};
};

struct CheckReport {
  std::string checkpoint;
  std::string architecture;
  size_t layers = 0;
  size_t context_tokens = 0;  // of `stacked` where it fits, else of `streaming`
  std::string expert_format;  // of the checkpoint: "4-bit affine, group 64"
  size_t free_bytes = 0;
  size_t ceiling = 0;
  size_t request_bytes = 0;      // of a server, for requests and their answers; in needs.decode
  residency::MemoryNeeds needs;  // with the checkpoint's experts and that context
  spec::DecodeNeeds decode;
  // Why a conversation cannot become tokens: the tokenizer's or the chat template's fault. Empty:
  // it can.
  std::string text_problem;
  std::string sidecar_problem;  // why the sidecar cannot be used; empty: it can
  std::string drafter;          // its directory; empty: none was found
  std::string drafter_problem;  // why it does not pair
  std::vector<ModeReport> modes;

  Verdict verdict() const;  // of the mode that fits best
  // Whether the load would take the files, whatever its memory.
  bool loadable() const { return text_problem.empty() && drafter_problem.empty(); }
};

// Fails when the checkpoint cannot be read or is of an unknown kind. A ceiling beyond the free
// memory is a verdict, not a failure.
Result<CheckReport> CheckCheckpoint(io::FileSystem& fs, const CheckOptions& options);

json::Value ToJson(const CheckReport& report);
std::string ToText(const CheckReport& report);

}  // namespace mach::cli
