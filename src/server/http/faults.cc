#include "server/http/faults.h"

#include <new>
#include <optional>
#include <string>

#include "base/log.h"
#include "base/units.h"

namespace mach::server {
namespace {

constexpr int kRetryAfterSeconds = 5;  // of a request that found the memory taken

}  // namespace

std::optional<ApiError> RefusedMemory(const MemoryAccount* account) {
  if (account == nullptr) return std::nullopt;
  switch (account->refusal()) {
    case MemoryAccount::Refusal::kNone:
      return std::nullopt;
    case MemoryAccount::Refusal::kTooMuch:
      return Refusal(413, "request_too_large",
                     "the request and its answer take more memory than the " +
                         BytesText(account->most_bytes()) +
                         " that one may have; send a shorter one, or start the server with a "
                         "higher --request-memory-mb");
    case MemoryAccount::Refusal::kFull:
      break;
  }
  ApiError error = Refusal(503, "memory_busy",
                           "other requests hold the memory that this one needs; try again later, "
                           "or start the server with a higher --request-memory-mb");
  error.type = "unavailable_error";
  error.retry_after_s = kRetryAfterSeconds;
  error.retryable = true;
  return error;
}

ApiError FromException(const std::exception_ptr& fault, std::string_view request_id,
                       const MemoryAccount* account) {
  try {
    std::rethrow_exception(fault);
  } catch (const std::bad_alloc&) {
    if (auto refused = RefusedMemory(account)) return *std::move(refused);
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
