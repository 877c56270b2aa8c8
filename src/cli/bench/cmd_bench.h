// `mach bench`: what this machine gives, and how close Mach comes to it.
#pragma once

#include <optional>
#include <string>

#include "cli/options/command_line.h"

namespace mach::cli {

struct BenchDiskOptions {
  std::string directory;
  size_t file_mb = 0;
  size_t memory_mb = 0;
  std::optional<size_t> record_kb;
  double seconds = 0;  // of one case in one round
  size_t rounds = 0;
};

struct BenchStreamingOptions {
  std::string checkpoint;
  std::string sidecar_dir;   // empty: the checkpoint's own
  std::string direct_pread;  // "auto", "io_uring", "pread"
  size_t threads = 0;        // 0: the processors there are
  double bank = 0;           // share of all experts
  size_t tokens = 0;
  size_t prompt_tokens = 0;
  size_t rounds = 0;
  bool decode_only = false;
};

struct BenchTraceOptions {
  std::string trace;
  size_t record_kb = 0;
  std::string record;  // the model that writes the trace; empty: it is there
  std::string text;    // a file, for recording
  size_t tokens = 0;
};

struct BenchMatmulOptions {
  size_t threads = 0;  // 0: the processors there are
  std::string isa;     // "auto" or a name
  size_t memory_mb = 0;
  size_t rounds = 0;
  int group = 0;
  bool quick = false;
};

BenchDiskOptions BenchDiskOptionsFrom(const Values& values);
BenchStreamingOptions BenchStreamingOptionsFrom(const Values& values);
BenchTraceOptions BenchTraceOptionsFrom(const Values& values);
BenchMatmulOptions BenchMatmulOptionsFrom(const Values& values);

int RunBenchDisk(const BenchDiskOptions& options);
int RunBenchStreaming(const BenchStreamingOptions& options);
int RunBenchTrace(const BenchTraceOptions& options);
int RunBenchMatmul(const BenchMatmulOptions& options);

}  // namespace mach::cli
