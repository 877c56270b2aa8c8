// AsyncReader over io_uring, with registered files and buffers.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <deque>
#include <thread>

#include <liburing.h>

#include "base/mutex.h"
#include "io/posix_error.h"
#include "io/read_operation.h"

namespace mach::io {
namespace {

// The kernel takes no larger piece of memory.
constexpr size_t kMaxBufferBytes = size_t{1} << 30;
constexpr size_t kMaxBuffers = 16384;
// How long the kernel may refuse every read before the ring counts as broken: five seconds.
constexpr std::chrono::microseconds kIdle(100);
constexpr int kMaxIdle = 50000;

// The kernel has at most options.at_once reads. The rest waits in the backlog, and as long as it
// does a thread, the feeder, takes completions and begins new reads, so that the disk works
// whatever the caller does meanwhile; else that thread sleeps and the caller takes completions
// itself, which is sooner. Whoever does it owns the completion queue.
//
// A slot holds one read:
//
//          Submit            Queue            io_uring_submit       Reap
//   free_ --------> backlog_ ------> queued_ ----------------> begun ----> free_, completions_
//                      ^                                         |
//                      +------------- a short read --------------+
//
// Invariants, which hold whenever mu_ is released:
//
// * Each of the `depth` slots is in free_, backlog_ or queued_, or the kernel has it (begun).
// * in_flight_ = begun + queued_ + backlog_ + completions_ (Begun() is defined by it), and never
//   more than depth: the submission and completion queues cannot overflow.
// * begun + queued_ <= at_once_.
// * feeding_ implies that backlog_ is not empty or that the feeder is about to clear it. Only the
//   caller sets it, only the feeder clears it.
// * Once broken_, backlog_ and queued_ are empty: what the kernel never took has failed, what it
//   took ends by itself.
// * Files and buffers change only while in_flight_ is 0.
class UringReader final : public AsyncReader {
 public:
  // Takes the ring over.
  UringReader(const ReaderOptions& options, const io_uring& ring)
      : options_(options), at_once_(AtOnce(options)), ring_(ring) {
    slots_.resize(options.depth);
    completions_.reserve(options.depth);
    free_.reserve(options.depth);
    for (size_t i = 0; i < options.depth; ++i) free_.push_back(static_cast<uint32_t>(i));
    if (at_once_ < options.depth) feeder_ = std::thread([this] { FeederLoop(); });
  }

  ~UringReader() override {
    {
      const MutexLock lock(mu_);
      stop_ = true;
    }
    wake_.NotifyOne();
    if (feeder_.joinable()) feeder_.join();
    // The kernel writes into the caller's memory until the last read has ended. Reads that it never
    // took need no waiting.
    size_t begun = Begun();
    while (begun > 0) {
      io_uring_cqe* cqe = nullptr;
      const int result = io_uring_wait_cqe(&ring_, &cqe);
      if (result == -EINTR || result == -EAGAIN) continue;
      if (result < 0) break;
      io_uring_cqe_seen(&ring_, cqe);
      --begun;
    }
    io_uring_queue_exit(&ring_);
  }

  static size_t AtOnce(const ReaderOptions& options) {
    return options.at_once == 0 ? options.depth : std::min(options.at_once, options.depth);
  }

  ReadMode mode() const override { return ReadMode::kIoUring; }
  size_t depth() const override { return options_.depth; }
  size_t in_flight() const override { return in_flight_; }

  Result<uint32_t> AddFile(const std::string& path) override {
    MACH_CHECK(in_flight_ == 0);
    MACH_TRY(DirectFile file, OpenDirect(path, options_.direct));
    files_.push_back(std::move(file));
    // All of them anew: few files, before the work begins. Without registration the plain
    // descriptors serve.
    if (files_registered_) io_uring_unregister_files(&ring_);
    std::vector<int> descriptors;
    for (const DirectFile& f : files_) descriptors.push_back(f.fd.get());
    files_registered_ = io_uring_register_files(&ring_, descriptors.data(),
                                                static_cast<unsigned>(descriptors.size())) == 0;
    return static_cast<uint32_t>(files_.size() - 1);
  }
  uint64_t FileBytes(uint32_t file) const override {
    MACH_CHECK(file < files_.size());
    return files_[file].size;
  }

  size_t RegisterBuffers(std::span<const std::span<std::byte>> buffers) override {
    MACH_CHECK(in_flight_ == 0);
    if (!buffers_.empty()) io_uring_unregister_buffers(&ring_);
    buffers_.clear();
    size_t total = 0;
    for (std::span<std::byte> rest : buffers) {
      while (!rest.empty()) {
        const auto piece = rest.first(std::min(rest.size(), kMaxBufferBytes));
        buffers_.push_back({piece.data(), piece.size()});
        total += piece.size();
        rest = rest.subspan(piece.size());
      }
    }
    std::ranges::sort(buffers_, {}, &iovec::iov_base);
    if (buffers_.empty() || buffers_.size() > kMaxBuffers ||
        io_uring_register_buffers(&ring_, buffers_.data(),
                                  static_cast<unsigned>(buffers_.size())) != 0) {
      buffers_.clear();
      return 0;
    }
    return total;
  }

  Result<size_t> Submit(std::span<const ReadRequest> requests) override {
    for (const ReadRequest& request : requests) {
      MACH_RETURN_IF_ERROR(CheckRequest(request, files_));
    }
    const MutexLock lock(mu_);
    if (broken_ != 0) return Broken();
    // A slot stays taken until its completion is: the queues never overflow.
    const size_t taken = std::min(requests.size(), options_.depth - in_flight_);
    for (const ReadRequest& request : requests.first(taken)) {
      const uint32_t slot = free_.back();
      free_.pop_back();
      slots_[slot] = {.request = request, .file = &files_[request.file]};
      backlog_.push_back(slot);
    }
    in_flight_ += taken;
    Flush();
    if (!backlog_.empty() && !feeding_ && broken_ == 0) {
      feeding_ = true;
      wake_.NotifyOne();
    }
    return taken;
  }

  size_t Poll(std::vector<ReadCompletion>& out) override {
    const MutexLock lock(mu_);
    if (!feeding_) {
      Flush();
      Reap();
    }
    return Take(out);
  }

  size_t Wait(std::vector<ReadCompletion>& out) override {
    const MutexLock lock(mu_);
    int idle = 0;
    while (in_flight_ > 0) {
      if (feeding_) {
        while (feeding_ && completions_.empty()) landed_.Wait(mu_);
      } else {
        Flush();
        Reap();
      }
      if (const size_t n = Take(out); n > 0) return n;
      if (!feeding_) Await(idle);
    }
    return 0;
  }

 private:
  // Reads that the kernel has.
  size_t Begun() const EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return in_flight_ - completions_.size() - queued_.size() - backlog_.size();
  }
  Error Broken() const EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return PosixError("read through", "io_uring", broken_);
  }

  void FeederLoop() {
    const MutexLock lock(mu_);
    for (;;) {
      while (!stop_ && !feeding_) wake_.Wait(mu_);
      int idle = 0;
      while (feeding_ && !stop_) {
        Flush();
        Reap();
        feeding_ = !backlog_.empty() && broken_ == 0;
        if (!feeding_ || !completions_.empty()) landed_.NotifyOne();
        if (feeding_) Await(idle);
      }
      if (stop_) return;
    }
  }

  // Waits for a completion; idle counts the times in a row that the kernel had no read. Lets the
  // lock go meanwhile.
  void Await(int& idle) EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (Begun() == 0 || broken_ != 0) {
      // The kernel had no memory for the queued reads: it says so at once, and has none to wait
      // for. Or waiting itself fails.
      if (++idle >= kMaxIdle && broken_ == 0) Break(EAGAIN);
      mu_.Unlock();
      std::this_thread::sleep_for(kIdle);
      mu_.Lock();
      return;
    }
    idle = 0;
    mu_.Unlock();
    io_uring_cqe* cqe = nullptr;
    const int result = io_uring_wait_cqe(&ring_, &cqe);
    mu_.Lock();
    if (result < 0 && result != -EINTR && result != -EAGAIN) Break(-result);
  }

  // Puts the rest of a slot's read into the submission queue.
  void Queue(uint32_t slot) EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const ReadOperation& operation = slots_[slot];
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    MACH_CHECK(sqe != nullptr);  // queued_ never exceeds at_once_, and the ring has as many entries
    const std::span<std::byte> out = operation.destination();
    const auto bytes = static_cast<unsigned>(std::min<size_t>(out.size(), kMaxBufferBytes));
    const int fd =
        files_registered_ ? static_cast<int>(operation.request.file) : operation.file->fd.get();
    if (const int buffer = BufferOf(out.first(bytes)); buffer >= 0) {
      io_uring_prep_read_fixed(sqe, fd, out.data(), bytes, operation.offset(), buffer);
    } else {
      io_uring_prep_read(sqe, fd, out.data(), bytes, operation.offset());
    }
    if (files_registered_) sqe->flags |= IOSQE_FIXED_FILE;
    io_uring_sqe_set_data64(sqe, slot);
    queued_.push_back(slot);
  }

  // The registered piece that holds all of `out`, or -1.
  int BufferOf(std::span<const std::byte> out) const EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const auto after = std::ranges::upper_bound(buffers_, out.data(), {}, [](const iovec& v) {
      return static_cast<const std::byte*>(v.iov_base);
    });
    if (after == buffers_.begin()) return -1;
    const iovec& piece = *std::prev(after);
    const auto* const end = static_cast<const std::byte*>(piece.iov_base) + piece.iov_len;
    if (out.data() + out.size() > end) return -1;
    return static_cast<int>(std::prev(after) - buffers_.begin());
  }

  // Hands reads to the kernel as far as it may have them; what it does not take now stays queued.
  void Flush() EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    while (broken_ == 0) {
      for (; !backlog_.empty() && Begun() + queued_.size() < at_once_; backlog_.pop_front()) {
        Queue(backlog_.front());
      }
      if (queued_.empty()) return;
      const int n = io_uring_submit(&ring_);
      if (n == -EINTR) continue;
      if (n == -EAGAIN || n == -EBUSY || n == 0) return;
      if (n < 0) {
        Break(-n);
        return;
      }
      for (int i = 0; i < n && !queued_.empty(); ++i) queued_.pop_front();
    }
  }

  // Turns what has ended into completions, and reads on where it was short.
  void Reap() EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    io_uring_cqe* cqe = nullptr;
    while (io_uring_peek_cqe(&ring_, &cqe) == 0) {
      const auto slot = static_cast<uint32_t>(io_uring_cqe_get_data64(cqe));
      const int64_t result = cqe->res;
      io_uring_cqe_seen(&ring_, cqe);
      auto completion = slots_[slot].Advance(result, options_.interceptor);
      if (completion) {
        completions_.push_back(*std::move(completion));
        free_.push_back(slot);
      } else if (broken_ != 0) {
        Fail(slot);
      } else {
        backlog_.push_front(slot);
      }
    }
    Flush();
  }

  void Fail(uint32_t slot) EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    completions_.push_back({slots_[slot].request.tag, Broken()});
    free_.push_back(slot);
  }

  // The ring is of no use any more: what it never took fails. What it took still ends by itself.
  void Break(int code) EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    broken_ = code;
    for (const uint32_t slot : queued_) Fail(slot);
    for (const uint32_t slot : backlog_) Fail(slot);
    queued_.clear();
    backlog_.clear();
  }

  size_t Take(std::vector<ReadCompletion>& out) EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const size_t n = completions_.size();
    for (ReadCompletion& completion : completions_) out.push_back(std::move(completion));
    completions_.clear();
    in_flight_ -= n;
    return n;
  }

  const ReaderOptions options_;
  const size_t at_once_;
  // Change only while nothing is in flight.
  std::vector<DirectFile> files_;
  bool files_registered_ = false;
  std::vector<iovec> buffers_;  // registered, by address

  Mutex mu_;
  CondVar wake_;    // the feeder
  CondVar landed_;  // the caller
  // mu_ guards the submission queue; the completion queue is the feeder's while feeding_, else the
  // caller's. Files and buffers are registered while nothing is in flight.
  io_uring ring_;
  bool stop_ GUARDED_BY(mu_) = false;
  bool feeding_ GUARDED_BY(mu_) = false;
  int broken_ GUARDED_BY(mu_) = 0;                    // errno of the failure that ended the ring
  std::vector<ReadOperation> slots_ GUARDED_BY(mu_);  // by user data
  std::vector<uint32_t> free_ GUARDED_BY(mu_);
  std::deque<uint32_t> backlog_ GUARDED_BY(mu_);  // not yet in the submission queue
  std::deque<uint32_t> queued_ GUARDED_BY(mu_);   // in it, not yet with the kernel
  std::vector<ReadCompletion> completions_ GUARDED_BY(mu_);
  // All slots but the free ones, and completions_. The caller changes it with mu_ held, so that it
  // reads it without, and the feeder with it.
  size_t in_flight_ = 0;

  std::thread feeder_;
};

}  // namespace

Result<std::unique_ptr<AsyncReader>> CreateUringReader(const ReaderOptions& options) {
  io_uring ring{};
  const auto entries = static_cast<unsigned>(UringReader::AtOnce(options));
  // No COOP_TASKRUN: another thread than the one that submitted may wait, and that one may be
  // computing, without a system call, for long.
  if (const int result = io_uring_queue_init(entries, &ring, 0); result < 0) {
    return Error{Code::kUnsupported,
                 "io_uring is not available: " + PosixError("set up", "io_uring", -result).message +
                     "; the kernel may forbid it (sysctl kernel.io_uring_disabled, a container's "
                     "seccomp profile), use pread instead"};
  }
  return std::unique_ptr<AsyncReader>(std::make_unique<UringReader>(options, ring));
}

}  // namespace mach::io
