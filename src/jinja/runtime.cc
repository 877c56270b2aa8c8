#include "jinja/runtime.h"

#include <algorithm>

#include "base/utf8.h"
#include "jinja/unicode.h"

namespace mach::jinja {
namespace {

// Unlike the address of a local, the true stack under AddressSanitizer too.
[[gnu::noinline]] const char* StackPointer() {
  return static_cast<const char*>(__builtin_frame_address(0));
}

unsigned Deepest(const std::vector<Value>& items) {
  unsigned depth = 0;
  for (const Value& item : items) depth = std::max(depth, item.depth());
  return depth;
}

}  // namespace

Error RenderError(std::string message) { return {Code::kUnsupported, std::move(message)}; }

Runtime::Runtime(const RenderOptions& options) : options_(options), stack_base_(StackPointer()) {}

Status Runtime::Step(size_t work) {
  steps_ += work;
  if (options_.cancel != nullptr && options_.cancel->load(std::memory_order_relaxed)) {
    return Error{Code::kCancelled, "the render was cancelled"};
  }
  const RenderLimits& limits = options_.limits;
  if (steps_ > limits.max_steps) {
    return RenderError("the template takes more than " + std::to_string(limits.max_steps) +
                       " steps");
  }
  if (too_deep_) {
    return RenderError("values are nested more than " + std::to_string(limits.max_depth) +
                       " levels deep");
  }
  return Reserve(0);
}

Status Runtime::Reserve(size_t bytes) const {
  const size_t limit = options_.limits.max_memory_bytes;
  if (memory_.used > limit || bytes > limit - memory_.used) {
    return RenderError("the values of the template take more than " + std::to_string(limit) +
                       " bytes");
  }
  return Ok();
}

Status Runtime::CheckStack() const {
  const char* const here = StackPointer();
  const auto used =
      static_cast<size_t>(here < stack_base_ ? stack_base_ - here : here - stack_base_);
  if (used <= options_.limits.max_stack_bytes) return Ok();
  return RenderError("maximum recursion depth exceeded (" + std::to_string(used) +
                     " bytes of stack)");
}

void Runtime::SetDepth(Object& object, unsigned depth) {
  object.depth = depth;
  if (depth > options_.limits.max_depth) too_deep_ = true;
}

Value Runtime::MakeText(std::string bytes, bool plain, bool safe) {
  auto text = Make<Text>(bytes.size());
  if (plain && !bytes.empty()) text->plain.push_back({0, bytes.size()});
  text->bytes = std::move(bytes);
  text->Measure();
  text->safe = safe;
  return Value(Kind::kString, std::move(text));
}

Value Runtime::MakeText(TextBuilder builder, bool safe) {
  std::vector<Span> plain = builder.TakePlain();
  auto text = Make<Text>(builder.size() + plain.size() * sizeof(Span));
  text->bytes = builder.TakeBytes();
  text->plain = std::move(plain);
  text->Measure();
  text->safe = safe;
  return Value(Kind::kString, std::move(text));
}

Value Runtime::Part(const Text& text, size_t begin, size_t end, bool safe) {
  TextBuilder builder;
  builder.Append(text, begin, end);
  return MakeText(std::move(builder), safe);
}

Value Runtime::MakeSequence(Kind kind, std::vector<Value> items) {
  auto sequence = Make<Sequence>(items.size() * sizeof(Value));
  SetDepth(*sequence, Deepest(items) + 1);
  sequence->items = std::move(items);
  return Value(kind, std::move(sequence));
}

Value Runtime::MakeGroup(const Value& grouper, const Value& list) {
  Value group = MakeTuple({grouper, list});
  static_cast<Sequence&>(*group.object()).is_group = true;
  return group;
}

// Values are moved out of items through the names bound to their pairs, which clang-tidy 14 misses.
// NOLINTNEXTLINE(performance-unnecessary-value-param)
Result<Value> Runtime::MakeDict(std::vector<std::pair<Value, Value>> items) {
  auto dict = Make<Dict>(items.size() * 2 * sizeof(Value));
  unsigned depth = 0;
  for (auto& [key, value] : items) {
    depth = std::max({depth, key.depth(), value.depth()});
    if (!dict->Set(key, std::move(value))) {
      return RenderError("unhashable type: '" + std::string(TypeName(key)) + "'");
    }
  }
  SetDepth(*dict, depth + 1);
  return Value(Kind::kDict, std::move(dict));
}

Value Runtime::MakeDictView(const Value& dict, DictView::What what) {
  auto view = Make<DictView>(0);
  view->dict = dict;
  view->what = what;
  SetDepth(*view, dict.depth() + 1);
  return Value(Kind::kDictView, std::move(view));
}

Value Runtime::MakeRange(int64_t start, int64_t stop, int64_t step, int64_t length) {
  auto range = Make<Range>(0);
  range->start = start;
  range->stop = stop;
  range->step = step;
  range->length = length;
  return Value(Kind::kRange, std::move(range));
}

Value Runtime::MakeGenerator(std::function<Result<bool>(Value&)> next, unsigned depth) {
  auto generator = Make<Generator>(sizeof(Value) * 4);
  generator->next = std::move(next);
  SetDepth(*generator, depth + 1);
  return Value(Kind::kGenerator, std::move(generator));
}

Value Runtime::MakeFunction(std::string_view name, NativeFunction call, Value self) {
  auto function = Make<Function>(0);
  SetDepth(*function, self.depth() + 1);
  function->name = name;
  function->call = call;
  function->self = std::move(self);
  return Value(Kind::kFunction, std::move(function));
}

Value Runtime::MakeUndefined(std::string message) {
  auto undefined = Make<Undefined>(message.size());
  undefined->message = std::move(message);
  return Value(Kind::kUndefined, std::move(undefined));
}

Value Runtime::MakeBigInt(std::string digits) {
  auto big = Make<BigInt>(digits.size());
  big->digits = std::move(digits);
  return Value(Kind::kBigInt, std::move(big));
}

Value Runtime::FromJson(const json::Value& value, bool plain) { return FromJson(value, plain, 0); }

Value Runtime::FromJson(const json::Value& value, bool plain, unsigned level) {
  const auto text = [this, plain](const std::string& s) {
    return MakeText(utf8::IsValid(s) ? s : utf8::Repair(s), plain);
  };
  if (value.is_bool()) return Value(value.AsBool());
  if (value.is_int()) return Value(value.AsInt());
  if (value.is_double()) return Value(value.AsDouble());
  if (value.is_big_integer()) return MakeBigInt(value.AsBigInteger().digits);
  if (value.is_string()) return text(value.AsString());
  if (value.is_null()) return Value();
  if (level > options_.limits.max_depth) {
    too_deep_ = true;
    return Value();
  }
  if (value.is_array()) {
    std::vector<Value> items;
    items.reserve(value.AsArray().size());
    for (const json::Value& item : value.AsArray()) {
      items.push_back(FromJson(item, plain, level + 1));
    }
    return MakeList(std::move(items));
  }
  std::vector<std::pair<Value, Value>> items;
  items.reserve(value.AsObject().size());
  for (const json::Member& member : value.AsObject()) {
    items.emplace_back(text(member.key), FromJson(member.value, plain, level + 1));
  }
  Result<Value> dict = MakeDict(std::move(items));
  return dict ? *std::move(dict) : Value();  // strings are hashable: there is no error
}

}  // namespace mach::jinja
