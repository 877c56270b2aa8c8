#include "server/status/metrics_text.h"

#include "json/write.h"

namespace mach::server {
namespace {

std::string Escaped(std::string_view value) {
  std::string out;
  for (const char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

void MetricsText::Begin(std::string_view name, std::string_view type, std::string_view help) {
  out_ += "# HELP ";
  out_ += name;
  out_ += ' ';
  out_ += help;
  out_ += "\n# TYPE ";
  out_ += name;
  out_ += ' ';
  out_ += type;
  out_ += '\n';
}

void MetricsText::Sample(std::string_view name, std::initializer_list<Label> labels, double value) {
  out_ += name;
  char open = '{';
  for (const Label& label : labels) {
    out_ += open;
    out_ += label.name;
    out_ += "=\"" + Escaped(label.value) + '"';
    open = ',';
  }
  if (labels.size() > 0) out_ += '}';
  out_ += ' ';
  const auto integer = static_cast<int64_t>(value);
  out_ +=
      static_cast<double>(integer) == value ? std::to_string(integer) : json::FormatDouble(value);
  out_ += '\n';
}

void MetricsText::Counter(std::string_view name, std::string_view help, uint64_t value) {
  Begin(name, "counter", help);
  Sample(name, {}, static_cast<double>(value));
}

void MetricsText::Gauge(std::string_view name, std::string_view help, double value) {
  Begin(name, "gauge", help);
  Sample(name, {}, value);
}

void MetricsText::Histogram(std::string_view name, std::string_view help,
                            const HistogramSnapshot& snapshot, double scale) {
  Begin(name, "histogram", help);
  const std::string bucket = std::string(name) + "_bucket";
  uint64_t below = 0;
  for (size_t i = 0; i < snapshot.bounds.size(); ++i) {
    below += snapshot.counts[i];
    const std::string bound = json::FormatDouble(snapshot.bounds[i] * scale);
    Sample(bucket, {{"le", bound}}, static_cast<double>(below));
  }
  Sample(bucket, {{"le", "+Inf"}}, static_cast<double>(snapshot.count));
  Sample(std::string(name) + "_sum", {}, snapshot.sum * scale);
  Sample(std::string(name) + "_count", {}, static_cast<double>(snapshot.count));
}

}  // namespace mach::server
