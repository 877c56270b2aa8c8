#include "spec/block_policy.h"

#include <algorithm>
#include <cmath>

namespace mach::spec {
namespace {

constexpr double kForget = 0.97;  // of measured times, a cycle
constexpr double kOutlier = 3;    // a time counts as at most so many times what was expected
constexpr double kPlainRate = 0.1;
constexpr double kVerifySlope = 0.5;  // a further row over a plain pass, until measured
constexpr double kDraftSlope = 0.06;
// Misses of r rows over those of one as r to this power: 0.66 to 0.93 on the recorded trace, with
// banks of a tenth to a half.
constexpr double kUnionPower = 0.8;
constexpr double kNear = 8;  // a neighbour of twice the rows counts 2^-8

constexpr double kBinForget = 0.995;
constexpr double kBinPrior = 4;  // trials that the proposer's own confidence counts as

constexpr double kGainRate = 0.4;
// That a draft must promise beyond its cost. What it leaves behind is not in its own time (caches
// and bank hold other things than plain passes want), and in a new text promises are uncertain.
constexpr double kProfit = 1;
constexpr double kRunRate = 0.3;
constexpr double kTextForget = 0.98;  // a cycle: a long text is tried again
constexpr double kTextPrior = 1;      // drafts of a text that gains as much as any
constexpr double kPromising = 0.5;    // chance that a trial agrees to its end
constexpr double kHope = 0.2;         // gain that is assumed after such a trial
constexpr size_t kFirstWait = 16;
constexpr size_t kLongestWait = 128;
constexpr size_t kWaitOfNewRequest = 48;
constexpr size_t kProbeRows = 4;
// Speed that drafting may cost where it never pays, and tokens that it may lose at once: at the
// start, and after a time of gains.
constexpr double kMostLoss = 0.0075;
constexpr double kFirstCredit = 4;
constexpr double kMostCredit = 24;
constexpr size_t kPlainEvery = 48;  // a plain pass among drafts keeps its price known
constexpr char kAdaptiveName[] = "opencode-sampled-v1";

}  // namespace

void LineFit::Add(double rows, double ns) {
  if (weight_ != 0) ns = std::min(ns, kOutlier * At(rows));
  const double x = rows - 1;
  for (double* sum : {&weight_, &x_, &y_, &xx_, &xy_}) *sum *= kForget;
  weight_ += 1;
  x_ += x;
  y_ += ns;
  xx_ += x * x;
  xy_ += x * ns;
  Solve();
}

void LineFit::Solve() {
  const double mean_x = x_ / weight_;
  const double mean_y = y_ / weight_;
  const double variance = xx_ / weight_ - mean_x * mean_x;
  const double covariance = xy_ / weight_ - mean_x * mean_y;
  // The prior line goes through the mean and counts as much as a spread of one row.
  const double prior = slope_prior_ * mean_y / (1 + slope_prior_ * mean_x);
  slope_ = std::max((covariance + prior) / (variance + 1), 0.0);
  // A pass of one row costs something.
  slope_ = std::min(slope_, 0.9 * mean_y / std::max(mean_x, 1.0));
  base_ = mean_y - slope_ * mean_x;
}

void StallByRows::Add(size_t rows, double ns) {
  for (Mean& mean : means_) mean.weight *= kForget;
  Mean& mean = means_[std::min(rows, kMaxBlock)];
  mean.weight += 1;
  mean.ns += (ns - mean.ns) / mean.weight;
}

double StallByRows::At(size_t rows) const {
  // What rows of a neighbour say of others: how much it counts, and how many more misses. Several
  // such sums are made for each token.
  struct Relation {
    double weight;
    double growth;
  };
  using Relations = std::array<std::array<Relation, kMaxBlock + 1>, kMaxBlock + 1>;
  static const Relations kRelations = [] {
    Relations made = {};
    for (size_t to = 1; to <= kMaxBlock; ++to) {
      for (size_t from = 1; from <= kMaxBlock; ++from) {
        const double ratio = static_cast<double>(to) / static_cast<double>(from);
        made[to][from] = {std::pow(std::min(ratio, 1 / ratio), kNear),
                          std::pow(ratio, kUnionPower)};
      }
    }
    return made;
  }();
  const auto& relations = kRelations[std::min(rows, kMaxBlock)];
  double weights = 0;
  double sum = 0;
  for (size_t r = 1; r < means_.size(); ++r) {
    const double weight = means_[r].weight * relations[r].weight;
    weights += weight;
    sum += weight * means_[r].ns * relations[r].growth;
  }
  return weights == 0 ? 0 : sum / weights;
}

Result<PolicyOptions> ParsePolicy(const std::string& name) {
  PolicyOptions options;
  if (name == kAdaptiveName) return options;
  if (name.starts_with("fixed-")) {
    const std::string digits = name.substr(6);
    if (!digits.empty() && digits.size() <= 2 &&
        digits.find_first_not_of("0123456789") == std::string::npos) {
      options.fixed = static_cast<size_t>(std::stoul(digits));
      if (options.fixed >= 1 && options.fixed <= kMaxBlock) return options;
    }
  }
  return Error{Code::kInvalidArgument, "there is no block policy '" + name + "'; expected '" +
                                           kAdaptiveName + "' or 'fixed-N' with N from 1 to " +
                                           std::to_string(kMaxBlock)};
}

std::string PolicyName(const PolicyOptions& options) {
  return options.fixed == 0 ? kAdaptiveName : "fixed-" + std::to_string(options.fixed);
}

BlockPolicy::BlockPolicy(PolicyOptions options)
    : options_(std::move(options)),
      draft_(kDraftSlope),
      verify_(kVerifySlope),
      credit_(kFirstCredit) {}

// Another text may be easier or harder. What failed is tried sooner than in the text where it did,
// but not at once, or many short answers would pay for many trials.
void BlockPolicy::BeginRequest() {
  for (Degree& d : degrees_) {
    d.plain_left = std::min(d.plain_left, kWaitOfNewRequest);
    d.wait = std::min(d.wait, kWaitOfNewRequest);
  }
  text_gain_ = text_drafts_ = 0;
}

size_t BlockPolicy::DegreeOf(float certainty) {
  constexpr float kEdges[kDegrees - 1] = {2, 4, 6, 7, 8, 9, 10, 11, 12};
  size_t degree = 0;
  while (degree + 1 < kDegrees && certainty >= kEdges[degree]) ++degree;
  return degree;
}

// Drafts agree more often the more certain the target is: where they do not pay after certain
// tokens there is no use in trying after others.
bool BlockPolicy::MayTry(size_t degree) const {
  for (size_t above = degree + 1; above < kDegrees; ++above) {
    if (degrees_[above].met) return degrees_[above].gain > 0;
  }
  return true;
}

size_t BlockPolicy::DraftRows(size_t most, float certainty) {
  low_ = false;
  most = std::min(most, options_.max_block);
  if (options_.fixed != 0) return std::min(options_.fixed, most);
  if (most < 2) return 1;
  degree_ = DegreeOf(certainty);
  Degree& d = degrees_[degree_];
  d.met = true;
  text_gain_ *= kTextForget;
  text_drafts_ *= kTextForget;
  if (plain_ns_ == 0 || drafts_in_a_row_ >= kPlainEvery) {
    drafts_in_a_row_ = 0;
    return 1;
  }
  if (d.plain_left > 0) --d.plain_left;
  low_ = d.plain_left > 0 || (d.gain > 0 ? d.gain + GainOfText() <= 0 : !MayTry(degree_));
  if (low_) return 1;
  size_t rows = kProbeRows;
  if (d.wait == 0 || d.gain > 0) {
    rows = std::max(rows, static_cast<size_t>(std::lround(2 * d.accepted)) + 2);
  }
  rows = std::min(rows, most);
  low_ = credit_ < DraftCost(rows);
  return low_ ? 1 : rows;
}

// In plain tokens; before the first draft it counts as one of them.
double BlockPolicy::DraftCost(size_t rows) const {
  return draft_.empty() ? 1 : draft_.At(static_cast<double>(rows)) / VerifyNs(1);
}

double BlockPolicy::GainOfText() const { return text_gain_ / (text_drafts_ + kTextPrior); }

void BlockPolicy::Enter(double tokens) { credit_ = std::min(credit_ + tokens, kMostCredit); }

size_t BlockPolicy::BinOf(float confidence) {
  constexpr float kEdges[kBins - 1] = {0.1f, 0.2f, 0.3f, 0.4f,  0.5f, 0.6f,
                                       0.7f, 0.8f, 0.9f, 0.96f, 0.99f};
  size_t bin = 0;
  while (bin + 1 < kBins && confidence >= kEdges[bin]) ++bin;
  return bin;
}

double BlockPolicy::Chance(float confidence) const {
  const Bin& b = bins_[BinOf(confidence)];
  return (b.hits + kBinPrior * static_cast<double>(confidence)) / (b.trials + kBinPrior);
}

double BlockPolicy::VerifyNs(size_t rows) const {
  const double stall = stall_.At(rows);
  const auto n = static_cast<double>(rows);
  if (rows == 1) return plain_ns_ + stall;
  const double pass = verify_.empty() ? plain_ns_ * (1 + kVerifySlope * (n - 1)) : verify_.At(n);
  return std::max(pass, plain_ns_) + stall;
}

// The chance that a row is reached only falls.
bool BlockPolicy::Wants(std::span<const Draft> so_far) const {
  if (options_.fixed != 0 || plain_ns_ == 0) return true;
  double reach = 1;
  for (const Draft& draft : so_far) reach *= Chance(draft.confidence);
  const size_t rows = so_far.size() + 1;
  return reach * VerifyNs(1) > VerifyNs(rows + 1) - VerifyNs(rows);
}

size_t BlockPolicy::VerifyRows(std::span<const Draft> drafts) {
  if (options_.fixed != 0 || plain_ns_ == 0) return drafts.size() + 1;
  const double plain = VerifyNs(1);
  reach_ = 1;
  expected_ = 0;
  double tokens = 1;
  size_t rows = 1;
  for (size_t i = 0; i < drafts.size(); ++i) {
    reach_ *= Chance(drafts[i].confidence);
    tokens += reach_;
    const double gain = tokens - VerifyNs(i + 2) / plain;
    if (gain > expected_) {
      expected_ = gain;
      rows = i + 2;
    }
  }
  return rows;
}

void BlockPolicy::Observe(const CycleResult& result, std::span<const Draft> drafts) {
  const auto stall_ns = static_cast<double>(result.stall_ns);
  const double pass_ns = static_cast<double>(result.verify_ns) - stall_ns;
  if (result.rows == 1) {
    if (plain_ns_ == 0) plain_ns_ = pass_ns;
    plain_ns_ += kPlainRate * (std::min(pass_ns, kOutlier * plain_ns_) - plain_ns_);
  } else {
    verify_.Add(static_cast<double>(result.rows), pass_ns);
  }
  // The first passes fill an empty bank: they say little of later ones.
  const double most = plain_ns_ == 0 ? stall_ns : kOutlier * VerifyNs(result.rows);
  stall_.Add(result.rows, std::min(stall_ns, most));
  if (result.drafted == 0) {
    Enter(kMostLoss);
    return;
  }
  const auto spent = static_cast<double>(result.draft_ns + result.verify_ns);
  Enter(static_cast<double>(result.accepted) + 1 -
        std::min(spent / VerifyNs(1), kOutlier * static_cast<double>(result.rows)));
  draft_.Add(static_cast<double>(result.drafted), static_cast<double>(result.draft_ns));
  ++drafts_in_a_row_;
  ObserveDraft(result, drafts);
}

void BlockPolicy::ObserveDraft(const CycleResult& result, std::span<const Draft> drafts) {
  const size_t verified = result.rows - 1;
  for (size_t i = 0; i < verified && i <= result.accepted; ++i) {
    if (i == result.accepted && result.cut) break;
    Bin& b = bins_[BinOf(drafts[i].confidence)];
    b.trials = b.trials * kBinForget + 1;
    b.hits = b.hits * kBinForget + (i < result.accepted ? 1 : 0);
  }
  // A run that nothing ended might have gone on.
  const bool open = result.accepted == verified || result.cut;
  const double run = static_cast<double>(result.accepted) + (open ? 2 : 0);
  Degree& d = degrees_[degree_];
  d.accepted += kRunRate * (run - d.accepted);

  // What the draft promised, which varies less than what became of it.
  const double cost = std::min(static_cast<double>(result.draft_ns) / VerifyNs(1),
                               kOutlier * DraftCost(result.drafted));
  const double gain = expected_ - cost - kProfit;
  if (d.gain > 0) {
    text_gain_ += gain - d.gain;
    text_drafts_ += 1;
  }
  // A trial is short, so that it costs little; where its end is likely reached, a longer draft may
  // pay.
  const bool trial = d.wait != 0 && d.gain <= 0;
  if (trial && reach_ >= kPromising) {
    d.gain = std::max(gain, kHope);
  } else {
    d.gain = trial && gain > 0 ? gain : d.gain + kGainRate * (gain - d.gain);
  }
  if (d.gain > 0) {
    if (gain > 0) d.wait = 0;  // hope alone does not shorten the next wait
  } else if (gain <= 0) {
    d.wait = d.wait == 0 ? kFirstWait : std::min(2 * d.wait, kLongestWait);
    d.plain_left = d.wait;
  }
}

}  // namespace mach::spec
