// Filters on lists, mappings and whatever else can be iterated.
#include <algorithm>
#include <memory>
#include <unordered_set>
#include <utility>

#include "jinja/arguments.h"
#include "jinja/filters.h"
#include "jinja/interpreter.h"
#include "jinja/operators.h"
#include "jinja/text_operations.h"
#include "jinja/unicode.h"

namespace mach::jinja {
namespace {

// Keys are what is compared; items follow them.
struct Keyed {
  Value key;
  Value item;
};

Value IgnoreCase(Interpreter& in, const Value& value) {
  return value.is_string() ? Map(in, value.text(), unicode::Lower) : value;
}

// A stable merge sort: comparisons may fail.
Status Sort(Interpreter& in, std::vector<Keyed>& items) {
  std::vector<Keyed> merged(items.size());
  for (size_t width = 1; width < items.size(); width *= 2) {
    for (size_t begin = 0; begin < items.size(); begin += 2 * width) {
      const size_t middle = std::min(begin + width, items.size());
      const size_t end = std::min(begin + 2 * width, items.size());
      size_t left = begin;
      size_t right = middle;
      for (size_t at = begin; at < end; ++at) {
        bool take_right = left == middle;
        if (!take_right && right < end) {
          MACH_TRY(take_right, Less(in, items[right].key, items[left].key));
        }
        merged[at] = std::move(items[take_right ? right++ : left++]);
      }
    }
    items.swap(merged);
  }
  return Ok();
}

// reverse keeps the order of equal items, as Python does.
Result<std::vector<Value>> Sorted(Interpreter& in, std::vector<Keyed> items, bool reverse) {
  if (reverse) std::reverse(items.begin(), items.end());
  MACH_RETURN_IF_ERROR(Sort(in, items));
  if (reverse) std::reverse(items.begin(), items.end());
  std::vector<Value> sorted;
  for (Keyed& keyed : items) sorted.push_back(std::move(keyed.item));
  return sorted;
}

Value GeneratorOf(Interpreter& in, std::vector<Value> items) {
  const Value list = in.MakeList(std::move(items));
  auto at = std::make_shared<size_t>(0);
  return in.MakeGenerator(
      [list, at](Value& out) -> Result<bool> {
        if (*at >= list.items().size()) return false;
        out = list.items()[(*at)++];
        return true;
      },
      list.depth());
}

Result<Value> Length(Interpreter& in, const Value& subject, Arguments& args) {
  MACH_RETURN_IF_ERROR(Bound::Bind("length", args, {}));
  if (subject.is(Kind::kLoop)) {
    MACH_TRY(const int64_t length, subject.loop().Length(in));
    return Value(length);
  }
  const std::optional<size_t> length = LengthOf(subject);
  if (!length) {
    return RenderError("object of type '" + std::string(TypeName(subject)) + "' has no len()");
  }
  if (subject.is_string()) MACH_RETURN_IF_ERROR(in.Step(subject.bytes().size() / 64));
  return Value(static_cast<int64_t>(*length));
}

Result<Value> List(Interpreter& in, const Value& subject, Arguments& args) {
  MACH_RETURN_IF_ERROR(Bound::Bind("list", args, {}));
  MACH_TRY(std::vector<Value> items, Collect(in, subject));
  return in.MakeList(std::move(items));
}

Result<Value> First(Interpreter& in, const Value& subject, Arguments& args) {
  MACH_RETURN_IF_ERROR(Bound::Bind("first", args, {}));
  MACH_TRY(Iterator it, Iterator::Make(subject));
  Value item;
  MACH_TRY(const bool any, it.Next(in, item));
  return any ? item : in.MakeUndefined("No first item, sequence was empty.");
}

Status CheckReversible(const Value& subject) {
  if (IsIterable(subject) && !subject.is(Kind::kGenerator)) return Ok();
  return RenderError("'" + std::string(TypeName(subject)) + "' object is not reversible");
}

Result<Value> Last(Interpreter& in, const Value& subject, Arguments& args) {
  MACH_RETURN_IF_ERROR(Bound::Bind("last", args, {}));
  MACH_RETURN_IF_ERROR(CheckReversible(subject));
  if (subject.is_sequence() && !subject.items().empty()) return subject.items().back();
  MACH_TRY(const std::vector<Value> items, Collect(in, subject));
  return items.empty() ? in.MakeUndefined("No last item, sequence was empty.") : items.back();
}

Result<Value> Reverse(Interpreter& in, const Value& subject, Arguments& args) {
  MACH_RETURN_IF_ERROR(Bound::Bind("reverse", args, {}));
  if (subject.is_string()) {
    return Slice(in, subject, Value(), Value(), Value(int64_t{-1}));
  }
  MACH_TRY(std::vector<Value> items, Collect(in, subject));
  std::reverse(items.begin(), items.end());
  if (!CheckReversible(subject)) return in.MakeList(std::move(items));
  return GeneratorOf(in, std::move(items));
}

Result<Value> Items(Interpreter& in, const Value& subject, Arguments& args) {
  MACH_RETURN_IF_ERROR(Bound::Bind("items", args, {}));
  if (subject.is_undefined()) return GeneratorOf(in, {});
  // Python finds out when it takes the first item.
  const Value view =
      subject.is(Kind::kDict) ? in.MakeDictView(subject, DictView::What::kItems) : Value();
  auto it = std::make_shared<std::optional<Iterator>>();
  return in.MakeGenerator(
      [&in, view, it](Value& out) -> Result<bool> {
        if (view.is_none()) return RenderError("Can only get item pairs from a mapping.");
        if (!*it) {
          MACH_TRY(*it, Iterator::Make(view));
        }
        return (*it)->Next(in, out);
      },
      view.depth());
}

Result<Value> DictSort(Interpreter& in, const Value& subject, Arguments& args) {
  MACH_TRY(const Bound bound, Bound::Bind("dictsort", args, {"case_sensitive", "by", "reverse"}));
  MACH_TRY(const Text* by, bound.String(1));
  const std::string_view position = by == nullptr ? "key" : std::string_view(by->bytes);
  if (position != "key" && position != "value") {
    return RenderError("dictsort: you can only sort by either \"key\" or \"value\"");
  }
  if (subject.is_undefined()) return RenderError(subject.undefined().message);
  if (!subject.is(Kind::kDict)) {
    return RenderError("dictsort expects a mapping, not " + std::string(TypeName(subject)));
  }
  std::vector<Keyed> keyed;
  for (const auto& [key, value] : subject.dict().items) {
    const Value& sort_by = position == "key" ? key : value;
    keyed.push_back(
        {bound.Flag(0) ? sort_by : IgnoreCase(in, sort_by), in.MakeTuple({key, value})});
  }
  MACH_TRY(std::vector<Value> sorted, Sorted(in, std::move(keyed), bound.Flag(2)));
  return in.MakeList(std::move(sorted));
}

// The value to sort by: the attributes that a comma-separated list names.
Result<Value> SortKey(Interpreter& in, const Value& item, const Value& attribute,
                      bool case_sensitive) {
  std::vector<Value> keys;
  std::vector<Value> paths = {attribute};
  if (attribute.is_string()) {
    const Value comma = in.MakeText(",");
    MACH_TRY(paths, Split(in, attribute.text(), &comma.text(), -1, false));
  }
  for (const Value& path : paths) {
    MACH_TRY(const Value key, ItemByPath(in, item, path, nullptr));
    keys.push_back(case_sensitive ? key : IgnoreCase(in, key));
  }
  return in.MakeList(std::move(keys));
}

Result<Value> SortFilter(Interpreter& in, const Value& subject, Arguments& args) {
  MACH_TRY(const Bound bound,
           Bound::Bind("sort", args, {"reverse", "case_sensitive", "attribute"}));
  MACH_TRY(const std::vector<Value> items, Collect(in, subject));
  std::vector<Keyed> keyed;
  for (const Value& item : items) {
    MACH_TRY(Value key, SortKey(in, item, bound.Or(2), bound.Flag(1)));
    keyed.push_back({std::move(key), item});
  }
  MACH_TRY(std::vector<Value> sorted, Sorted(in, std::move(keyed), bound.Flag(0)));
  return in.MakeList(std::move(sorted));
}

Result<Value> Unique(Interpreter& in, const Value& subject, Arguments& args) {
  MACH_TRY(const Bound bound, Bound::Bind("unique", args, {"case_sensitive", "attribute"}));
  const bool case_sensitive = bound.Flag(0);
  const Value attribute = bound.Or(1);
  auto it = std::make_shared<std::optional<Iterator>>();
  auto seen = std::make_shared<std::unordered_set<std::string>>();
  return in.MakeGenerator(
      [&in, it, seen, subject, case_sensitive, attribute](Value& out) -> Result<bool> {
        if (!*it) {
          MACH_TRY(*it, Iterator::Make(subject));
        }
        while (true) {
          MACH_TRY(const bool more, (*it)->Next(in, out));
          if (!more) return false;
          MACH_TRY(Value key, ItemByPath(in, out, attribute, nullptr));
          if (!case_sensitive) key = IgnoreCase(in, key);
          std::optional<std::string> hash = HashKey(key);
          if (!hash) {
            return RenderError("unhashable type: '" + std::string(TypeName(key)) + "'");
          }
          MACH_RETURN_IF_ERROR(in.Step(1 + hash->size() / 64));
          if (seen->insert(*std::move(hash)).second) return true;
        }
      },
      std::max(subject.depth(), attribute.depth()));
}

Result<Value> MinOrMax(Interpreter& in, const Value& subject, Arguments& args, bool want_max) {
  MACH_TRY(const Bound bound, Bound::Bind("min", args, {"case_sensitive", "attribute"}));
  MACH_TRY(const std::vector<Value> items, Collect(in, subject));
  if (items.empty()) return in.MakeUndefined("No aggregated item, sequence was empty.");
  std::optional<Keyed> best;
  for (const Value& item : items) {
    MACH_TRY(Value key, ItemByPath(in, item, bound.Or(1), nullptr));
    if (!bound.Flag(0)) key = IgnoreCase(in, key);
    if (best) {
      MACH_TRY(const bool better, want_max ? Less(in, best->key, key) : Less(in, key, best->key));
      if (!better) continue;
    }
    best = Keyed{std::move(key), item};
  }
  return best->item;
}

Result<Value> Min(Interpreter& in, const Value& subject, Arguments& args) {
  return MinOrMax(in, subject, args, false);
}

Result<Value> Max(Interpreter& in, const Value& subject, Arguments& args) {
  return MinOrMax(in, subject, args, true);
}

Result<Value> Sum(Interpreter& in, const Value& subject, Arguments& args) {
  MACH_TRY(const Bound bound, Bound::Bind("sum", args, {"attribute", "start"}));
  MACH_TRY(const std::vector<Value> items, Collect(in, subject));
  Value total = bound.Or(1, Value(int64_t{0}));
  if (total.is_string()) return RenderError("sum can't sum strings; use join instead");
  for (const Value& item : items) {
    MACH_TRY(const Value part, ItemByPath(in, item, bound.Or(0), nullptr));
    MACH_TRY(total, Binary(in, BinaryOp::kAdd, total, part));
    MACH_RETURN_IF_ERROR(in.Step());
  }
  return total;
}

Result<Value> GroupBy(Interpreter& in, const Value& subject, Arguments& args) {
  MACH_TRY(const Bound bound,
           Bound::Bind("groupby", args, {"attribute", "default", "case_sensitive"}, 1));
  const Value* fallback = bound.Get(1);
  MACH_TRY(const std::vector<Value> items, Collect(in, subject));
  std::vector<Keyed> keyed;
  for (const Value& item : items) {
    MACH_TRY(Value key, ItemByPath(in, item, *bound.Get(0), fallback));
    keyed.push_back({bound.Flag(2) ? key : IgnoreCase(in, key), item});
  }
  MACH_RETURN_IF_ERROR(Sort(in, keyed));
  std::vector<Value> groups;
  for (size_t i = 0; i < keyed.size();) {
    MACH_TRY(const Value name, ItemByPath(in, keyed[i].item, *bound.Get(0), fallback));
    const Value key = keyed[i].key;
    std::vector<Value> members;
    for (; i < keyed.size(); ++i) {
      MACH_TRY(const bool same, Equal(in, key, keyed[i].key));
      if (!same) break;
      members.push_back(keyed[i].item);
    }
    groups.push_back(in.MakeGroup(name, in.MakeList(std::move(members))));
  }
  return in.MakeList(std::move(groups));
}

Result<Value> Batch(Interpreter& in, const Value& subject, Arguments& args) {
  MACH_TRY(const Bound bound, Bound::Bind("batch", args, {"linecount", "fill_with"}, 1));
  MACH_TRY(const int64_t count, bound.Int(0, 0));
  MACH_TRY(const std::vector<Value> items, Collect(in, subject));
  std::vector<Value> batches;
  std::vector<Value> batch;
  for (const Value& item : items) {
    if (static_cast<int64_t>(batch.size()) == count) {
      batches.push_back(in.MakeList(std::exchange(batch, {})));
    }
    batch.push_back(item);
  }
  if (!batch.empty()) {
    const Value fill = bound.Or(1);
    if (!fill.is_none() && count > static_cast<int64_t>(batch.size())) {
      const auto size = static_cast<size_t>(count);
      const size_t limit = in.options().limits.max_memory_bytes;
      MACH_RETURN_IF_ERROR(
          in.Reserve(size > limit / sizeof(Value) ? limit + 1 : size * sizeof(Value)));
      batch.resize(size, fill);
    }
    batches.push_back(in.MakeList(std::move(batch)));
  }
  return GeneratorOf(in, std::move(batches));
}

Result<Value> SliceFilter(Interpreter& in, const Value& subject, Arguments& args) {
  MACH_TRY(const Bound bound, Bound::Bind("slice", args, {"slices", "fill_with"}, 1));
  MACH_TRY(const int64_t slices, bound.Int(0, 0));
  if (slices == 0) return RenderError("slice: integer division or modulo by zero");
  MACH_TRY(const std::vector<Value> items, Collect(in, subject));
  std::vector<Value> out;
  const auto count = static_cast<size_t>(std::max<int64_t>(slices, 0));
  const Value fill = bound.Or(1);
  size_t begin = 0;
  for (size_t i = 0; i < count; ++i) {
    MACH_RETURN_IF_ERROR(in.Step());
    const bool extra = i < items.size() % count;
    const size_t size = items.size() / count + (extra ? 1 : 0);
    std::vector<Value> part(items.begin() + static_cast<ptrdiff_t>(begin),
                            items.begin() + static_cast<ptrdiff_t>(begin + size));
    if (!fill.is_none() && !extra) part.push_back(fill);
    out.push_back(in.MakeList(std::move(part)));
    begin += size;
  }
  return GeneratorOf(in, std::move(out));
}

}  // namespace

std::span<const Filter> SequenceFilters() {
  static constexpr Filter kFilters[] = {
      {"batch", Batch},       {"count", Length},    {"dictsort", DictSort}, {"first", First},
      {"groupby", GroupBy},   {"items", Items},     {"last", Last},         {"length", Length},
      {"list", List},         {"max", Max},         {"min", Min},           {"reverse", Reverse},
      {"slice", SliceFilter}, {"sort", SortFilter}, {"sum", Sum},           {"unique", Unique},
  };
  return kFilters;
}

}  // namespace mach::jinja
