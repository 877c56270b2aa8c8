#include <gtest/gtest.h>

#include "engine/engine.h"

namespace mach::engine {
namespace {

// A restart is advised only with a context that holds the prompt and a token more.
TEST(HowToFitPrompt, AdvisesWhatWorks) {
  Info info;
  info.context_tokens = 1024;
  info.most_context_tokens = 4096;
  EXPECT_EQ(HowToFitPrompt(info, 1024), "shorten it, or restart with --ctx-size up to 4096");
  EXPECT_EQ(HowToFitPrompt(info, 4095), "shorten it, or restart with --ctx-size up to 4096");
  EXPECT_EQ(HowToFitPrompt(info, 4096).find("--ctx-size"), std::string::npos);
  info.most_context_tokens = 1024;  // all that the model and the ceiling allow
  EXPECT_EQ(HowToFitPrompt(info, 1024).find("--ctx-size"), std::string::npos);
  info.most_context_tokens = 0;  // unknown
  EXPECT_EQ(HowToFitPrompt(info, 2000).find("--ctx-size"), std::string::npos);
}

}  // namespace
}  // namespace mach::engine
