// How long a block each cycle drafts and verifies: as long as it pays, by what it measured.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"
#include "spec/draft_config.h"
#include "spec/proposer.h"

namespace mach::spec {

// Time over rows, a straight line that follows what is measured, the newest most.
class LineFit {
 public:
  // slope_prior: slope over base as long as only one number of rows was seen.
  explicit LineFit(double slope_prior) : slope_prior_(slope_prior) {}
  void Add(double rows, double ns);
  bool empty() const { return weight_ == 0; }
  double At(double rows) const { return base_ + slope_ * (rows - 1); }

 private:
  void Solve();
  const double slope_prior_;
  double weight_ = 0, x_ = 0, y_ = 0, xx_ = 0, xy_ = 0;  // decayed sums, x = rows - 1
  double base_ = 0, slope_ = 0;
};

// How long passes wait for experts from disk, by their rows. The misses of a block are those of the
// union of its rows' experts, which grows less with each row: no straight line. Rows that were not
// measured follow from their neighbours, as if misses grew with a power of the rows.
class StallByRows {
 public:
  void Add(size_t rows, double ns);
  double At(size_t rows) const;  // 0 while nothing was measured

 private:
  struct Mean {
    double weight = 0;  // decayed passes
    double ns = 0;
  };
  std::array<Mean, kMaxBlock + 1> means_ = {};
};

struct PolicyOptions {
  size_t fixed = 0;  // rows of every block; 0: adaptive
  size_t max_block = kMaxBlock;
};

// "opencode-sampled-v1", or "fixed-N" with N from 1 to kMaxBlock.
Result<PolicyOptions> ParsePolicy(const std::string& name);
std::string PolicyName(const PolicyOptions& options);

struct CycleResult {
  size_t drafted = 0;   // slots that were asked for, 0: nothing was drafted
  size_t rows = 1;      // that were verified
  size_t accepted = 0;  // drafts, of rows - 1
  bool cut = false;     // the answer ended after `accepted`: the next slot was not judged
  int64_t draft_ns = 0;
  int64_t verify_ns = 0;
  int64_t stall_ns = 0;  // of it, that it waited for experts
};

// Adaptive. All gains are in tokens: what a cycle yields, less what plain decoding would have
// yielded in its time. How certain the target is of its text tells before anything is spent how
// many drafts will agree, so experience is kept apart for each degree of certainty. Where the
// decayed profit of the last drafts of a degree is positive it drafts, unless drafts in this text
// gained that much less than usual; else it decodes plainly, and tries a short draft again after a
// wait that doubles with each failure, and only as long as the next higher degree pays. A draft's
// tokens are verified as long as the chance that one is reached and accepted is worth its row, the
// reads of its experts included; chances are the proposer's confidences, corrected by what became
// of such confidences before. What drafts may lose is bounded whatever they promise: every cycle
// enters an account, plain tokens pay a small share into it, and nothing is drafted that it could
// not bear. Knows no clock: times come in. Deterministic. Owned by one thread; lives across
// requests.
class BlockPolicy {
 public:
  explicit BlockPolicy(PolicyOptions options);

  void BeginRequest();
  // Rows to draft for, anchor included, at most `most`; 1: decode plainly. certainty: see
  // Certainty.
  size_t DraftRows(size_t most, float certainty);
  // Whether drafts that follow these can be worth verifying.
  bool Wants(std::span<const Draft> so_far) const;
  // Of a draft, how many rows to verify: 1 to drafts.size() + 1.
  size_t VerifyRows(std::span<const Draft> drafts);
  // drafts: what Propose gave, the first result.rows - 1 of which were verified.
  void Observe(const CycleResult& result, std::span<const Draft> drafts);
  // Whether the last DraftRows said 1 because no draft would have paid.
  bool low() const { return low_; }

 private:
  static constexpr size_t kBins = 12;
  struct Bin {
    double trials = 0;
    double hits = 0;
  };
  // What became of drafts after tokens of one degree of certainty.
  static constexpr size_t kDegrees = 10;
  struct Degree {
    bool met = false;
    double accepted = 4;    // decayed length of accepted runs
    double gain = 0;        // decayed, of cycles with drafts
    size_t plain_left = 0;  // cycles until the next trial
    size_t wait = 0;        // that the last failure began with
  };
  static size_t DegreeOf(float certainty);
  bool MayTry(size_t degree) const;
  static size_t BinOf(float confidence);
  double Chance(float confidence) const;
  double VerifyNs(size_t rows) const;
  double DraftCost(size_t rows) const;
  void Enter(double tokens);
  // How much more (or less) a draft of this text gained than its degree of certainty gains.
  double GainOfText() const;
  void ObserveDraft(const CycleResult& result, std::span<const Draft> drafts);

  const PolicyOptions options_;
  LineFit draft_;
  LineFit verify_;       // passes of two rows or more
  double plain_ns_ = 0;  // of one row; 0: not measured yet
  StallByRows stall_;    // besides the times of passes above
  std::array<Bin, kBins> bins_ = {};
  std::array<Degree, kDegrees> degrees_ = {};
  size_t degree_ = 0;       // of this cycle
  double expected_ = 0;     // of the last draft: gain by the chances, its own cost left out
  double reach_ = 0;        // and the chance that all of it agrees
  double text_gain_ = 0;    // decayed sum, for GainOfText
  double text_drafts_ = 0;  // and number
  double credit_;           // tokens that drafts may still lose
  size_t drafts_in_a_row_ = 0;
  bool low_ = false;
};

}  // namespace mach::spec
