// Deliberately wrong: lint.sh checks that the thread-safety analysis rejects it.
#include "base/mutex.h"

class Counter {
 public:
  void Add() { ++n_; }  // without mu_

 private:
  mach::Mutex mu_;
  int n_ GUARDED_BY(mu_) = 0;
};
void Use(Counter& counter) { counter.Add(); }
