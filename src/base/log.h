// Structured lines on standard error. Never inside a kernel or an op; never prompt text.
#pragma once

#include <string>
#include <string_view>

namespace mach {

enum class LogLevel : unsigned char { kDebug, kInfo, kWarning, kError, kOff };

// Called once by cli before threads start. Control bytes in messages are escaped, so that a client
// cannot forge a line. json: one JSON object a line.
struct LogOptions {
  LogLevel level = LogLevel::kInfo;
  bool json = false;
};
void ConfigureLog(const LogOptions& options);

void LogLine(LogLevel level, std::string_view message);

inline void LogDebug(std::string_view message) { LogLine(LogLevel::kDebug, message); }
inline void LogInfo(std::string_view message) { LogLine(LogLevel::kInfo, message); }
inline void LogWarning(std::string_view message) { LogLine(LogLevel::kWarning, message); }
inline void LogError(std::string_view message) { LogLine(LogLevel::kError, message); }

// `text` with control bytes as \n, \t, \xNN. With quotes, also " and \ are escaped (JSON string
// body).
std::string EscapeForLog(std::string_view text, bool quotes);

}  // namespace mach
