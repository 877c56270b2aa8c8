// One output, cut in two ways: what a client is told does not depend on the cuts. The first bytes
// choose options and cuts, the rest is the output.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/utf8.h"
#include "server/protocol/output_pipeline.h"

namespace {

using namespace mach;
using namespace mach::server;

constexpr std::string_view kMarkers[] = {"<think>", "</think>", "<tool_call>", "</tool_call>"};

// Token i is the i-th piece; a piece that spells a marker is that marker.
class PieceCodec final : public dialog::Codec {
 public:
  PieceCodec(std::vector<std::string> pieces, bool token_markers)
      : pieces_(std::move(pieces)), format_{"<think>",      "</think>",    "<tool_call>",
                                            "</tool_call>", token_markers, false} {}
  Result<dialog::Prompt> RenderChat(const dialog::ChatInput&,
                                    const std::atomic<bool>*) const override {
    return dialog::Prompt{};
  }
  Result<std::vector<TokenId>> EncodeText(std::string_view, const dialog::EncodeTextOptions&,
                                          const std::atomic<bool>*) const override {
    return std::vector<TokenId>();
  }
  std::string DecodeTokens(std::span<const TokenId>, const std::atomic<bool>*) const override {
    return "";
  }
  const std::string& template_source() const override { return source_; }
  std::unique_ptr<dialog::TokenDecoder> NewDecoder() const override {
    return std::make_unique<Decoder>(*this);
  }
  std::string TokenBytes(TokenId token) const override {
    return pieces_[static_cast<size_t>(token)];
  }
  const chat::OutputFormat& format() const override { return format_; }

 private:
  class Decoder final : public dialog::TokenDecoder {
   public:
    explicit Decoder(const PieceCodec& codec) : codec_(codec) {}
    void Push(TokenId token, std::vector<dialog::OutputPiece>& out) override {
      const std::string text = codec_.TokenBytes(token);
      bool marker = false;
      for (const std::string_view m : kMarkers) marker |= codec_.format_.token_markers && text == m;
      out.push_back({text, marker});
    }
    void Finish(std::vector<dialog::OutputPiece>&) override {}

   private:
    const PieceCodec& codec_;
  };
  const std::vector<std::string> pieces_;
  const std::string source_;
  const chat::OutputFormat format_;
};

struct Options {
  bool tools, starts_in_reasoning, truncated, stop, single_call, inline_reasoning, token_markers;
};

// The text in pieces: markers whole where they are tokens, the rest of 1 to `most` bytes.
std::vector<std::string> Cut(std::string_view text, uint32_t seed, size_t most,
                             bool token_markers) {
  std::vector<std::string> pieces;
  while (!text.empty()) {
    size_t n = 0;
    for (const std::string_view m : kMarkers) {
      if (token_markers && text.starts_with(m)) n = m.size();
    }
    if (n == 0) {
      seed = seed * 1664525u + 1013904223u;
      n = std::min<size_t>(1 + (seed >> 16) % most, text.size());
      for (const std::string_view m : kMarkers) {
        const size_t at = text.substr(0, n + m.size()).find(m);
        if (token_markers && at != std::string_view::npos) n = std::min(n, at);
      }
    }
    pieces.emplace_back(text.substr(0, n));
    text.remove_prefix(n);
  }
  return pieces;
}

// Kinds and texts, parts of one kind joined.
std::string Run(std::vector<std::string> pieces, const Options& options) {
  const size_t count = pieces.size();
  GenerationRequest request;
  request.parse_tools = options.tools;
  request.parallel_tool_calls = !options.single_call;
  request.inline_reasoning = options.inline_reasoning;
  if (options.stop) request.stop = {"ab", "\n\n", "</f", "é"};
  dialog::Prompt prompt;
  prompt.ends_in_reasoning = options.starts_in_reasoning;
  const auto codec = std::make_shared<PieceCodec>(std::move(pieces), options.token_markers);
  OutputPipeline pipeline(codec, request, prompt,
                          std::make_shared<const chat::Patterns>(request.stop));
  std::vector<OutputDelta> deltas;
  for (size_t i = 0; i < count; ++i) {
    engine::TokenEvent event;
    event.token = static_cast<TokenId>(i);
    pipeline.Push(event, deltas);
  }
  pipeline.Finish(options.truncated, deltas);
  std::string out;
  int kind = -1;
  bool call_open = false;
  for (const OutputDelta& delta : deltas) {
    MACH_CHECK(utf8::IsValid(delta.text));
    MACH_CHECK(!delta.text.empty() || delta.kind == chat::EventKind::kCallEnd);
    if (delta.kind == chat::EventKind::kCallStart) {
      MACH_CHECK(!call_open);
      call_open = true;
    }
    if (delta.kind == chat::EventKind::kArguments) MACH_CHECK(call_open);
    if (delta.kind == chat::EventKind::kCallEnd) {
      MACH_CHECK(call_open);
      call_open = false;
    }
    const bool starts = delta.kind == chat::EventKind::kCallStart;
    if (static_cast<int>(delta.kind) != kind || starts) {
      kind = static_cast<int>(delta.kind);
      out += '\x01';
      out += static_cast<char>('0' + kind);
    }
    out += delta.text;
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 4 || size > 4096) return 0;
  const uint8_t bits = data[0];
  const Options options{(bits & 1) != 0,  (bits & 2) != 0,  (bits & 4) != 0, (bits & 8) != 0,
                        (bits & 16) != 0, (bits & 32) != 0, (bits & 64) != 0};
  const std::string_view text(reinterpret_cast<const char*>(data) + 3, size - 3);
  const std::string one = Run(Cut(text, data[1], 1, options.token_markers), options);
  const std::string other =
      Run(Cut(text, data[1], 1 + data[2] % 40, options.token_markers), options);
  const std::string whole = Run(Cut(text, 0, 100000, options.token_markers), options);
  MACH_CHECK(one == other);
  MACH_CHECK(one == whole);
  return 0;
}
