#include "chat/value_end.h"

#include <algorithm>
#include <optional>

#include "chat/space.h"

namespace mach::chat {
namespace {

class Judgement {
 public:
  Judgement(const OpenValue& value, size_t at, bool blank_before)
      : value_(value), text_(value.text), at_(at), blank_before_(blank_before) {}

  Verdict Run() const {
    if (const CallMark* mark = MarkAt(at_)) {
      return mark->opens ? Verdict::kText : AfterClose(mark->at + mark->size);
    }
    const Tag parameter_end = EndTag(at_, kParameterEnd);
    if (parameter_end.verdict == Verdict::kEnds) return AfterEndTag(parameter_end.end, true);
    const Tag function_end = EndTag(at_, kFunctionEnd);
    if (function_end.verdict == Verdict::kEnds) return AfterEndTag(function_end.end, false);
    const Verdict next = NextParameter();
    if (next == Verdict::kEnds) return next;
    const bool undecided = parameter_end.verdict == Verdict::kUndecided ||
                           function_end.verdict == Verdict::kUndecided ||
                           next == Verdict::kUndecided;
    return undecided ? Verdict::kUndecided : Verdict::kText;
  }

 private:
  struct Tag {
    Verdict verdict = Verdict::kText;
    size_t end = 0;
  };

  // Where the text is not long enough to tell.
  Verdict AtEnd(Verdict stopped, Verdict cut_off) const {
    if (value_.ending == Ending::kOpen) return Verdict::kUndecided;
    return value_.ending == Ending::kStopped ? stopped : cut_off;
  }

  const CallMark* MarkAt(size_t at) const {
    const auto found =
        std::lower_bound(value_.marks.begin(), value_.marks.end(), at,
                         [](const CallMark& mark, size_t place) { return mark.at < place; });
    return found != value_.marks.end() && found->at == at ? &*found : nullptr;
  }

  // An end tag with what models make of it: "</parameter>", "</parameter/>", "</parameter=KEY>".
  Tag EndTag(size_t at, std::string_view name) const {
    const std::string_view rest = text_.substr(at);
    if (MayBecome(rest, name)) {
      return {AtEnd(Verdict::kEnds, Verdict::kText), text_.size()};
    }
    if (!rest.starts_with(name)) return {};
    const size_t limit = std::min(text_.size(), at + name.size() + kMaxNameBytes);
    size_t end = at + name.size();
    while (end < limit && (text_[end] == ' ' || text_[end] == '\t' || text_[end] == '/')) ++end;
    if (end < limit && text_[end] == '=') {
      while (end < limit && text_[end] != '>' && text_[end] != '<' && text_[end] != '\n' &&
             text_[end] != '\r') {
        ++end;
      }
    }
    if (end == text_.size()) return {AtEnd(Verdict::kEnds, Verdict::kText), end};
    if (end == limit) return {};
    if (text_[end] == '>') return {Verdict::kEnds, end + 1};
    const bool unclosed = text_[end] == '\n' || text_[end] == '\r' || text_[end] == '<';
    return {unclosed ? Verdict::kEnds : Verdict::kText, end};
  }

  // The first byte that is no white space; none where the gap is too wide.
  std::optional<size_t> SkipGap(size_t at) const {
    const size_t limit = std::min(text_.size(), at + kMaxGapBytes + 1);
    size_t end = at;
    while (end < limit && kSpace.find(text_[end]) != std::string_view::npos) ++end;
    if (end - at > kMaxGapBytes) return std::nullopt;
    return end;
  }

  // The tag from at_ to `end` stands apart from the text around it.
  Verdict StandsApart(size_t end) const {
    if (!value_.by_lines || blank_before_) return Verdict::kEnds;
    if (end == text_.size()) return AtEnd(Verdict::kText, Verdict::kText);
    return text_[end] == '\n' || text_[end] == '\r' ? Verdict::kEnds : Verdict::kText;
  }

  Verdict AfterEndTag(size_t end, bool of_parameter) const {
    const std::optional<size_t> next = SkipGap(end);
    if (!next) return Verdict::kText;
    if (*next == text_.size()) return AtEnd(Verdict::kEnds, Verdict::kEnds);
    if (const CallMark* mark = MarkAt(*next)) {
      const size_t after = mark->at + mark->size;
      if (mark->opens) return NewCall(after);
      const Verdict apart = StandsApart(end);
      return apart == Verdict::kText ? AfterClose(after) : apart;
    }
    if (!of_parameter) return Verdict::kText;
    const std::string_view rest = text_.substr(*next);
    if (rest.starts_with(kParameterTag)) return Verdict::kEnds;
    if (MayBecome(rest, kParameterTag)) return AtEnd(Verdict::kEnds, Verdict::kEnds);
    if (MayBecome(rest, kFunctionEnd)) return AtEnd(Verdict::kEnds, Verdict::kEnds);
    return EndTag(*next, kFunctionEnd).verdict;
  }

  // After the marker that closes the call.
  Verdict AfterClose(size_t end) const {
    const std::optional<size_t> next = SkipGap(end);
    if (!next) return Verdict::kText;
    if (*next == text_.size()) return AtEnd(Verdict::kEnds, Verdict::kEnds);
    const CallMark* mark = MarkAt(*next);
    return mark != nullptr && mark->opens ? NewCall(mark->at + mark->size) : Verdict::kText;
  }

  // After the marker that opens a call: "<function=NAME>" of a tool.
  Verdict NewCall(size_t end) const {
    const std::optional<size_t> next = SkipGap(end);
    if (!next) return Verdict::kText;
    const std::string_view rest = text_.substr(*next);
    if (MayBecome(rest, kFunctionTag)) return AtEnd(Verdict::kEnds, Verdict::kEnds);
    if (!rest.starts_with(kFunctionTag)) return Verdict::kText;
    const Name name = NameFrom(*next + kFunctionTag.size());
    if (name.verdict == Verdict::kUndecided) return AtEnd(Verdict::kEnds, Verdict::kEnds);
    return name.verdict == Verdict::kEnds && value_.schemas.Has(name.text) ? Verdict::kEnds
                                                                           : Verdict::kText;
  }

  Verdict NextParameter() const {
    const std::string_view rest = text_.substr(at_);
    if (MayBecome(rest, kParameterTag)) return AtEnd(Verdict::kEnds, Verdict::kText);
    if (!rest.starts_with(kParameterTag)) return Verdict::kText;
    const Name key = NameFrom(at_ + kParameterTag.size());
    if (key.verdict == Verdict::kUndecided) {
      return AtEnd(value_.by_lines && !blank_before_ ? Verdict::kText : Verdict::kEnds,
                   Verdict::kText);
    }
    if (key.verdict == Verdict::kText || key.text.empty() || !value_.may_come_next(key.text)) {
      return Verdict::kText;
    }
    return StandsApart(key.end);
  }

  struct Name {
    Verdict verdict = Verdict::kText;
    std::string_view text;
    size_t end = 0;  // after its '>', or at the line break that ends it
  };

  Name NameFrom(size_t begin) const {
    const std::string_view within = text_.substr(begin, kMaxNameBytes + 1);
    const size_t length = within.find_first_of(">\r\n<");
    if (length == std::string_view::npos) {
      return {within.size() > kMaxNameBytes ? Verdict::kText : Verdict::kUndecided, {}, 0};
    }
    if (within[length] == '<') return {};
    const size_t end = begin + length + (within[length] == '>' ? 1 : 0);
    return {Verdict::kEnds, Unquoted(within.substr(0, length)), end};
  }

  const OpenValue& value_;
  const std::string_view text_;
  const size_t at_;
  const bool blank_before_;
};

}  // namespace

std::string_view Unquoted(std::string_view text) {
  text = Trim(text);
  if (text.size() >= 2 && (text.front() == '"' || text.front() == '\'') &&
      text.back() == text.front()) {
    text = text.substr(1, text.size() - 2);
  }
  return text;
}

bool MayBecome(std::string_view text, std::string_view whole) {
  return text.size() < whole.size() && whole.starts_with(text);
}

Verdict Judge(const OpenValue& value, size_t at, bool blank_before) {
  return Judgement(value, at, blank_before).Run();
}

}  // namespace mach::chat
