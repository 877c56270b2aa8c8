// The tests' own helpers.
#include <gtest/gtest.h>

#include "engine/testing/scripted_engine.h"
#include "server/test_client.h"

namespace mach::server {
namespace {

TEST(TestClient, SeparatesEventsFromComments) {
  EXPECT_EQ(SseData(": ping\n\ndata: {}\n\n: ping\n\ndata: [DONE]\n\n"),
            (std::vector<std::string>{"{}", "[DONE]"}));
}

TEST(ScriptedCodec, DecodesWhatItEncodes) {
  const engine::ScriptedCodec codec;
  const auto decoder = codec.NewDecoder();
  std::vector<dialog::OutputPiece> pieces;
  for (const TokenId token : engine::ScriptTokens("a</think>b")) decoder->Push(token, pieces);
  ASSERT_EQ(pieces.size(), 3u);
  EXPECT_EQ(pieces[1].text, "</think>");
  EXPECT_TRUE(pieces[1].is_marker);
  EXPECT_FALSE(pieces[2].is_marker);
}

}  // namespace
}  // namespace mach::server
