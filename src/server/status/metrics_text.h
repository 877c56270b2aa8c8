// Prometheus' text format, version 0.0.4.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/histogram.h"

namespace mach::server {

inline constexpr std::string_view kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";

class MetricsText {
 public:
  // A metric's head; its samples follow.
  void Begin(std::string_view name, std::string_view type, std::string_view help);
  // labels: {{"code", "200"}}; values are escaped.
  struct Label {
    std::string_view name;
    std::string_view value;
  };
  void Sample(std::string_view name, std::initializer_list<Label> labels, double value);

  void Counter(std::string_view name, std::string_view help, uint64_t value);
  void Gauge(std::string_view name, std::string_view help, double value);
  // Values times scale: 1e-3 for milliseconds in a metric of seconds.
  void Histogram(std::string_view name, std::string_view help, const HistogramSnapshot& snapshot,
                 double scale);

  std::string Take() { return std::move(out_); }

 private:
  std::string out_;
};

}  // namespace mach::server
