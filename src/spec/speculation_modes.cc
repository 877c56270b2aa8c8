#include "spec/speculation_modes.h"

namespace mach::spec {
namespace {

constexpr NgramOptions kText{.min_match = 3, .max_drafts = kMaxBlock - 1};
constexpr NgramOptions kLabels{.min_match = 2, .max_drafts = 4};

}  // namespace

SpeculationModes::SpeculationModes(std::unique_ptr<Drafter> drafter, const PolicyOptions& policy,
                                   const Clock& clock)
    : policy_name_(PolicyName(policy)), ngram_(kText), labels_(kLabels) {
  const auto make = [&](Proposer& proposer) {
    return std::make_unique<Speculator>(proposer, policy, clock, statistics_);
  };
  by_ngram_ = make(ngram_);
  by_labels_ = make(labels_);
  if (drafter == nullptr) return;
  dflash_ = std::make_unique<DFlashProposer>(std::move(drafter));
  combined_ = std::make_unique<CombinedProposer>(*dflash_, ngram_);
  by_dflash_ = make(*dflash_);
  by_combined_ = make(*combined_);
}

size_t SpeculationModes::taps() const { return dflash_ == nullptr ? 0 : dflash_->taps().size(); }

Result<Speculator*> SpeculationModes::For(Mode mode) {
  if (mode == Mode::kDFlash && !has_drafter()) {
    return Error{Code::kInvalidArgument,
                 "speculation mode 'dflash' needs a drafter, and none is loaded; start with "
                 "--draft-dir, or ask for 'auto'"};
  }
  switch (DraftSourceOf(mode, has_drafter())) {
    case DraftSource::kDrafter:
      return mode == Mode::kDFlash ? by_dflash_.get() : by_combined_.get();
    case DraftSource::kText:
      return mode == Mode::kClassification ? by_labels_.get() : by_ngram_.get();
    case DraftSource::kNone:
      break;
  }
  return static_cast<Speculator*>(nullptr);
}

}  // namespace mach::spec
