// What one operation with a tokenizer may cost. A tokenizer.json is a stranger's file, and steps
// that are harmless one by one multiply: all of them together have this budget.
#pragma once

#include <atomic>
#include <cstddef>
#include <ctime>

namespace mach::text {

// Of one Encode, one Decode, one stream of tokens, or one part of a load. One thread.
//
// Where a part of it is spent the operation goes on without: text stays as it is where it would
// grow, patterns match nothing more, and added tokens are not found any more. Where it is cancelled
// or late, everything ends at once, and what was made is to be dropped.
class WorkBudget {
 public:
  // Bytes written beyond those of the input, for each of its bytes. Of published tokenizers the
  // most is 10, where NFKC meets a text that is all U+FDFA, and 2 where a space becomes U+2581.
  static constexpr size_t kGrowth = 16;
  static constexpr size_t kGrowthBase = 64 << 10;
  // Steps of the search for added tokens, for each byte of the input. Of published tokenizers the
  // most that any text took is 17, with Gemma 3's 6,415 added tokens.
  static constexpr size_t kSearch = 256;
  static constexpr size_t kSearchBase = 1 << 20;
  // Of strings of tokens that one Decode takes. A token of a few bytes may stand for one of
  // kMaxTokenBytes.
  static constexpr size_t kMaxRead = size_t{256} << 20;
  // Searches of a pattern that run into the step limit. Published patterns have none.
  static constexpr int kFailedMatches = 16;
  // Processor time of an operation with LimitTime: what a pattern costs on a text cannot be told in
  // steps, since the library counts them anew from each place where a match may begin. Published
  // tokenizers take some tens of nanoseconds for a byte.
  static constexpr double kSeconds = 10;
  static constexpr double kSecondsPerByte = 2e-6;
  // Work, of about a byte of text each, between two looks at `cancel` and the time.
  static constexpr size_t kInterval = 16 << 10;

  // cancel: set by another thread, outlives this object; null: never cancelled.
  explicit WorkBudget(size_t input_bytes, const std::atomic<bool>* cancel = nullptr)
      : cancel_(cancel) {
    growth_left_ = kGrowthBase;
    search_left_ = kSearchBase;
    Extend(input_bytes);
  }
  // For input that comes piece by piece: what it allows is added. False, and something is left out,
  // where all of it would be more than kMaxRead bytes.
  bool Read(size_t input_bytes) {
    if (input_bytes > kMaxRead - read_) {
      spent_ = true;
      return false;
    }
    read_ += input_bytes;
    Extend(input_bytes);
    return true;
  }

  // Counts bytes that a step writes beyond those that it reads. False, and nothing is counted,
  // where so many are not left.
  bool Grow(size_t bytes) {
    if (bytes > growth_left_) {
      spent_ = true;
      return false;
    }
    growth_left_ -= bytes;
    return true;
  }

  // From now on, of this thread: the operation must not move to another one.
  void LimitTime(double seconds) { deadline_ = ThreadSeconds() + seconds; }
  void LimitTime() { LimitTime(kSeconds + kSecondsPerByte * static_cast<double>(input_bytes_)); }

  bool MaySearch() const { return search_left_ > 0; }
  void Searched(size_t steps) {
    search_left_ -= steps < search_left_ ? steps : search_left_;
    if (search_left_ == 0) spent_ = true;
    worked_ += steps;
  }

  bool MayMatch() const { return matches_left_ > 0 && !cancelled_; }
  int matches_left() const { return matches_left_; }
  void MatchFailed() {
    if (--matches_left_ == 0) spent_ = true;
  }

  // Counts work, and says whether to stop: looks at `cancel` and the time every kInterval.
  bool Cancelled(size_t work) {
    worked_ += work;
    return worked_ < kInterval ? cancelled_ : Look();
  }
  // The same at once.
  bool Look() {
    total_work_ += worked_;
    worked_ = 0;
    cancelled_ = cancelled_ || (cancel_ != nullptr && cancel_->load(std::memory_order_relaxed));
    if (!cancelled_ && deadline_ != 0 && ThreadSeconds() > deadline_) {
      late_ = cancelled_ = spent_ = true;
    }
    return cancelled_;
  }

  bool cancelled() const { return cancelled_; }  // as last seen; or late
  bool late() const { return late_; }
  bool spent() const { return spent_; }  // something was left out
  size_t growth_left() const { return growth_left_; }
  size_t search_left() const { return search_left_; }
  size_t work() const { return total_work_ + worked_; }

 private:
  static double ThreadSeconds() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
  }
  void Extend(size_t input_bytes) {
    input_bytes_ += input_bytes;
    growth_left_ += input_bytes * kGrowth;
    search_left_ += input_bytes * kSearch;
  }

  const std::atomic<bool>* const cancel_;
  size_t input_bytes_ = 0;
  double deadline_ = 0;  // of ThreadSeconds(); 0: none
  bool late_ = false;
  size_t read_ = 0;
  size_t growth_left_ = 0;
  size_t search_left_ = 0;
  int matches_left_ = kFailedMatches;
  bool spent_ = false;
  bool cancelled_ = false;
  size_t worked_ = 0;  // since the last look
  size_t total_work_ = 0;
};

}  // namespace mach::text
