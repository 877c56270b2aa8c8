// The speculators of an engine, by the mode that a request asks for.
#pragma once

#include <memory>
#include <string>

#include "spec/combined_proposer.h"
#include "spec/mode.h"
#include "spec/speculator.h"

namespace mach::spec {

// Owned by the decoding thread; any thread may read statistics().
class SpeculationModes {
 public:
  // drafter: may be null. The clock must outlive it.
  SpeculationModes(std::unique_ptr<Drafter> drafter, const PolicyOptions& policy,
                   const Clock& clock);

  // Null where every pass is one token: mode off, or auto without a drafter. kInvalidArgument for
  // dflash without a drafter.
  Result<Speculator*> For(Mode mode);
  // The largest number of layers that a pass of any mode taps.
  size_t taps() const;

  const Statistics& statistics() const { return statistics_; }
  bool has_drafter() const { return dflash_ != nullptr; }
  std::string policy_name() const { return policy_name_; }

 private:
  const std::string policy_name_;
  Statistics statistics_;
  NgramProposer ngram_;
  NgramProposer labels_;
  // Null without a drafter, with their speculators.
  std::unique_ptr<DFlashProposer> dflash_;
  std::unique_ptr<CombinedProposer> combined_;
  std::unique_ptr<Speculator> by_dflash_, by_combined_, by_ngram_, by_labels_;
};

}  // namespace mach::spec
