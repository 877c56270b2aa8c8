// Conversations for tests, each a pure function of (seed, number): messages, tools and options as
// clients send them, and as they should not.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "json/value.h"

namespace mach::jinja {

class ConversationGenerator {
 public:
  ConversationGenerator(uint64_t seed, uint64_t number) : seed_(seed), number_(number) {}

  // The variables of a render.
  json::Object Variables();

 private:
  // Uniform in [0, n).
  size_t Pick(size_t n);
  bool Chance(double probability);
  std::string Text(size_t max_pieces);
  std::string Name();
  json::Value Number();
  json::Value AnyValue(int depth);
  json::Value AnyObject(int depth);
  json::Value Schema(int depth);
  json::Value Tool();
  json::Value Parts();
  json::Value ToolCall();
  json::Value Message(std::string_view role);
  json::Value Messages();

  const uint64_t seed_;
  const uint64_t number_;
  uint32_t draws_ = 0;
};

}  // namespace mach::jinja
