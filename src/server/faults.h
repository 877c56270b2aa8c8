// Exceptions at the edges: what a handler, a reply or a coroutine throws ends one request, never
// the server, and is told to the client and the log.
#pragma once

#include <exception>
#include <string_view>

#include "server/api_error.h"
#include "server/router.h"

namespace mach::server {

// Status 500: `no_memory` for std::bad_alloc, `internal` for anything else. REQUIRES fault.
ApiError FromException(const std::exception_ptr& fault, std::string_view request_id);

// What the function answers; an answer of status 500 where it throws.
template <class Function>
HandlerResult Guarded(std::string_view request_id, const Function& function) {
  std::exception_ptr fault;
  try {
    return function();
  } catch (...) {
    fault = std::current_exception();
  }
  return ToResponse(FromException(fault, request_id));
}

// For what no request is known of. Throws nothing.
void LogFault(std::string_view where, const std::exception_ptr& fault) noexcept;

}  // namespace mach::server
