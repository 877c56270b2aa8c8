// Where the bytes of routed experts come from. Knows layers, experts and bytes; never what they
// compute.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/result.h"

namespace mach::experts {

class ExpertStore;

// Keeps one expert's bytes where they are while it lives. Move-only.
class ExpertPin {
 public:
  ExpertPin(ExpertPin&& o) noexcept
      : store_(std::exchange(o.store_, nullptr)), slot_(o.slot_), bytes_(o.bytes_) {}
  ExpertPin& operator=(ExpertPin&&) = delete;
  ~ExpertPin();

  std::span<const std::byte> Bytes() const& { return bytes_; }
  std::span<const std::byte> Bytes() && = delete;  // no view of a temporary pin

 private:
  friend class ExpertStore;
  ExpertPin(ExpertStore* store, uint32_t slot, std::span<const std::byte> bytes)
      : store_(store), slot_(slot), bytes_(bytes) {}
  ExpertStore* store_;
  uint32_t slot_;
  std::span<const std::byte> bytes_;
};

// The experts that one layer requested, and which of them are ready. Owned by the forward pass,
// which uses it again for each layer, so that its vectors do not allocate in the steady state.
class Acquisition {
 public:
  // Experts that became ready in the last Acquire or Wait, as indices into the requested ids. They
  // are valid until the next Wait, Acquire or Clear, so that more experts than fit into memory come
  // in waves.
  std::span<const uint32_t> ready() const { return ready_; }
  // REQUIRES: index is in ready().
  std::span<const std::byte> Bytes(uint32_t index) const { return bytes_[index]; }
  bool complete() const { return handed_out_ == bytes_.size(); }
  // Unpins everything.
  void Clear();

 private:
  friend class ExpertStore;
  std::vector<ExpertPin> pins_;
  std::vector<std::span<const std::byte>> bytes_;
  std::vector<uint32_t> ready_;
  size_t handed_out_ = 0;
};

// A forward pass, as the store sees it.
struct ExpertPass {
  size_t rows = 1;
  // The rows after the first may be rejected: Commit says how many rows are accepted.
  bool draft = false;
  // While it is true, a Wait that has to wait for a read fails with kCancelled. Must stay valid
  // until the next BeginPass.
  const std::atomic<bool>* cancel = nullptr;
};

// Distinct experts of a layer. A pass with drafts says which rows chose each: rows[begins[i]] to
// rows[begins[i + 1]], ascending, chose ids[i].
struct ExpertRequest {
  LayerId layer;
  std::span<const ExpertId> ids;
  std::span<const uint32_t> rows = {};
  std::span<const uint32_t> begins = {};
};

// Used by one forward pass at a time.
class ExpertStore {
 public:
  virtual ~ExpertStore() = default;

  // A forward pass begins: what follows until the next one belongs to it.
  virtual void BeginPass(const ExpertPass& pass) { static_cast<void>(pass); }
  // The first `rows` rows of the last pass are accepted. What only rejected rows chose leaves no
  // trace. Does nothing after a pass without drafts.
  virtual void Commit(size_t rows) { static_cast<void>(rows); }

  // Whether this pass should predict which experts its next layers will request, and a prediction:
  // distinct experts, the likeliest first, of a layer that comes after the one acquired last.
  // Predictions change when reads happen, never what is computed.
  virtual bool WantsPredictions() const { return false; }
  virtual void Predict(LayerId layer, std::span<const ExpertId> ids) {
    static_cast<void>(layer);
    static_cast<void>(ids);
  }

  // Starts fetching a layer's experts. Resident ones are ready on return; call Wait until
  // complete() for the others. Errors name the layer, the expert and the file, and leave `out`
  // cleared: a failed acquisition holds no pin, and the store is ready for the next one.
  virtual Status Acquire(const ExpertRequest& request, Acquisition& out) = 0;
  // Unpins the experts that were ready, then waits until at least one other is.
  // REQUIRES: !out.complete(), and out is that of the last Acquire.
  virtual Status Wait(Acquisition& out) = 0;

 protected:
  // For implementations: starts an acquisition of n experts, unpins what is ready, and hands out an
  // expert as ready.
  static void Begin(Acquisition& out, size_t n);
  static void ReleaseReady(Acquisition& out);
  void HandOut(Acquisition& out, uint32_t index, uint32_t slot, std::span<const std::byte> bytes);

 private:
  friend class ExpertPin;
  virtual void Unpin(uint32_t slot) = 0;
};

}  // namespace mach::experts
