#include "chat/tool_calls.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "chat/space.h"
#include "json/parse.h"
#include "json/write.h"

namespace mach::chat {
namespace {

constexpr std::string_view kWholeFunctionEnd = "</function>";
constexpr std::string_view kFence = "```";

// The inside of a JSON string literal.
std::string Escaped(std::string_view text) {
  std::string quoted;
  json::AppendString(quoted, text);
  return quoted.substr(1, quoted.size() - 2);
}

void Emit(EventKind kind, std::string text, OutputEvents& events) {
  events.push_back({kind, std::move(text)});
}

// "```json\n{...}\n```" without its fence.
std::string_view WithoutFence(std::string_view body) {
  body = Trim(body);
  if (!body.starts_with(kFence)) return body;
  body.remove_prefix(kFence.size());
  if (body.ends_with(kFence)) body.remove_suffix(kFence.size());
  const size_t brace = body.find('{');
  return brace == std::string_view::npos ? body : Trim(body.substr(brace));
}

// Of an unfinished JSON call: the name, and the text of the arguments as far as it goes. Only the
// order in which the models write it: the name first.
bool PartialJsonCall(std::string_view body, std::string& name, std::string& arguments) {
  const auto skip = [&body](std::string_view text) {
    body = TrimLeft(body);
    if (!body.starts_with(text)) return false;
    body.remove_prefix(text.size());
    return true;
  };
  if (!skip("{") || !skip("\"name\"") || !skip(":") || !skip("\"")) return false;
  const size_t end = body.find_first_of("\"\\");
  if (end == std::string_view::npos || end == 0 || body[end] == '\\') return false;
  name = body.substr(0, end);
  body.remove_prefix(end + 1);
  if (!skip(",") || !(skip("\"arguments\"") || skip("\"parameters\"")) || !skip(":")) return false;
  body = TrimLeft(body);
  if (!body.starts_with('{')) return false;
  arguments = body;
  return true;
}

}  // namespace

bool ParseJsonCall(std::string_view body, std::string& name, std::string& arguments) {
  const auto value = json::Parse(WithoutFence(body));
  if (!value || !value->is_object()) return false;
  const json::Value* found = value->Find("name");
  if (found == nullptr || !found->is_string() || found->AsString().empty()) return false;
  const json::Value* given = value->Find("arguments");
  if (given == nullptr) given = value->Find("parameters");
  if (given == nullptr || given->is_null()) {
    arguments = "{}";
  } else if (given->is_object()) {
    arguments = json::Write(*given);
  } else if (given->is_string()) {
    const auto inner = json::Parse(given->AsString());
    if (Trim(given->AsString()).empty()) {
      arguments = "{}";
    } else if (inner && inner->is_object()) {
      arguments = json::Write(*inner);
    } else {
      return false;
    }
  } else {
    return false;
  }
  name = found->AsString();
  return true;
}

ToolCallParser::ToolCallParser(const ToolSchemas& schemas, std::string opener)
    : schemas_(schemas),
      may_come_next_([this](std::string_view key) {
        return keys_.find(key) == keys_.end() && schemas_.MayHave(name_, key);
      }),
      raw_(std::move(opener)) {}

void ToolCallParser::Feed(std::string_view text, OutputEvents& events) {
  if (!started_) raw_ += text;
  buffer_ += text;
  Run(events);
}

void ToolCallParser::FeedMarker(const ScannedPart& part, bool opens, bool closes,
                                OutputEvents& events) {
  if (opens || closes) {
    marks_.push_back({buffer_.size(), part.text.size(), opens});
    markers_.push_back(part.marker);
  }
  Feed(part.text, events);
}

std::vector<ScannedPart> ToolCallParser::TakeRest() {
  std::vector<ScannedPart> rest;
  const auto add = [&](int marker, size_t end) {
    if (end > begin_) rest.push_back({marker, buffer_.substr(begin_, end - begin_)});
    begin_ = std::max(begin_, end);
  };
  for (size_t i = 0; i < marks_.size(); ++i) {
    if (marks_[i].at < begin_) continue;
    add(Patterns::kNone, marks_[i].at);
    add(markers_[i], marks_[i].at + marks_[i].size);
  }
  add(Patterns::kNone, buffer_.size());
  Compact();
  return rest;
}

// Forgets what was taken.
void ToolCallParser::Compact() {
  if (begin_ == 0) return;
  buffer_.erase(0, begin_);
  size_t gone = 0;
  while (gone < marks_.size() && marks_[gone].at < begin_) ++gone;
  marks_.erase(marks_.begin(), marks_.begin() + static_cast<ptrdiff_t>(gone));
  markers_.erase(markers_.begin(), markers_.begin() + static_cast<ptrdiff_t>(gone));
  for (CallMark& mark : marks_) mark.at -= begin_;
  scanned_ -= std::min(scanned_, begin_);
  begin_ = 0;
}

void ToolCallParser::Run(OutputEvents& events) {
  bool go_on = true;
  while (go_on) {
    switch (state_) {
      case State::kOpening:
        go_on = StepOpening(events);
        break;
      case State::kJson:
        FollowJson();
        return;
      case State::kName:
        go_on = StepName(events);
        break;
      case State::kBetween:
        go_on = StepBetween(events);
        break;
      case State::kKey:
        go_on = StepKey(events);
        break;
      case State::kValue:
        go_on = StepValue(events);
        break;
      case State::kMalformed:
        if (!pending().empty()) Emit(EventKind::kContent, std::string(pending()), events);
        Take(pending().size());
        go_on = false;
        break;
      case State::kEnded:
        go_on = false;
        break;
    }
  }
  Compact();
}

bool ToolCallParser::StepOpening(OutputEvents& events) {
  const std::string_view body = TrimLeft(pending());
  const size_t gap = pending().size() - body.size();
  if (gap > kMaxGapBytes) {  // whatever follows: it may not have come yet
    Fail(events);
    return false;
  }
  if (body.empty()) return false;
  if (body.front() == '{' || body.starts_with(kFence)) {
    state_ = State::kJson;
    return true;
  }
  if (body.starts_with(kFunctionTag)) {
    Take(gap + kFunctionTag.size());
    state_ = State::kName;
    return true;
  }
  if (!MayBecome(body, kFunctionTag) && !MayBecome(body, kFence)) Fail(events);
  return false;
}

// A line break in a string literal is no JSON: whatever comes then, the body is no call.
void ToolCallParser::FollowJson() {
  for (; followed_ < buffer_.size(); ++followed_) {
    const char c = buffer_[followed_];
    if (!in_string_) {
      in_string_ = c == '"';
    } else if (escaped_) {
      escaped_ = false;
    } else if (c == '\\') {
      escaped_ = true;
    } else if (c == '"' || c == '\n' || c == '\r') {
      in_string_ = false;
    }
  }
}

bool ToolCallParser::StepName(OutputEvents& events) {
  const size_t end = pending().find_first_of(">\r\n");
  if (end == std::string_view::npos) {
    if (pending().size() > kMaxNameBytes) Fail(events);
    return false;
  }
  const std::string name(Unquoted(pending().substr(0, end)));
  if (name.empty() || end > kMaxNameBytes) {
    Fail(events);
    return false;
  }
  Take(end + 1);
  Start(name, events);
  Emit(EventKind::kArguments, "{", events);
  state_ = State::kBetween;
  return true;
}

void ToolCallParser::Start(std::string_view name, OutputEvents& events) {
  name_ = name;
  started_ = true;
  raw_.clear();
  Emit(EventKind::kCallStart, name_, events);
}

// Anything else between the parameters is skipped. A marker that got here belonged to the end of a
// value: the call ends in front of it.
bool ToolCallParser::StepBetween(OutputEvents& events) {
  const size_t next = pending().find('<');
  if (next == std::string_view::npos) {
    Take(pending().size());
    return false;
  }
  Take(next);
  const auto at_begin = [this](const CallMark& mark) { return mark.at == begin_; };
  if (std::any_of(marks_.begin(), marks_.end(), at_begin)) {
    EndCall(events);
    return false;
  }
  if (pending().starts_with(kParameterTag)) {
    Take(kParameterTag.size());
    state_ = State::kKey;
    return true;
  }
  if (pending().starts_with(kWholeFunctionEnd)) {
    Take(kWholeFunctionEnd.size());
    EndCall(events);
    return false;
  }
  if (MayBecome(pending(), kParameterTag) || MayBecome(pending(), kWholeFunctionEnd)) return false;
  Take(1);
  return true;
}

bool ToolCallParser::StepKey(OutputEvents& events) {
  const size_t end = pending().find_first_of(">\r\n");
  if (end == std::string_view::npos && pending().size() <= kMaxNameBytes) return false;
  if (end == std::string_view::npos || end > kMaxNameBytes) {
    state_ = State::kBetween;  // no parameter after all
    return true;
  }
  key_ = Unquoted(pending().substr(0, end));
  Take(pending()[end] == '>' ? end + 1 : end);
  types_ = schemas_.Types(name_, key_);
  streams_ = types_.empty() || types_.front() == ValueType::kString;
  may_be_null_ = streams_ && AllowsNull(types_);
  ignored_ = !keys_.insert(key_).second;
  value_.clear();
  value_opened_ = false;
  if (!ignored_) {
    std::string before = keys_.size() == 1 ? "" : ", ";
    json::AppendString(before, key_);
    before += streams_ && !may_be_null_ ? ": \"" : ": ";
    Emit(EventKind::kArguments, std::move(before), events);
  }
  state_ = State::kValue;
  return true;
}

void ToolCallParser::AddValueText(std::string_view text, OutputEvents& events) {
  if (text.empty() || ignored_) return;
  if (may_be_null_) {
    value_ += text;
    const std::string_view begun = Trim(value_);
    if (value_.size() <= kMaxNullBytes && (begun == "null" || MayBecome(begun, "null"))) return;
    may_be_null_ = false;
    Emit(EventKind::kArguments, "\"" + Escaped(std::exchange(value_, {})), events);
  } else if (streams_) {
    Emit(EventKind::kArguments, Escaped(text), events);
  } else {
    value_ += text;
  }
}

void ToolCallParser::EndValue(OutputEvents& events) {
  if (!ignored_) {
    const bool opened = streams_ && !may_be_null_;
    Emit(EventKind::kArguments, opened ? "\"" : json::Write(ValueFromText(value_, types_)), events);
  }
  value_.clear();
  state_ = State::kBetween;
}

// False while it is not known whether the value begins with a line break, which is no part of it.
bool ToolCallParser::OpenValueText() {
  const bool open = ending_ == Ending::kOpen;
  if (open && (pending().empty() || pending() == "\r")) return false;
  by_lines_ = pending().starts_with('\n') || pending().starts_with("\r\n");
  if (by_lines_) Take(pending().front() == '\r' ? 2 : 1);
  blank_line_ = true;
  scanned_ = begin_;
  value_opened_ = true;
  return true;
}

bool ToolCallParser::StepValue(OutputEvents& events) {
  if (!value_opened_ && !OpenValueText()) return false;
  const OpenValue value{buffer_, marks_, schemas_, may_come_next_, by_lines_, ending_};
  size_t end = std::string::npos;  // where something other than text, or undecided, begins
  bool ends = false;
  while (end == std::string::npos) {
    const size_t at = std::min(buffer_.find('<', scanned_), buffer_.size());
    const std::string_view passed = std::string_view(buffer_).substr(scanned_, at - scanned_);
    const size_t last_break = passed.rfind('\n');
    const std::string_view line =
        last_break == std::string_view::npos ? passed : passed.substr(last_break + 1);
    blank_line_ = (blank_line_ || last_break != std::string_view::npos) &&
                  line.find_first_not_of(" \t") == std::string_view::npos;
    scanned_ = at;
    if (at == buffer_.size()) {
      end = at;
      break;
    }
    const Verdict verdict = Judge(value, at, blank_line_);
    ends = verdict == Verdict::kEnds;
    if (verdict != Verdict::kText) {
      end = at;
    } else {
      blank_line_ = false;
      ++scanned_;
    }
  }
  // The line break before the end is no part of the value.
  size_t kept_from = end;
  if (ending_ != Ending::kCutOff || ends) {
    if (kept_from > begin_ && buffer_[kept_from - 1] == '\n') --kept_from;
    if (kept_from > begin_ && buffer_[kept_from - 1] == '\r') --kept_from;
  }
  AddValueText(std::string_view(buffer_).substr(begin_, kept_from - begin_), events);
  begin_ = ends || ending_ != Ending::kOpen ? end : kept_from;
  if (ends) EndValue(events);
  return ends;
}

void ToolCallParser::EndCall(OutputEvents& events) {
  Emit(EventKind::kArguments, "}", events);
  Emit(EventKind::kCallEnd, "", events);
  state_ = State::kEnded;
}

void ToolCallParser::Fail(OutputEvents& events) {
  Emit(EventKind::kContent, std::exchange(raw_, {}), events);
  Take(pending().size());
  malformed_ = true;
  state_ = State::kMalformed;
}

void ToolCallParser::CloseJson(bool cut_off, std::string_view closer, OutputEvents& events) {
  std::string name;
  std::string arguments;
  if (ParseJsonCall(pending(), name, arguments)) {
    Start(name, events);
    Emit(EventKind::kArguments, std::move(arguments), events);
    Emit(EventKind::kCallEnd, "", events);
  } else if (cut_off && PartialJsonCall(WithoutFence(pending()), name, arguments)) {
    Start(name, events);
    Emit(EventKind::kArguments, std::move(arguments), events);
  } else {
    raw_ += closer;
    Fail(events);
  }
}

void ToolCallParser::Close(std::string_view closer, OutputEvents& events) {
  MACH_CHECK(!takes_markers());
  Leave(false, closer, events);
}

void ToolCallParser::Finish(bool cut_off, OutputEvents& events) {
  ending_ = cut_off ? Ending::kCutOff : Ending::kStopped;
  if (state_ == State::kValue) Run(events);
  if (state_ != State::kEnded) Leave(cut_off, "", events);
}

void ToolCallParser::Leave(bool cut_off, std::string_view closer, OutputEvents& events) {
  switch (state_) {
    case State::kJson:
      CloseJson(cut_off, closer, events);
      break;
    case State::kOpening:
    case State::kName:
      raw_ += closer;
      Fail(events);
      break;
    case State::kMalformed:
      Emit(EventKind::kContent, std::string(closer), events);
      break;
    case State::kValue:
      // All of its text was given out.
      if (cut_off) break;
      EndValue(events);
      EndCall(events);
      break;
    case State::kKey:
    case State::kBetween:
      if (!cut_off) EndCall(events);
      break;
    case State::kEnded:
      break;
  }
  Take(pending().size());
  in_string_ = false;
  state_ = State::kEnded;
}

}  // namespace mach::chat
