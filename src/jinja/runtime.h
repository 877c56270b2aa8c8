// What every part of one render shares: its limits, and the making of values.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "jinja/template.h"
#include "jinja/value.h"
#include "json/value.h"

namespace mach::jinja {

// An error of the render (not of raise_exception).
Error RenderError(std::string message);

class Runtime {
 public:
  explicit Runtime(const RenderOptions& options);
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  const RenderOptions& options() const { return options_; }

  // Counts work, and says whether a limit is reached or the render is cancelled. Whatever evaluates
  // or loops calls it; values made between two calls may go beyond the limits, so what multiplies
  // sizes calls Reserve first.
  Status Step(size_t work = 1);
  // Whether `bytes` more of memory would be within the limits.
  Status Reserve(size_t bytes) const;
  // Whether recursion may go one level deeper.
  Status CheckStack() const;

  Value MakeText(std::string bytes, bool plain = false, bool safe = false);
  Value MakeText(TextBuilder builder, bool safe = false);
  // Bytes [begin, end) of text.
  Value Part(const Text& text, size_t begin, size_t end, bool safe = false);
  // REQUIRES: kind is kList or kTuple.
  Value MakeSequence(Kind kind, std::vector<Value> items);
  Value MakeList(std::vector<Value> items) { return MakeSequence(Kind::kList, std::move(items)); }
  Value MakeTuple(std::vector<Value> items) { return MakeSequence(Kind::kTuple, std::move(items)); }
  Value MakeGroup(const Value& grouper, const Value& list);
  // An error where a key is not hashable.
  Result<Value> MakeDict(std::vector<std::pair<Value, Value>> items);
  Value MakeDictView(const Value& dict, DictView::What what);
  Value MakeRange(int64_t start, int64_t stop, int64_t step, int64_t length);
  // depth: of what `next` refers to.
  Value MakeGenerator(std::function<Result<bool>(Value&)> next, unsigned depth);
  Value MakeFunction(std::string_view name, NativeFunction call, Value self = Value());
  Value MakeUndefined(std::string message);
  Value MakeBigInt(std::string digits);
  // plain: every string in it is marked.
  Value FromJson(const json::Value& value, bool plain);

 protected:
  template <class T>
  std::shared_ptr<T> Make(size_t bytes) {
    auto object = std::make_shared<T>();
    object->Charge(&memory_, bytes + sizeof(T) + kOverheadBytes);
    return object;
  }
  void SetDepth(Object& object, unsigned depth);
  void Account(Object& object, size_t bytes) { object.Charge(&memory_, bytes); }

 private:
  static constexpr size_t kOverheadBytes = 32;
  Value FromJson(const json::Value& value, bool plain, unsigned level);

  const RenderOptions& options_;
  const char* const stack_base_;
  Memory memory_;
  size_t steps_ = 0;
  bool too_deep_ = false;
};

}  // namespace mach::jinja
