// Bounds on what a client may make the server hold or wait for.
#pragma once

#include <chrono>
#include <cstddef>

#include "dialog/messages.h"

namespace mach::server {

struct Limits {
  // Lines of the log that a client can cause at no cost: so many at once, then one in an interval.
  // Generations that succeed are never left out.
  int64_t log_burst = 200;
  std::chrono::milliseconds log_interval{20};

  size_t body_bytes = size_t{32} << 20;
  size_t header_bytes = size_t{32} << 10;  // request line included
  size_t header_fields = 100;
  size_t target_bytes = size_t{8} << 10;
  size_t json_depth = 64;
  dialog::MessageLimits messages;
  size_t stop_strings = 32;
  size_t stop_bytes = 256;  // of one stop string
  size_t choices = 16;      // "n"
  size_t connections = 512;
  size_t pipelined_bytes = size_t{64} << 10;  // read ahead while an answer is under way
  // A request with a longer body waits for others of its kind, not for short ones, nor they for it.
  size_t short_body_bytes = size_t{256} << 10;

  std::chrono::milliseconds header_timeout{10'000};  // from the first byte to the end of the head
  std::chrono::milliseconds body_timeout{30'000};    // without a byte
  std::chrono::milliseconds body_total_timeout{300'000};
  std::chrono::milliseconds idle_timeout{75'000};   // between requests
  std::chrono::milliseconds write_timeout{30'000};  // a client that does not read
  // For a handler whose client has sent its last byte: it may have left, or want this answer.
  std::chrono::milliseconds half_closed{1'000};
  std::chrono::milliseconds linger{1'000};          // for the rest of a refused body
  std::chrono::milliseconds drain_timeout{30'000};  // for answers under way at shutdown
  std::chrono::milliseconds ping_interval{5'000};   // of silence in a stream
};

}  // namespace mach::server
