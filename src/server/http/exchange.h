// One request of a connection and its answer; included by the files of Connection alone.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "base/memory_account.h"
#include "server/http/admission.h"
#include "server/http/connection.h"

namespace mach::server {

// Everything about the request being answered.
struct Connection::Exchange {
  boost::beast::http::request_parser<boost::beast::http::string_body> parser;
  HttpRequest request;
  std::shared_ptr<MemoryAccount> account;  // pays for the body, the handler and the answer
  Admission admission;
  std::vector<Header> cors;
  Clock::time_point began = Clock::now();
  bool http11 = true;
  bool keep_alive = false;
  bool body_left = false;  // unread bytes of the body are in the way of the next request
  bool head_only = false;
  bool well_formed = false;  // its head, so that the body can be found
  bool chunked = false;      // the answer's framing, once its head is sent
  bool head_sent = false;
  bool client_gone = false;
  bool failed = false;  // by a fault of ours, after the head had told of success
  int status = 0;
  std::string log;  // of the answer's head
};

// Shared with the coroutine that reads while an answer is under way.
struct Connection::Watch {
  bool stop = false;
  bool gone = false;     // for certain: the end of the input alone leaves it open
  bool finished = true;  // false while the coroutine runs
};

}  // namespace mach::server
