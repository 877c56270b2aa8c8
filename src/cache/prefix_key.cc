#include "cache/prefix_key.h"

#include <cstring>

#include <openssl/evp.h>

#include "base/check.h"

namespace mach::cache {
namespace {

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

}  // namespace

struct PrefixKeys::Context {
  Context() : running(EVP_MD_CTX_new()), copy(EVP_MD_CTX_new()) {
    MACH_CHECK(running != nullptr && copy != nullptr);
    MACH_CHECK(EVP_DigestInit_ex(running.get(), EVP_sha1(), nullptr) == 1);
  }
  std::unique_ptr<EVP_MD_CTX, FreeContext> running;
  std::unique_ptr<EVP_MD_CTX, FreeContext> copy;  // finished in the place of the other
};

PrefixKeys::PrefixKeys(const AppendTokenText& append_text)
    : append_text_(append_text), context_(std::make_unique<Context>()) {}

PrefixKeys::~PrefixKeys() = default;

void PrefixKeys::Append(std::span<const TokenId> tokens) {
  text_.clear();
  for (const TokenId token : tokens) {
    if (append_text_) {
      append_text_(token, text_);
    } else {
      for (int shift = 0; shift < 32; shift += 8) {
        text_ += static_cast<char>(static_cast<uint32_t>(token) >> shift);
      }
    }
  }
  MACH_CHECK(EVP_DigestUpdate(context_->running.get(), text_.data(), text_.size()) == 1);
}

Digest PrefixKeys::digest() const {
  Digest digest;
  MACH_CHECK(EVP_MD_CTX_copy_ex(context_->copy.get(), context_->running.get()) == 1);
  MACH_CHECK(EVP_DigestFinal_ex(context_->copy.get(), digest.data(), nullptr) == 1);
  return digest;
}

Digest PrefixKey(std::span<const TokenId> tokens, const AppendTokenText& append_text) {
  PrefixKeys keys(append_text);
  keys.Append(tokens);
  return keys.digest();
}

Digest Sha1(std::string_view bytes) {
  Digest digest;
  MACH_CHECK(EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, EVP_sha1(), nullptr) ==
             1);
  return digest;
}

}  // namespace mach::cache
