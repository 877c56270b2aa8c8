// Keys of prefixes: the SHA-1 of the text that their tokens spell.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/ids.h"
#include "cache/prefix_image.h"

namespace mach::cache {

// Appends the bytes that a token stands for. Any thread.
using AppendTokenText = std::function<void(TokenId token, std::string& text)>;

// Digests of longer and longer prefixes in one pass. The key only finds; ids decide.
class PrefixKeys {
 public:
  // append_text: empty: the ids themselves are the text, four bytes each, little endian.
  explicit PrefixKeys(const AppendTokenText& append_text);
  ~PrefixKeys();
  PrefixKeys(const PrefixKeys&) = delete;
  PrefixKeys& operator=(const PrefixKeys&) = delete;

  void Append(std::span<const TokenId> tokens);
  Digest digest() const;  // of all that was appended

 private:
  struct Context;
  const AppendTokenText& append_text_;
  std::unique_ptr<Context> context_;
  std::string text_;
};

Digest PrefixKey(std::span<const TokenId> tokens, const AppendTokenText& append_text);

// Of any bytes.
Digest Sha1(std::string_view bytes);

}  // namespace mach::cache
