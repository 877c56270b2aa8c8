#include "cli/commands/thread_advice.h"

namespace mach::cli {

std::string TooManyThreads(std::string_view option, size_t threads, size_t processors) {
  if (threads <= processors) return "";
  return std::string(option) + " " + std::to_string(threads) + " is more than the " +
         std::to_string(processors) + (processors == 1 ? " processor" : " processors") +
         " that this process may run on: threads that share one take turns, and the work of a "
         "layer waits for the last of them, which makes it slower; leave " +
         std::string(option) + " out, or give at most " + std::to_string(processors);
}

}  // namespace mach::cli
