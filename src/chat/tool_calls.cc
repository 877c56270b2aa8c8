#include "chat/tool_calls.h"

#include <utility>

#include "chat/space.h"
#include "json/parse.h"
#include "json/write.h"

namespace mach::chat {
namespace {

constexpr std::string_view kFunction = "<function=";
constexpr std::string_view kFunctionEnd = "</function>";
constexpr std::string_view kParameter = "<parameter=";
constexpr std::string_view kParameterEnd = "</parameter>";
constexpr std::string_view kFence = "```";
constexpr size_t kMaxNameBytes = 256;
constexpr size_t kMaxGapBytes = 64;  // of white space after "</parameter>", and in the opening

// Names and keys as some models write them: "get_weather", 'city'.
std::string_view Unquoted(std::string_view text) {
  text = Trim(text);
  if (text.size() >= 2 && (text.front() == '"' || text.front() == '\'') &&
      text.back() == text.front()) {
    text = text.substr(1, text.size() - 2);
  }
  return text;
}

// Whether more text could make `text` begin with `whole`.
bool MayBecome(std::string_view text, std::string_view whole) {
  return text.size() < whole.size() && whole.starts_with(text);
}

// Length of the longest tail of text that is a proper prefix of pattern.
size_t PrefixTail(std::string_view text, std::string_view pattern) {
  for (size_t n = std::min(text.size(), pattern.size() - 1); n > 0; --n) {
    if (pattern.starts_with(text.substr(text.size() - n))) return n;
  }
  return 0;
}

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
  if (end == std::string_view::npos || body[end] == '\\') return false;
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

void ToolCallParser::Feed(std::string_view text, OutputEvents& events) {
  if (!started_) raw_ += text;
  pending_ += text;
  Run(events);
}

std::string ToolCallParser::TakeRest() { return std::exchange(pending_, {}); }

void ToolCallParser::Run(OutputEvents& events) {
  bool go_on = true;
  while (go_on) {
    switch (state_) {
      case State::kOpening:
        go_on = StepOpening(events);
        break;
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
        if (!pending_.empty()) Emit(EventKind::kContent, std::exchange(pending_, {}), events);
        return;
      case State::kJson:
      case State::kEnded:
        return;
    }
  }
}

bool ToolCallParser::StepOpening(OutputEvents& events) {
  const std::string_view body = TrimLeft(pending_);
  if (body.empty()) {
    if (pending_.size() > kMaxGapBytes) Fail(events);
    return false;
  }
  if (body.front() == '{' || body.starts_with(kFence)) {
    state_ = State::kJson;
    return false;
  }
  if (body.starts_with(kFunction)) {
    pending_.erase(0, pending_.size() - body.size() + kFunction.size());
    state_ = State::kName;
    return true;
  }
  if (!MayBecome(body, kFunction) && !MayBecome(body, kFence)) Fail(events);
  return false;
}

bool ToolCallParser::StepName(OutputEvents& events) {
  const size_t end = pending_.find('>');
  if (end == std::string::npos) {
    if (pending_.size() > kMaxNameBytes) Fail(events);
    return false;
  }
  const std::string name(Unquoted(std::string_view(pending_).substr(0, end)));
  if (name.empty() || end > kMaxNameBytes) {
    Fail(events);
    return false;
  }
  pending_.erase(0, end + 1);
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

// Anything else between the parameters is skipped.
bool ToolCallParser::StepBetween(OutputEvents& events) {
  const size_t next = pending_.find('<');
  if (next == std::string::npos) {
    pending_.clear();
    return false;
  }
  pending_.erase(0, next);
  if (pending_.starts_with(kParameter)) {
    pending_.erase(0, kParameter.size());
    state_ = State::kKey;
    return true;
  }
  if (pending_.starts_with(kFunctionEnd)) {
    pending_.erase(0, kFunctionEnd.size());
    EndCall(events);
    return false;
  }
  if (MayBecome(pending_, kParameter) || MayBecome(pending_, kFunctionEnd)) return false;
  pending_.erase(0, 1);
  return true;
}

bool ToolCallParser::StepKey(OutputEvents& events) {
  const size_t end = pending_.find('>');
  if (end == std::string::npos && pending_.size() <= kMaxNameBytes) return false;
  if (end == std::string::npos || end > kMaxNameBytes) {
    state_ = State::kBetween;  // no parameter after all
    return true;
  }
  key_ = Unquoted(std::string_view(pending_).substr(0, end));
  pending_.erase(0, end + 1);
  types_ = schemas_.Types(name_, key_);
  streams_ = types_.empty() || types_.front() == ValueType::kString;
  ignored_ = !keys_.insert(key_).second;
  value_.clear();
  value_opened_ = false;
  scanned_ = 0;
  if (!ignored_) {
    std::string before = keys_.size() == 1 ? "" : ", ";
    json::AppendString(before, key_);
    before += streams_ ? ": \"" : ": ";
    Emit(EventKind::kArguments, std::move(before), events);
  }
  state_ = State::kValue;
  return true;
}

void ToolCallParser::AddValueText(std::string_view text, OutputEvents& events) {
  if (text.empty() || ignored_) return;
  if (streams_) {
    Emit(EventKind::kArguments, Escaped(text), events);
  } else {
    value_ += text;
  }
}

void ToolCallParser::EndValue(OutputEvents& events) {
  if (!ignored_) {
    Emit(EventKind::kArguments, streams_ ? "\"" : json::Write(ValueFromText(value_, types_)),
         events);
  }
  value_.clear();
  state_ = State::kBetween;
}

// "</parameter>" ends the value only where, after white space, another parameter or the end of the
// function follows: the value may hold anything else.
bool ToolCallParser::StepValue(OutputEvents& events) {
  if (!value_opened_) {
    if (pending_.empty() || pending_ == "\r") return false;
    if (pending_.starts_with("\r\n")) {
      pending_.erase(0, 2);
    } else if (pending_.front() == '\n') {
      pending_.erase(0, 1);
    }
    value_opened_ = true;
  }
  size_t kept_from = std::string::npos;  // where something undecided begins
  for (;;) {
    const size_t at = pending_.find(kParameterEnd, scanned_);
    if (at == std::string::npos) break;
    const std::string_view after = std::string_view(pending_).substr(at + kParameterEnd.size());
    const std::string_view next = TrimLeft(after);
    const size_t gap = after.size() - next.size();
    if (gap <= kMaxGapBytes) {
      if (next.starts_with(kParameter) || next.starts_with(kFunctionEnd)) {
        size_t end = at;
        if (end > 0 && pending_[end - 1] == '\n') --end;
        if (end < at && end > 0 && pending_[end - 1] == '\r') --end;
        AddValueText(std::string_view(pending_).substr(0, end), events);
        pending_.erase(0, at + kParameterEnd.size());
        EndValue(events);
        return true;
      }
      if (next.empty() || MayBecome(next, kParameter) || MayBecome(next, kFunctionEnd)) {
        kept_from = at;
        break;
      }
    }
    scanned_ = at + 1;
  }
  if (kept_from == std::string::npos) {
    kept_from = pending_.size() - PrefixTail(pending_, kParameterEnd);
  }
  // The line break before the end is no part of the value.
  if (kept_from > 0 && pending_[kept_from - 1] == '\n') --kept_from;
  if (kept_from > 0 && pending_[kept_from - 1] == '\r') --kept_from;
  AddValueText(std::string_view(pending_).substr(0, kept_from), events);
  pending_.erase(0, kept_from);
  scanned_ -= std::min(scanned_, kept_from);
  return false;
}

void ToolCallParser::EndCall(OutputEvents& events) {
  Emit(EventKind::kArguments, "}", events);
  Emit(EventKind::kCallEnd, "", events);
  state_ = State::kEnded;
}

void ToolCallParser::Fail(OutputEvents& events) {
  Emit(EventKind::kContent, std::exchange(raw_, {}), events);
  pending_.clear();
  malformed_ = true;
  state_ = State::kMalformed;
}

void ToolCallParser::CloseJson(bool truncated, std::string_view closer, OutputEvents& events) {
  std::string name;
  std::string arguments;
  if (ParseJsonCall(pending_, name, arguments)) {
    Start(name, events);
    Emit(EventKind::kArguments, std::move(arguments), events);
    Emit(EventKind::kCallEnd, "", events);
  } else if (truncated && PartialJsonCall(WithoutFence(pending_), name, arguments)) {
    Start(name, events);
    Emit(EventKind::kArguments, std::move(arguments), events);
  } else {
    raw_ += closer;
    Fail(events);
  }
  pending_.clear();
  state_ = State::kEnded;
}

void ToolCallParser::Close(bool truncated, std::string_view closer, OutputEvents& events) {
  switch (state_) {
    case State::kJson:
      CloseJson(truncated, closer, events);
      return;
    case State::kOpening:
    case State::kName:
      raw_ += closer;
      Fail(events);
      break;
    case State::kMalformed:
      Emit(EventKind::kContent, std::string(closer), events);
      break;
    case State::kKey:
    case State::kBetween:
      if (!truncated) EndCall(events);
      break;
    case State::kValue: {
      // The output ended inside a value: what is there is its text. An end that waits to be
      // confirmed counts.
      std::string_view text = pending_;
      const size_t at = text.find(kParameterEnd, scanned_);
      const bool ended = at != std::string_view::npos;
      if (ended) {
        text = text.substr(0, at);
      } else if (!truncated) {
        text.remove_suffix(PrefixTail(text, kParameterEnd));
      }
      if ((!truncated || ended) && text.ends_with('\n')) {
        text.remove_suffix(1);
        if (text.ends_with('\r')) text.remove_suffix(1);
      }
      AddValueText(text, events);
      if (truncated && !ended) break;
      EndValue(events);
      if (!truncated) EndCall(events);
      break;
    }
    case State::kEnded:
      break;
  }
  pending_.clear();
  state_ = State::kEnded;
}

}  // namespace mach::chat
