#include "text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/check.h"
#include "text/component.h"
#include "text/oniguruma.h"
#include "text/unicode.h"

namespace mach::text {
namespace {

constexpr uint32_t kMaxSteps = 200'000;   // of one attempt at one position
constexpr size_t kSliceWork = 1 << 26;    // bytes that a search may read between two looks
constexpr uint32_t kHeapKiB = 16 * 1024;  // of the interpreter, where there is no JIT
constexpr size_t kJitStackStart = 32 * 1024;
constexpr size_t kJitStackMax = 4 << 20;

template <auto kFree>
struct FreeWith {
  template <class T>
  void operator()(T* p) const {
    kFree(p);
  }
};
using MatchData = std::unique_ptr<pcre2_match_data, FreeWith<pcre2_match_data_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, FreeWith<pcre2_match_context_free>>;
using CompileContext = std::unique_ptr<pcre2_compile_context, FreeWith<pcre2_compile_context_free>>;
using JitStack = std::unique_ptr<pcre2_jit_stack, FreeWith<pcre2_jit_stack_free>>;

// One set for each thread that encodes.
struct Scratch {
  MatchData data{pcre2_match_data_create(1, nullptr)};
  MatchContext context{pcre2_match_context_create(nullptr)};
  JitStack stack{pcre2_jit_stack_create(kJitStackStart, kJitStackMax, nullptr)};
  Scratch() {
    MACH_CHECK(data && context);
    pcre2_set_match_limit(context.get(), kMaxSteps);
    pcre2_set_heap_limit(context.get(), kHeapKiB);
    if (stack) pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
  }
};

}  // namespace

struct Regex::Compiled {
  std::unique_ptr<pcre2_code, FreeWith<pcre2_code_free>> code;
};

Result<Regex> Regex::CompilePcre(std::string_view pcre) {
  const CompileContext context(pcre2_compile_context_create(nullptr));
  MACH_CHECK(context);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  pcre2_set_bsr(context.get(), PCRE2_BSR_UNICODE);
  int code = 0;
  PCRE2_SIZE offset = 0;
  auto compiled = std::make_shared<Compiled>();
  compiled->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pcre.data()), pcre.size(),
                                     PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE |
                                         PCRE2_NO_AUTO_CAPTURE | PCRE2_NEVER_BACKSLASH_C |
                                         PCRE2_USE_OFFSET_LIMIT,
                                     &code, &offset, context.get()));
  if (!compiled->code) {
    PCRE2_UCHAR message[160] = {};
    pcre2_get_error_message(code, message, sizeof(message));
    return Error{Code::kInvalidArgument, reinterpret_cast<const char*>(message)};
  }
  // Without JIT (an unusual machine) pcre2_match interprets.
  static_cast<void>(pcre2_jit_compile(compiled->code.get(), PCRE2_JIT_COMPLETE));
  return Regex(std::move(compiled));
}

Result<Regex> Regex::Compile(std::string_view oniguruma) {
  auto pcre = TranslateOniguruma(oniguruma);
  if (!pcre.ok()) return std::move(pcre).error().In("pattern " + Quoted(oniguruma));
  auto regex = CompilePcre(*pcre);
  if (!regex.ok()) return std::move(regex).error().In("pattern " + Quoted(oniguruma));
  return regex;
}

Regex Regex::Builtin(std::string_view pcre) {
  auto regex = CompilePcre(pcre);
  MACH_CHECK(regex.ok());
  return *std::move(regex);
}

std::optional<Match> Regex::Find(std::string_view text, size_t from, WorkBudget& budget) const {
  thread_local const Scratch scratch;
  while (budget.MayMatch()) {
    // A match may begin at so many places before the next look at the budget: what is tried at one
    // place may read all of the text behind it.
    const size_t places = 1 + kSliceWork / (text.size() - from + 1);
    const bool to_end = places > text.size() - from;
    pcre2_set_offset_limit(scratch.context.get(), to_end ? PCRE2_UNSET : from + places - 1);
    const int n =
        pcre2_match(code_->code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                    PCRE2_NO_UTF_CHECK, scratch.data.get(), scratch.context.get());
    if (n >= 0) {
      const PCRE2_SIZE* v = pcre2_get_ovector_pointer(scratch.data.get());
      const size_t read = v[1] > from ? v[1] - from : 0;
      if (budget.Cancelled(1 + read)) break;
      return Match{v[0], v[1]};
    }
    if (n != PCRE2_ERROR_NOMATCH) {
      budget.MatchFailed();
      break;
    }
    if (to_end) {
      static_cast<void>(budget.Cancelled(1 + text.size() - from));
      break;
    }
    if (budget.Look()) break;
    from += places;
    while (from < text.size() && (static_cast<uint8_t>(text[from]) & 0xC0) == 0x80) ++from;
  }
  return std::nullopt;
}

Result<Pattern> Pattern::FromJson(const json::Value& pattern) {
  if (const json::Value* regex = pattern.Find("Regex"); regex != nullptr && regex->is_string()) {
    MACH_TRY(Regex compiled, Regex::Compile(regex->AsString()));
    return Pattern(std::move(compiled), {});
  }
  if (const json::Value* s = pattern.Find("String"); s != nullptr && s->is_string()) {
    MACH_TRY(std::string literal, GetContent(pattern, "String"));
    return Pattern(std::nullopt, std::move(literal));
  }
  return Error{Code::kInvalidArgument,
               "'pattern' is " + std::string(pattern.KindName()) +
                   ", expected an object with a string 'Regex' or 'String'"};
}

std::optional<Match> MatchCursor::Find() const {
  if (pattern_.regex_) return pattern_.regex_->Find(text_, from_, budget_);
  const size_t at = text_.find(pattern_.literal_, from_);
  const size_t end = at == std::string_view::npos ? text_.size() : at;
  if (budget_.Cancelled(1 + end - from_) || at == std::string_view::npos) return std::nullopt;
  return Match{at, at + pattern_.literal_.size()};
}

std::optional<Match> MatchCursor::Next() {
  while (from_ <= text_.size()) {
    const std::optional<Match> m = Find();
    if (!m) break;
    if (m->begin == m->end && last_end_ == m->end) {
      // One character further, counted from where this search began.
      from_ += from_ < text_.size() ? CharLength(text_[from_]) : 1;
      continue;
    }
    from_ = m->end;
    last_end_ = m->end;
    return m;
  }
  return std::nullopt;
}

}  // namespace mach::text
