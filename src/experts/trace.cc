#include "experts/trace.h"

#include <charconv>

#include "base/check.h"

namespace mach::experts {
namespace {

constexpr std::string_view kMagic = "mach-expert-trace 1 ";
// Bounds of what a file may claim.
constexpr size_t kMostLayers = 1024;
constexpr size_t kMostExperts = 65536;
constexpr size_t kMostTopK = 256;
constexpr size_t kMostRows = 65536;

Error Corrupt(const std::string& message) {
  return Error{Code::kCorrupt, "expert trace: " + message + "; record it again"};
}

// Takes "NAME=N" and one character after it from the front.
Result<size_t> TakeNumber(std::string_view& text, std::string_view name, size_t most) {
  const std::string wanted = std::string(name) + "=1 to " + std::to_string(most);
  if (!text.starts_with(name) || text.substr(name.size(), 1) != "=") {
    return Corrupt("expected " + wanted + " in the first line");
  }
  text.remove_prefix(name.size() + 1);
  size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || value == 0 || value > most) {
    return Corrupt("expected " + wanted + " in the first line");
  }
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  if (!text.empty()) text.remove_prefix(1);
  return value;
}

size_t IdBytes(const Trace& trace) { return trace.experts <= 256 ? 1 : 2; }

void Put(std::string& out, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}

uint32_t Get(std::string_view bytes, size_t count) {
  uint32_t value = 0;
  for (size_t i = 0; i < count; ++i) {
    value |= uint32_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  }
  return value;
}

}  // namespace

void TraceRecorder::OnLayer(std::span<const ExpertId> ids) {
  MACH_CHECK(!ids.empty() && ids.size() % trace_.top_k == 0);
  if (layer_ == 0) trace_.passes.push_back({static_cast<uint32_t>(ids.size() / trace_.top_k), {}});
  for (const ExpertId id : ids) {
    MACH_CHECK(Index(id) < trace_.experts);
    trace_.passes.back().ids.push_back(static_cast<uint16_t>(Index(id)));
  }
  layer_ = (layer_ + 1) % trace_.layers;
}

std::string FormatTrace(const Trace& trace) {
  std::string out = std::string(kMagic) + "layers=" + std::to_string(trace.layers) +
                    " experts=" + std::to_string(trace.experts) +
                    " top_k=" + std::to_string(trace.top_k) + "\n";
  for (const TracePass& pass : trace.passes) {
    Put(out, pass.rows, 4);
    for (const uint16_t id : pass.ids) Put(out, id, IdBytes(trace));
  }
  return out;
}

Result<Trace> ParseTrace(std::string_view bytes) {
  const std::string_view all = bytes;
  const size_t end_of_line = bytes.substr(0, 200).find('\n');
  if (!bytes.starts_with(kMagic) || end_of_line == bytes.npos) {
    return Corrupt("expected the first line to begin with '" + std::string(kMagic) + "'");
  }
  std::string_view line = bytes.substr(kMagic.size(), end_of_line - kMagic.size());
  Trace trace;
  MACH_TRY(trace.layers, TakeNumber(line, "layers", kMostLayers));
  MACH_TRY(trace.experts, TakeNumber(line, "experts", kMostExperts));
  MACH_TRY(trace.top_k, TakeNumber(line, "top_k", kMostTopK));
  bytes.remove_prefix(end_of_line + 1);
  const size_t width = IdBytes(trace);
  while (!bytes.empty()) {
    const std::string at = "byte " + std::to_string(all.size() - bytes.size());
    if (bytes.size() < 4) return Corrupt(at + ": it ends within a pass");
    TracePass pass;
    pass.rows = Get(bytes, 4);
    bytes.remove_prefix(4);
    const uint64_t count = uint64_t{trace.layers} * pass.rows * trace.top_k;
    if (pass.rows == 0 || pass.rows > kMostRows || count > bytes.size() / width) {
      return Corrupt(at + ": a pass of " + std::to_string(pass.rows) + " rows, " +
                     std::to_string(bytes.size()) + " bytes are left");
    }
    pass.ids.reserve(count);
    for (uint64_t i = 0; i < count; ++i) {
      const uint32_t id = Get(bytes.substr(i * width, width), width);
      if (id >= trace.experts) {
        return Corrupt(at + ": expert " + std::to_string(id) + " of " +
                       std::to_string(trace.experts));
      }
      pass.ids.push_back(static_cast<uint16_t>(id));
    }
    bytes.remove_prefix(count * width);
    trace.passes.push_back(std::move(pass));
  }
  return trace;
}

}  // namespace mach::experts
