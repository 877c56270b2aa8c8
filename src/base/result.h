// How the world's failures travel: files, network, memory, requests. Our own bugs are CHECKs.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/check.h"

namespace mach {

// Few codes, each with one meaning for HTTP: kInvalidArgument 400, kNotFound 404, kBusy 429 or 503,
// kCancelled no body, kUnsupported 400 or 501, the rest 500.
enum class Code : unsigned char {
  kInvalidArgument,
  kNotFound,
  kUnsupported,
  kCorrupt,
  kIo,
  kNoMemory,
  kBusy,
  kCancelled,
};

std::string_view CodeName(Code code);

// message: names the thing, what was found, what was expected and what to do.
struct [[nodiscard]] Error {
  Code code = Code::kInvalidArgument;
  std::string message;

  // Adds context while unwinding: Error{...}.In("model.safetensors").
  Error&& In(std::string_view where) && {
    message.insert(0, std::string(where) + ": ");
    return std::move(*this);
  }
};

// A T or an Error. REQUIRES ok() before a value, and !ok() before an error, is read.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : v_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit by design
  Result(Error e) : v_(std::in_place_index<1>, std::move(e)) {}      // NOLINT: implicit by design

  bool ok() const { return v_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& operator*() & { return Value(); }
  const T& operator*() const& {
    MACH_CHECK(ok());
    return *std::get_if<0>(&v_);
  }
  T&& operator*() && { return std::move(Value()); }
  T* operator->() { return &Value(); }
  const T* operator->() const { return &**this; }

  const Error& error() const& {
    MACH_CHECK(!ok());
    return *std::get_if<1>(&v_);
  }
  Error&& error() && {
    MACH_CHECK(!ok());
    return std::move(*std::get_if<1>(&v_));
  }

 private:
  T& Value() {
    MACH_CHECK(ok());
    return *std::get_if<0>(&v_);
  }
  std::variant<T, Error> v_;
};

// Success or an Error. Ok() makes the former.
using Status = Result<std::monostate>;
inline Status Ok() { return std::monostate{}; }

}  // namespace mach

#define MACH_CONCAT_(a, b) a##b
#define MACH_CONCAT(a, b) MACH_CONCAT_(a, b)

// MACH_TRY(auto file, Open(path)); declares the value or returns the error.
#define MACH_TRY(decl, expr) MACH_TRY_(MACH_CONCAT(mach_try_, __LINE__), decl, expr)
#define MACH_TRY_(tmp, decl, expr)         \
  auto tmp = (expr);                       \
  if (!tmp) return std::move(tmp).error(); \
  decl = *std::move(tmp)

// MACH_RETURN_IF_ERROR(Write(...)); for a Status, or to drop the value.
#define MACH_RETURN_IF_ERROR(expr)                                                         \
  do {                                                                                     \
    if (auto mach_status_ = (expr); !mach_status_) return std::move(mach_status_).error(); \
  } while (false)
