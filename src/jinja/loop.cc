#include "jinja/loop.h"

#include "base/utf8.h"

namespace mach::jinja {

bool IsIterable(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kString:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
    case Kind::kDictView:
    case Kind::kRange:
    case Kind::kGenerator:
      return true;
    default:
      return false;
  }
}

Result<Iterator> Iterator::Make(const Value& value) {
  if (!IsIterable(value)) {
    return RenderError("'" + std::string(TypeName(value)) + "' object is not iterable");
  }
  return Iterator(value);
}

Result<bool> Iterator::Next(Runtime& runtime, Value& out) {
  if (done_) return false;
  done_ = true;  // unless something is found below
  switch (source_.kind()) {
    case Kind::kString: {
      const Text& text = source_.text();
      if (at_ >= text.bytes.size()) return false;
      const size_t end = at_ + utf8::Decode(text.bytes, at_).length;
      out = runtime.Part(text, at_, end);
      at_ = end;
      break;
    }
    case Kind::kList:
    case Kind::kTuple:
      if (at_ >= source_.items().size()) return false;
      out = source_.items()[at_++];
      break;
    case Kind::kDict:
      if (at_ >= source_.dict().items.size()) return false;
      out = source_.dict().items[at_++].first;
      break;
    case Kind::kDictView: {
      const DictView& view = source_.view();
      const auto& items = view.dict.dict().items;
      if (at_ >= items.size()) return false;
      const auto& [key, value] = items[at_++];
      if (view.what == DictView::What::kItems) {
        out = runtime.MakeTuple({key, value});
      } else {
        out = view.what == DictView::What::kKeys ? key : value;
      }
      break;
    }
    case Kind::kRange: {
      const Range& range = source_.range();
      if (at_ >= static_cast<size_t>(range.length)) return false;
      out = Value(range.start + range.step * static_cast<int64_t>(at_++));
      break;
    }
    case Kind::kGenerator: {
      MACH_RETURN_IF_ERROR(runtime.CheckStack());
      // A generator that runs out stays so, whoever iterates.
      Generator& generator = source_.generator();
      if (!generator.next) return false;
      auto next = std::move(generator.next);
      generator.next = nullptr;
      MACH_TRY(const bool more, next(out));
      if (!more) return false;
      generator.next = std::move(next);
      break;
    }
    default:
      return false;
  }
  done_ = false;
  MACH_RETURN_IF_ERROR(runtime.Step());
  return true;
}

std::optional<size_t> LengthOf(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString:
      return value.text().Length();
    case Kind::kList:
    case Kind::kTuple:
      return value.items().size();
    case Kind::kDict:
      return value.dict().items.size();
    case Kind::kDictView:
      return value.view().dict.dict().items.size();
    case Kind::kRange:
      return static_cast<size_t>(value.range().length);
    default:
      return std::nullopt;
  }
}

Result<std::vector<Value>> Collect(Runtime& runtime, const Value& value) {
  MACH_TRY(Iterator it, Iterator::Make(value));
  std::vector<Value> items;
  Value item;
  while (true) {
    MACH_TRY(const bool more, it.Next(runtime, item));
    if (!more) return items;
    items.push_back(item);
    if (items.size() % 1024 == 0) {
      MACH_RETURN_IF_ERROR(runtime.Reserve(items.size() * sizeof(Value)));
    }
  }
}

const Value* Frame::Find(Symbol symbol) const {
  for (const Frame* frame = this; frame != nullptr; frame = frame->parent_.get()) {
    for (const auto& [name, value] : frame->few_) {
      if (name == symbol) return &value;
    }
    if (frame->many_.empty()) continue;
    const auto it = frame->many_.find(symbol);
    if (it != frame->many_.end()) return &it->second;
  }
  return nullptr;
}

void Frame::Set(Symbol symbol, Value value) {
  constexpr size_t kFew = 16;
  for (auto& [name, current] : few_) {
    if (name == symbol) {
      current = std::move(value);
      return;
    }
  }
  if (few_.size() < kFew) {
    few_.emplace_back(symbol, std::move(value));
  } else {
    many_.insert_or_assign(symbol, std::move(value));
  }
}

Result<bool> Loop::Advance(Runtime& runtime) {
  Value item;
  if (after) {
    item = *std::move(after);
    after.reset();
  } else {
    if (ended) return false;
    MACH_TRY(const bool more, iterator.Next(runtime, item));
    if (!more) {
      ended = true;
      return false;
    }
  }
  ++index0;
  before = std::move(current);
  current = std::move(item);
  return true;
}

Result<const Value*> Loop::Peek(Runtime& runtime) {
  if (!after && !ended) {
    Value item;
    MACH_TRY(const bool more, iterator.Next(runtime, item));
    if (more) {
      after = std::move(item);
    } else {
      ended = true;
    }
  }
  return after ? &*after : nullptr;
}

Result<int64_t> Loop::Length(Runtime& runtime) {
  if (length) return *length;
  if (const std::optional<size_t> known = LengthOf(source)) {
    length = static_cast<int64_t>(*known);
    return *length;
  }
  std::vector<Value> rest;
  Value item;
  while (!ended) {
    MACH_TRY(const bool more, iterator.Next(runtime, item));
    if (!more) break;
    rest.push_back(item);
  }
  length = index0 + 1 + (after ? 1 : 0) + static_cast<int64_t>(rest.size());
  MACH_TRY(iterator, Iterator::Make(runtime.MakeList(std::move(rest))));
  ended = false;
  return *length;
}

}  // namespace mach::jinja
