#include "base/units.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace mach {
namespace {

constexpr double kGigabyte = 1 << 30;

// Without zeros at the end of the decimals.
std::string Decimals(int64_t steps, int decimals) {
  char text[64];
  const double scale = decimals == 3 ? 1000 : 100;
  std::snprintf(text, sizeof text, "%.*f", decimals, static_cast<double>(steps) / scale);
  std::string out = text;
  while (out.ends_with('0')) out.pop_back();
  if (out.ends_with('.')) out.pop_back();
  return out;
}

int DecimalsFor(uint64_t bytes) { return bytes < uint64_t{1} << 30 ? 3 : 2; }

}  // namespace

std::string BytesText(uint64_t bytes) {
  const auto in = [&](int shift, const char* format) {
    char text[32];
    std::snprintf(text, sizeof text, format,
                  static_cast<double>(bytes) / static_cast<double>(uint64_t{1} << shift));
    return std::string(text);
  };
  // What would be shown as 1024 of a unit is one of the next.
  constexpr uint64_t kRounded = 20;
  if (bytes >= (uint64_t{1} << 30) - (uint64_t{1} << 20) / kRounded) return in(30, "%.2f GiB");
  if (bytes >= (uint64_t{1} << 20) - (uint64_t{1} << 10) / kRounded) return in(20, "%.1f MiB");
  if (bytes >= uint64_t{1} << 10) return in(10, "%.1f KiB");
  return std::to_string(bytes) + (bytes == 1 ? " byte" : " bytes");
}

std::string SizesText(uint64_t found, uint64_t expected) {
  const bool less = found < expected;
  return BytesText(found) + ", expected " + BytesText(expected) + " (" +
         BytesText(less ? expected - found : found - expected) + (less ? " less)" : " more)");
}

std::string DurationText(double seconds) {
  if (!(seconds < 1e15)) return "a long time";
  if (seconds < 9.95) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f s", std::max(seconds, 0.0));
    return text;
  }
  const auto whole = static_cast<int64_t>(std::lround(seconds));
  if (whole < 60) return std::to_string(whole) + " s";
  if (whole < 3600) return std::to_string(whole / 60) + " min " + std::to_string(whole % 60) + " s";
  return std::to_string(whole / 3600) + " h " + std::to_string(whole / 60 % 60) + " min";
}

size_t BytesOfGigabytes(double gigabytes) { return static_cast<size_t>(gigabytes * kGigabyte); }

std::string GigabytesUp(uint64_t bytes) {
  const int decimals = DecimalsFor(bytes);
  const double scale = decimals == 3 ? 1000 : 100;
  auto steps = static_cast<int64_t>(static_cast<double>(bytes) / kGigabyte * scale);
  // What is typed is read back as the nearest double, and cut to bytes.
  while (BytesOfGigabytes(static_cast<double>(steps) / scale) < bytes) ++steps;
  return Decimals(steps, decimals);
}

std::string GigabytesDown(uint64_t bytes) {
  const int decimals = DecimalsFor(bytes);
  const double scale = decimals == 3 ? 1000 : 100;
  auto steps = static_cast<int64_t>(static_cast<double>(bytes) / kGigabyte * scale) + 1;
  while (steps > 0 && BytesOfGigabytes(static_cast<double>(steps) / scale) > bytes) --steps;
  return Decimals(steps, decimals);
}

}  // namespace mach
