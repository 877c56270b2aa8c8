// Strings that know which of their bytes came from a tracked message, and how to build them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "jinja/template.h"

namespace mach::jinja {

// What the values of one render occupy.
struct Memory {
  size_t used = 0;
};

// Base of everything that a Value shares. Accounts for its bytes while it lives.
class Object {
 public:
  Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  virtual ~Object() {
    if (memory_ != nullptr) memory_->used -= bytes_;
  }
  void Charge(Memory* memory, size_t bytes) {
    memory_ = memory;
    bytes_ += bytes;
    memory->used += bytes;
  }

  unsigned depth = 0;  // levels of objects below this one; bounds recursion over values

 private:
  Memory* memory_ = nullptr;
  size_t bytes_ = 0;
};

// Immutable once it is shared. Invariants: bytes is valid UTF-8; plain is sorted and disjoint.
struct Text final : Object {
  std::string bytes;
  std::vector<Span> plain;
  bool safe = false;  // markupsafe's Markup: escapes what is added to it
  bool ascii = true;
  std::vector<uint32_t> marks;  // of texts beyond ASCII: byte offsets of every 256th code point

  bool AnyPlain() const { return !plain.empty(); }
  size_t Length() const;                   // code points
  size_t Offset(size_t code_point) const;  // byte offset, or bytes.size() past the end
  // Sets what follows from bytes; those before `from` were measured.
  void Measure(size_t from = 0);
};

// Appends text and keeps the ranges.
class TextBuilder {
 public:
  TextBuilder() = default;
  // Goes on with what the text holds, which it takes.
  explicit TextBuilder(Text& text) : bytes_(std::move(text.bytes)), plain_(std::move(text.plain)) {}

  void Append(std::string_view bytes) { bytes_ += bytes; }
  void Append(size_t count, char c) { bytes_.append(count, c); }
  void Append(const Text& text) { Append(text, 0, text.bytes.size()); }
  void Append(const Text& text, size_t begin, size_t end);  // bytes [begin, end) of text
  void AppendPlain(std::string_view bytes);
  // Marks [begin, size()) as plain.
  void MarkFrom(size_t begin);

  size_t size() const { return bytes_.size(); }
  const std::string& bytes() const { return bytes_; }
  std::string TakeBytes() { return std::move(bytes_); }
  std::vector<Span> TakePlain() { return std::move(plain_); }

 private:
  void Mark(size_t begin, size_t end);

  std::string bytes_;
  std::vector<Span> plain_;
};

}  // namespace mach::jinja
