#include "server/protocol/output_pipeline.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "base/utf8.h"
#include "engine/testing/scripted_engine.h"

namespace mach::server {
namespace {

// Tokens are any byte strings: token i is the i-th piece.
class PieceCodec final : public dialog::Codec {
 public:
  explicit PieceCodec(std::vector<std::string> pieces) : pieces_(std::move(pieces)) {}
  Result<dialog::Prompt> RenderChat(const dialog::ChatInput&,
                                    const std::atomic<bool>*) const override {
    return dialog::Prompt{};
  }
  Result<std::vector<TokenId>> EncodeText(std::string_view, const dialog::EncodeTextOptions&,
                                          const std::atomic<bool>*) const override {
    return std::vector<TokenId>();
  }
  std::unique_ptr<dialog::TokenDecoder> NewDecoder() const override {
    return std::make_unique<Decoder>(*this);
  }
  std::string TokenBytes(TokenId token) const override {
    return pieces_[static_cast<size_t>(token)];
  }
  std::string DecodeTokens(std::span<const TokenId>, const std::atomic<bool>*) const override {
    return "";
  }
  const std::string& template_source() const override { return source_; }
  const chat::OutputFormat& format() const override { return format_; }

 private:
  class Decoder final : public dialog::TokenDecoder {
   public:
    explicit Decoder(const PieceCodec& codec) : codec_(codec) {}
    void Push(TokenId token, std::vector<dialog::OutputPiece>& out) override {
      out.push_back({codec_.TokenBytes(token), false});
    }
    void Finish(std::vector<dialog::OutputPiece>&) override {}

   private:
    const PieceCodec& codec_;
  };
  const std::vector<std::string> pieces_;
  const std::string source_;
  const chat::OutputFormat format_{"<think>", "</think>", "<tool_call>", "</tool_call>", false};
};

struct Output {
  std::string text;  // kinds and text, parts of one kind joined
  std::string shown_by_logprobs;
  bool stopped = false;
  bool operator==(const Output&) const = default;
};

Output RunPipeline(const std::vector<std::string>& pieces, const GenerationRequest& request,
                   bool in_reasoning) {
  const auto codec = std::make_shared<PieceCodec>(pieces);
  dialog::Prompt prompt;
  prompt.ends_in_reasoning = in_reasoning;
  OutputPipeline pipeline(codec, request, prompt,
                          std::make_shared<const chat::Patterns>(request.stop));
  Output output;
  int last = -1;
  const auto take = [&](std::vector<OutputDelta> deltas) {
    for (const OutputDelta& delta : deltas) {
      EXPECT_TRUE(utf8::IsValid(delta.text));
      EXPECT_TRUE(!delta.text.empty() || delta.kind == chat::EventKind::kCallEnd);
      if (static_cast<int>(delta.kind) != last || delta.kind == chat::EventKind::kCallStart) {
        last = static_cast<int>(delta.kind);
        output.text += "[" + std::to_string(last) + "]";
      }
      output.text += delta.text;
      for (const json::Value& entry : delta.logprobs) {
        for (const json::Value& byte : entry.Find("bytes")->AsArray()) {
          output.shown_by_logprobs += static_cast<char>(byte.AsInt());
        }
      }
    }
  };
  for (size_t i = 0; i < pieces.size(); ++i) {
    std::vector<OutputDelta> deltas;
    pipeline.Push({.token = static_cast<TokenId>(i)}, deltas);
    take(std::move(deltas));
  }
  std::vector<OutputDelta> deltas;
  pipeline.Finish(false, deltas);
  take(std::move(deltas));
  output.stopped = pipeline.stopped();
  return output;
}

std::vector<std::string> Cut(const std::string& text, uint64_t seed) {
  std::vector<std::string> pieces;
  for (size_t at = 0; at < text.size();) {
    const size_t longest = seed % 3 == 0 ? 1 : 12;
    const size_t n = 1 + static_cast<size_t>(UniformAt(seed, at) * static_cast<double>(longest));
    pieces.push_back(text.substr(at, n));
    at += n;
  }
  return pieces;
}

TEST(OutputPipeline, SaysTheSameHoweverTheTokensCutTheText) {
  const std::string family = "👨‍👩‍👧‍👦 e\xCC\x81 漢字 ";
  const std::string texts[] = {
      family + "plain\xFF\xF0\x9F broken " + family,
      "Hm " + family + "\n</think>\n\nSo " + family + "END rest",
      "<think>a</think>b<tool_call>\n<function=f>\n<parameter=x>\n" + family +
          "\n</parameter>\n</function>\n</tool_call>",
      "E EN ENDE \xE2\x82",
      "I END </think> x END",
  };
  GenerationRequest request;
  request.stop = {"END", "漢字 漢"};
  request.parse_tools = true;
  for (const std::string& text : texts) {
    for (const bool in_reasoning : {false, true}) {
      const Output whole = RunPipeline({text}, request, in_reasoning);
      for (uint64_t seed = 0; seed < 60; ++seed) {
        const Output cut = RunPipeline(Cut(text, seed), request, in_reasoning);
        ASSERT_EQ(cut.text, whole.text) << text << " seed " << seed;
        ASSERT_EQ(cut.stopped, whole.stopped);
      }
    }
  }
}

TEST(OutputPipeline, StopStringsCountInContentOnly) {
  GenerationRequest request;
  request.stop = {"END"};
  request.parse_tools = true;
  EXPECT_EQ(RunPipeline({"a END b</think>c END d"}, request, true).text, "[1]a END b[0]c ");
  const Output call =
      RunPipeline({"<tool_call><function=END></function></tool_call>"}, request, false);
  EXPECT_EQ(call.text, "[2]END[3]{}[4]");
  EXPECT_FALSE(call.stopped);
}

TEST(OutputPipeline, LogProbabilitiesFollowTheTextThatIsShown) {
  GenerationRequest request;
  request.stop = {"END"};
  request.logprobs = true;
  for (uint64_t seed = 0; seed < 30; ++seed) {
    const Output output = RunPipeline(Cut("naïve text, END and more", seed * 3), request, false);
    EXPECT_EQ(output.shown_by_logprobs, "naïve text, ");
  }
}

TEST(OutputPipeline, StopsAfterTheOneCallThatIsAllowed) {
  GenerationRequest request;
  request.parse_tools = true;
  request.parallel_tool_calls = false;
  const std::string call = "<tool_call><function=f></function></tool_call>";
  const Output output = RunPipeline(Cut(call + call, 1), request, false);
  EXPECT_EQ(output.text, "[2]f[3]{}[4]");
  EXPECT_TRUE(output.stopped);
}

}  // namespace
}  // namespace mach::server
