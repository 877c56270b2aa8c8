// Ends long work in an orderly way on Ctrl-C.
#pragma once

namespace mach::cli {

// While one lives, SIGINT and SIGTERM set a flag instead of ending the process; a second one ends
// it. One at a time.
class InterruptFlag {
 public:
  InterruptFlag();
  ~InterruptFlag();
  InterruptFlag(const InterruptFlag&) = delete;
  InterruptFlag& operator=(const InterruptFlag&) = delete;

  bool raised() const;
};

}  // namespace mach::cli
