// Between conversations and tokens: the chat template and the tokenizer of the served model.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "chat/output_parser.h"
#include "server/generation_request.h"

namespace mach::server {

struct Prompt {
  std::vector<TokenId> tokens;
  bool ends_in_reasoning = false;  // the template opened a reasoning block for the model
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

// Immutable: safe from any thread.
class Codec {
 public:
  virtual ~Codec() = default;
  // kInvalidArgument when the template refuses the conversation.
  virtual Result<Prompt> RenderChat(const ChatInput& input) const = 0;
  // Text as it is, without a template; special tokens in it count.
  virtual std::vector<TokenId> EncodeText(std::string_view text) const = 0;
  virtual std::unique_ptr<TokenDecoder> NewDecoder() const = 0;
  // The bytes that the token stands for, perhaps a part of a character.
  virtual std::string TokenBytes(TokenId token) const = 0;
  virtual const chat::OutputFormat& format() const = 0;
};

}  // namespace mach::server
