// The OpenAPI description of a router's table.
#pragma once

#include <string>

#include "json/value.h"
#include "server/http/router.h"

namespace mach::server {

// OpenAPI 3.1. Bodies are described from the same rows that requests are checked against.
json::Object OpenApi(const Router& router, const std::string& version);

}  // namespace mach::server
