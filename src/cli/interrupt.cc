#include "cli/interrupt.h"

#include <csignal>

namespace mach::cli {
namespace {

volatile std::sig_atomic_t g_raised = 0;

extern "C" void OnSignal(int signal) {
  g_raised = 1;
  std::signal(signal, SIG_DFL);
}

}  // namespace

InterruptFlag::InterruptFlag() {
  g_raised = 0;
  std::signal(SIGINT, OnSignal);
  std::signal(SIGTERM, OnSignal);
}

InterruptFlag::~InterruptFlag() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

bool InterruptFlag::raised() const { return g_raised != 0; }

}  // namespace mach::cli
