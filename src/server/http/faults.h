// Exceptions at the edges: what a handler, a reply or a coroutine throws ends one request, never
// the server, and is told to the client and the log.
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <string_view>

#include "base/memory_account.h"
#include "server/http/api_error.h"
#include "server/http/router.h"

namespace mach::server {

// Status 500: `no_memory` for std::bad_alloc, `internal` for anything else. Where the request's
// account has refused the memory: status 413 if the request wants more than one may have, 503 if
// others hold what is missing. REQUIRES fault.
ApiError FromException(const std::exception_ptr& fault, std::string_view request_id,
                       const MemoryAccount* account = nullptr);

// What the request's account has refused, as FromException has it; nothing where it has not.
std::optional<ApiError> RefusedMemory(const MemoryAccount* account);

// What the function answers, its memory charged to the account, where there is one; the answer of
// FromException where it throws.
template <class Function>
HandlerResult Guarded(std::string_view request_id, const std::shared_ptr<MemoryAccount>& account,
                      const Function& function) {
  std::exception_ptr fault;
  try {
    const MemoryScope scope(account);
    return function();
  } catch (...) {
    fault = std::current_exception();
  }
  return ToResponse(FromException(fault, request_id, account.get()));
}

// For what no request is known of. Throws nothing.
void LogFault(std::string_view where, const std::exception_ptr& fault) noexcept;

}  // namespace mach::server
