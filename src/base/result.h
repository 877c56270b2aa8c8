// How the world's failures travel: files, network, memory, requests. Our own bugs are CHECKs.
#pragma once

#include <new>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/check.h"

namespace mach {

// Few codes, each with one meaning for HTTP: kInvalidArgument 400, kNotFound 404, kBusy 429 or 503,
// kCancelled no body, kUnsupported 400 or 501, the rest 500. kNonFinite: arithmetic on a model's
// weights gave NaN or infinity.
enum class Code : unsigned char {
  kInvalidArgument,
  kNotFound,
  kUnsupported,
  kCorrupt,
  kIo,
  kNoMemory,
  kBusy,
  kCancelled,
  kNonFinite,
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

// A T or an E. REQUIRES ok() before a value, and !ok() before an error, is read; both after a
// move still answer ok() as before. A union of our own: each T is compiled in many places, and
// std::variant costs the compiler twice the work.
template <class T, class E = Error>
class [[nodiscard]] Result {
  static_assert(std::is_nothrow_move_constructible_v<T>, "so that assignment always ends with one");

 public:
  Result(T value) : ok_(true), value_(std::move(value)) {}  // NOLINT: implicit by design
  Result(E e) : ok_(false), error_(std::move(e)) {}         // NOLINT: implicit by design
  Result(const Result& o) requires std::is_copy_constructible_v<T> : ok_(o.ok_) {
    if (ok_) {
      new (&value_) T(o.value_);
    } else {
      new (&error_) E(o.error_);
    }
  }
  Result(Result&& o) noexcept : ok_(o.ok_) { MoveFrom(o); }
  Result& operator=(Result&& o) noexcept {
    if (this != &o) {
      Destroy();
      ok_ = o.ok_;
      MoveFrom(o);
    }
    return *this;
  }
  ~Result() { Destroy(); }

  bool ok() const { return ok_; }
  explicit operator bool() const { return ok_; }

  T& operator*() & {
    MACH_CHECK(ok_);
    return value_;
  }
  const T& operator*() const& {
    MACH_CHECK(ok_);
    return value_;
  }
  T&& operator*() && {
    MACH_CHECK(ok_);
    return std::move(value_);
  }
  T* operator->() { return &**this; }
  const T* operator->() const { return &**this; }

  const E& error() const& {
    MACH_CHECK(!ok_);
    return error_;
  }
  E&& error() && {
    MACH_CHECK(!ok_);
    return std::move(error_);
  }

 private:
  void MoveFrom(Result& o) {
    if (ok_) {
      new (&value_) T(std::move(o.value_));
    } else {
      new (&error_) E(std::move(o.error_));
    }
  }
  void Destroy() {
    if (ok_) {
      value_.~T();
    } else {
      error_.~E();
    }
  }

  bool ok_;
  union {
    T value_;
    E error_;
  };
};

// Success or an Error. Ok() makes the former.
struct Success {};
using Status = Result<Success>;
inline Status Ok() { return Success{}; }

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
