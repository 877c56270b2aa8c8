#include "server/faults.h"

#include <new>
#include <string>

#include "base/log.h"

namespace mach::server {

ApiError FromException(const std::exception_ptr& fault, std::string_view request_id) {
  try {
    std::rethrow_exception(fault);
  } catch (const std::bad_alloc&) {
    return FromError({Code::kNoMemory,
                      "an allocation failed; give the server more memory, or less "
                      "of it to the model and its caches"},
                     request_id);
  } catch (const std::exception& e) {
    return ServerFault("internal", "the server failed at this request, which is a fault of its own",
                       std::string("unexpected exception: ") + e.what() +
                           "; this is a bug in Mach, please report it",
                       request_id);
  } catch (...) {
    return ServerFault("internal", "the server failed at this request, which is a fault of its own",
                       "unexpected exception of an unknown type; this is a bug in Mach, please "
                       "report it",
                       request_id);
  }
}

void LogFault(std::string_view where, const std::exception_ptr& fault) noexcept {
  if (!fault) return;
  try {
    LogError(std::string(where) + " ended with a fault:" + LogText(FromException(fault, "")));
  } catch (...) {  // no memory even for a line: there is nobody left to tell
  }
}

}  // namespace mach::server
