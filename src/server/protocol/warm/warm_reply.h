// The answer of POST /v1/cache/warm_prefix: comes when the prefix is cached.
#pragma once

#include <memory>

#include "base/clock.h"
#include "engine/engine.h"
#include "server/http/reply.h"

namespace mach::server {

// Destruction cancels the computation. clock outlives it.
std::unique_ptr<Reply> MakeWarmReply(engine::Request request,
                                     std::shared_ptr<engine::Engine> engine, const Clock& clock);

}  // namespace mach::server
