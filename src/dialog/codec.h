// Between conversations and tokens: the chat template and the tokenizer of the served model.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "chat/output_parser.h"
#include "dialog/chat_input.h"

namespace mach::dialog {

struct Prompt {
  std::string text;  // what was rendered
  std::vector<TokenId> tokens;
  bool ends_in_reasoning = false;  // the template opened a reasoning block for the model
  bool lacks_tools = false;        // there are tools, and the text would be the same without them
  size_t forced = 0;  // of the tokens, the last ones that are the beginning of the answer
};

struct EncodeTextOptions {
  bool add_special = false;   // what the tokenizer puts around a text
  bool parse_special = true;  // text that spells a special token is that token
};

// A part of the output's text.
struct OutputPiece {
  std::string text;
  bool is_marker = false;  // one structural token (see chat::OutputFormat::token_markers)
};

// The text of one output, token by token. One thread.
class TokenDecoder {
 public:
  virtual ~TokenDecoder() = default;
  virtual void Push(TokenId token, std::vector<OutputPiece>& out) = 0;
  virtual void Finish(std::vector<OutputPiece>& out) = 0;  // what was held back
};

// Immutable: safe from any thread. `cancel` is set by another thread when nobody waits for the
// result any more, and outlives the call, which then ends within milliseconds; null: never.
class Codec {
 public:
  virtual ~Codec() = default;
  // kInvalidArgument when the template refuses the conversation; kCancelled.
  virtual Result<Prompt> RenderChat(const ChatInput& input,
                                    const std::atomic<bool>* cancel = nullptr) const = 0;
  // Text as it is, without a template. kCancelled; kInvalidArgument where the tokenizer's patterns
  // take far too long for this text.
  virtual Result<std::vector<TokenId>> EncodeText(
      std::string_view text, const EncodeTextOptions& options = {},
      const std::atomic<bool>* cancel = nullptr) const = 0;
  // The text of tokens, special ones included. Bytes that are no UTF-8 come as U+FFFD. Cancelled:
  // no text.
  virtual std::string DecodeTokens(std::span<const TokenId> tokens,
                                   const std::atomic<bool>* cancel = nullptr) const = 0;
  virtual std::unique_ptr<TokenDecoder> NewDecoder() const = 0;
  // The bytes that the token stands for, perhaps a part of a character.
  virtual std::string TokenBytes(TokenId token) const = 0;
  virtual const chat::OutputFormat& format() const = 0;
  virtual const std::string& template_source() const = 0;
  // What ends an answer, by the tokenizer's files.
  virtual std::vector<TokenId> end_tokens() const { return {}; }
  // The template of conversations with tools; empty: the same.
  virtual std::string_view tool_template_source() const { return {}; }
};

}  // namespace mach::dialog
