// What a forward pass may do with the bank, by its kind.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "experts/bank.h"
#include "experts/counters.h"
#include "experts/expert_store.h"
#include "experts/read_queue.h"
#include "experts/streaming_plan.h"

namespace mach::experts {

enum class PassKind : uint8_t {
  kDecode,   // every row will be accepted
  kDraft,    // the first row will be; Commit says how many of the others are
  kPrefill,  // a large chunk of a prompt, which displaces nothing of the bank
};

// A bank that holds every expert knows decoding alone: nothing is displaced, whatever the pass.
PassKind KindOf(const ExpertPass& pass, const StreamingOptions& options, bool holds_all);

// Constant while a pass runs. A certain row is one that will be accepted.
struct PassRules {
  PassKind kind = PassKind::kDecode;
  // Uses by certain rows teach eviction at once, and make a staged expert resident.
  bool learns = true;
  // Verified experts are handed out by Acquire; else when nothing else has landed.
  bool hits_first = true;
  // What the routers predict is prefetched; else whole layers, by PrefillForecast.
  bool uses_predictions = true;
  // A staged expert that is handed out stays until Commit.
  bool holds_staged = false;
  // BankCounters::miss_* count its layers.
  bool times_misses = true;
  // Landed records that are verified and handed out together, at most.
  size_t part = SIZE_MAX;
  ReadQueue::Limits reads;
  // Where its requests and prefetches count.
  Counter* hits = nullptr;
  Counter* misses = nullptr;
  PrefetchCounters* prefetch = nullptr;

  // A slot for an expert that the layer requested, by a certain row or not; nothing where there is
  // no room now.
  std::optional<uint32_t> ClaimDemand(Bank& bank, ExpertKey key, bool certain) const;
  // Never evicts.
  std::optional<uint32_t> ClaimPrefetch(Bank& bank, ExpertKey key) const;
};

// By kind. depth: of the reader. The counters must outlive the rules.
std::array<PassRules, 3> MakePassRules(const Catalog& catalog, const StreamingOptions& options,
                                       const StreamingPlan& plan, size_t depth,
                                       BankCounters& counters);

}  // namespace mach::experts
