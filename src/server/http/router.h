// The table of what is served.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "server/http/http.h"
#include "server/http/reply.h"
#include "server/protocol/fields.h"

namespace mach::server {

using HandlerResult = std::variant<HttpResponse, std::unique_ptr<Reply>>;

enum class Access : unsigned char { kPublic, kKey };

// Where a handler runs: on the loop thread, when it answers in microseconds, or on a worker.
enum class RunsOn : unsigned char { kLoop, kWorker };

struct Route {
  std::string method;   // "GET" answers HEAD too
  std::string pattern;  // "/v1/models"; "/v1/models/{id}" takes the rest of the path, '/' included
  std::string summary;  // one line for listings
  Access access = Access::kKey;
  RunsOn runs_on = RunsOn::kLoop;
  bool takes_json = false;  // the body must be JSON
  // For listings of the interface: what the body may have, the answer's media types and its status.
  std::vector<FieldSpec> body = {};
  std::vector<std::string> answers = {"application/json"};
  int status = 200;
  // tail: what {id} stands for, percent-decoded. Safe to call from several threads.
  std::function<HandlerResult(const HttpRequest& request, const std::string& tail)> handle;
};

class Router {
 public:
  void Add(Route route) { routes_.push_back(std::move(route)); }
  const std::vector<Route>& routes() const { return routes_; }

  struct Match {
    const Route* route = nullptr;
    std::string tail;
    std::string allow;  // methods of this path, "GET, HEAD, OPTIONS"; empty: no such path
  };
  // Every "/v1/x" is found as "/x" too. Slashes in a row are one, and one at the end does
  // not count.
  Match Find(std::string_view method, std::string_view path) const;

 private:
  std::vector<Route> routes_;
};

}  // namespace mach::server
