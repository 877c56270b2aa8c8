// Text to tokens and back, as a Hugging Face tokenizer.json says. The reference is the Rust library
// `tokenizers` 0.22: the same ids and the same text, but for characters newer than our Unicode
// tables. "truncation" and "padding" of the file are the caller's business and are not applied.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/utf8.h"

namespace mach::text {

class Decoder;
class WorkBudget;

struct EncodeOptions {
  bool add_special_tokens = false;  // what the post-processor adds
  // Byte ranges of the text in which special and structural added tokens are NOT recognized, so
  // that a user's message that spells one is ordinary text. A match that touches such a range is
  // refused. Everything else (pre-tokenization, merges across the boundary, plain added tokens such
  // as runs of spaces) is as if the ranges were not there. In any order; parts past the end are
  // ignored.
  std::span<const Span> plain;
};

// Immutable after MarkStructural, and then safe to use from any thread.
//
// A file cannot make a call hang or fill memory: each call has one WorkBudget for all steps, which
// says what happens where that is spent (text/work_budget.h). A warning is logged then; no
// published tokenizer comes near it.
class Tokenizer {
 public:
  // From the bytes of a tokenizer.json. kUnsupported names a component that we do not have,
  // kInvalidArgument the place of what is wrong.
  static Result<std::unique_ptr<Tokenizer>> FromJson(std::string_view tokenizer_json);
  ~Tokenizer();
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  // Invalid UTF-8 is read as if each invalid part were U+FFFD. Empty where a pattern takes far
  // longer than any published one does.
  std::vector<TokenId> Encode(std::string_view text, const EncodeOptions& options = {}) const;
  // The same with a budget of the caller's, who may cancel it and sees in it what became of the
  // call: within some 16 KiB of text, or one search of a pattern. REQUIRES budget of this text.
  std::vector<TokenId> Encode(std::string_view text, const EncodeOptions& options,
                              WorkBudget& budget) const;

  // Ids that the vocabulary lacks are skipped. Empty where `cancel` was seen to be set, by another
  // thread; null: never.
  std::string Decode(std::span<const TokenId> ids, bool skip_special_tokens,
                     const std::atomic<bool>* cancel = nullptr) const;

  // Number of distinct tokens, added ones included. Ids may have gaps: see end_id.
  size_t vocab_size() const;
  // One more than the largest id.
  size_t end_id() const;

  std::optional<TokenId> Find(std::string_view content) const;
  // The token's own string ("Ġthe", "<|im_end|>"); "" for an id that the vocabulary lacks.
  std::string Token(TokenId id) const;
  // The bytes that the token stands for inside a text, for log probabilities: perhaps a part of a
  // character. What a decoder strips at the ends of a text stays.
  std::string TokenBytes(TokenId id) const;
  bool IsSpecial(TokenId id) const;
  bool IsAdded(TokenId id) const;

  // Added tokens whose content the chat template writes literally are structural (see
  // EncodeOptions::plain), special or not; white space alone never is. Called after load, once
  // for each template, before any other thread encodes.
  void MarkStructural(std::string_view template_source);

 private:
  friend class StreamDecoder;
  struct Parts;
  explicit Tokenizer(std::unique_ptr<Parts> parts);

  void EncodeText(std::string_view text, std::string_view plain, bool at_start,
                  std::vector<TokenId>& out, WorkBudget& budget) const;
  const Decoder& decoder() const;
  // The token's string; nothing for an id without one, or one that is left out.
  std::optional<std::string_view> DecodedToken(TokenId id, bool skip_special_tokens) const;

  const std::unique_ptr<Parts> parts_;
};

}  // namespace mach::text
