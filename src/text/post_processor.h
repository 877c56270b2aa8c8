// The "post_processor" of a tokenizer.json: the tokens it puts around a text.
#pragma once

#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "json/value.h"

namespace mach::text {

// ByteLevel (which changes offsets only), TemplateProcessing, BertProcessing, RobertaProcessing,
// and Sequences with at most one that adds tokens. Templates for pairs of texts are checked, not
// kept.
class PostProcessor {
 public:
  static Result<PostProcessor> FromJson(const json::Value& component);  // null: adds nothing

  // The ids of a text, with special tokens in its frame.
  std::vector<TokenId> Apply(std::vector<TokenId> ids, bool add_special_tokens) const;

 private:
  struct Part {
    bool is_text = false;
    std::vector<TokenId> ids;
  };
  Status Add(const json::Value& component);
  Status AddTemplate(const json::Value& component);
  std::vector<Part> parts_;  // empty: the text alone
};

}  // namespace mach::text
