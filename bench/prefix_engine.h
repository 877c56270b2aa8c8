// What the programs that measure the prefix cache share.
#pragma once

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/topology.h"
#include "engine/collect.h"
#include "engine/open.h"
#include "io/file.h"

namespace mach {

// Of the environment.
inline std::string Setting(const char* name, const std::string& otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : value;
}

template <class T>
T OrExit(Result<T> made) {
  if (made) return *std::move(made);
  std::fprintf(stderr, "%s\n", made.error().message.c_str());
  std::exit(1);
}

// A drafter beside the model ("MODEL-dflash") drafts.
inline std::shared_ptr<engine::Engine> NewEngine(const std::string& checkpoint, size_t context,
                                                 std::optional<engine::PrefixOptions> prefix) {
  static const SystemClock clock;
  engine::OpenOptions open;
  open.checkpoint = checkpoint;
  open.model_id = "m";
  open.context_tokens = context;
  open.memory_bytes = OrExit(FreeMemoryBytes());
  open.prefix = std::move(prefix);
  return OrExit(engine::Open(io::PosixFileSystem(), open, nullptr, clock)).engine;
}

}  // namespace mach
