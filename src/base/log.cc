#include "base/log.h"

#include <string>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace mach {
namespace {

spdlog::logger& Logger() {
  static spdlog::logger logger = [] {
    spdlog::logger made("mach", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made.set_pattern("%Y-%m-%dT%H:%M:%S.%e %L %v");
    made.flush_on(spdlog::level::info);
    return made;
  }();
  return logger;
}

bool g_json = false;

spdlog::level::level_enum Level(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      return spdlog::level::off;
  }
  return spdlog::level::info;
}

}  // namespace

std::string EscapeForLog(std::string_view text, bool quotes) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (u < 0x20 || u == 0x7f) {
      out += quotes ? "\\u00" : "\\x";
      out += kHex[u >> 4];
      out += kHex[u & 15];
    } else {
      if (quotes && (c == '"' || c == '\\')) out += '\\';
      out += c;
    }
  }
  return out;
}

void ConfigureLog(const LogOptions& options) {
  g_json = options.json;
  Logger().set_level(Level(options.level));
  if (options.json) {
    Logger().set_pattern(R"({"time":"%Y-%m-%dT%H:%M:%S.%e","level":"%l","message":"%v"})");
  }
}

void LogLine(LogLevel level, std::string_view message) {
  if (Logger().should_log(Level(level))) Logger().log(Level(level), EscapeForLog(message, g_json));
}

}  // namespace mach
