#include "text/normalizer.h"

#include <algorithm>

#include "text/component.h"

namespace mach::text {
namespace {

bool AnyPlain(std::string_view plain, size_t begin, size_t end) {
  return !plain.empty() && plain.substr(begin, end - begin).find('\1') != std::string_view::npos;
}

}  // namespace

Result<Normalizer::Step> Normalizer::StepFromJson(const json::Value& component) {
  MACH_TRY(const std::string type, ComponentType(component, "normalizer"));
  if (type == "NFC") return Step(NormalForm::kNfc);
  if (type == "NFD") return Step(NormalForm::kNfd);
  if (type == "NFKC") return Step(NormalForm::kNfkc);
  if (type == "NFKD") return Step(NormalForm::kNfkd);
  if (type == "StripAccents") return Step(StripAccents{});
  if (type == "Lowercase") return Step(Lowercase{});
  if (type == "Strip") {
    MACH_TRY(const bool left, json::GetBool(component, "strip_left"));
    MACH_TRY(const bool right, json::GetBool(component, "strip_right"));
    return Step(Strip{left, right});
  }
  if (type == "Prepend") {
    MACH_TRY(std::string content, GetContent(component, "prepend"));
    return Step(Prepend{std::move(content)});
  }
  if (type == "Replace") {
    const json::Value* pattern = component.Find("pattern");
    MACH_TRY(Pattern compiled, Pattern::FromJson(pattern == nullptr ? json::Value() : *pattern));
    MACH_TRY(std::string content, GetContent(component, "content"));
    return Step(Replace{std::move(compiled), std::move(content)});
  }
  return UnsupportedComponent("normalizer", type,
                              "NFC, NFD, NFKC, NFKD, Replace, Prepend, Strip, StripAccents, "
                              "Lowercase and Sequence");
}

Result<Normalizer> Normalizer::FromJson(const json::Value& component) {
  Normalizer out;
  if (component.is_null()) return out;
  MACH_TRY(const auto components, FlattenSequence(component, "normalizers", "normalizer"));
  for (const json::Value* c : components) {
    auto step = StepFromJson(*c);
    if (!step.ok()) return std::move(step).error().In("normalizer");
    out.steps_.push_back(*std::move(step));
  }
  return out;
}

void Normalizer::Apply(NormalizedText& text, WorkBudget& budget) const {
  for (const Step& step : steps_) {
    if (text.text.empty()) return;  // no step makes something of nothing
    std::visit([&](const auto& s) { Run(s, text, budget); }, step);
    if (budget.Cancelled(0)) return;
  }
}

void Normalizer::Run(NormalForm form, NormalizedText& t, WorkBudget& budget) {
  if (t.plain.empty()) {
    t.text = Normalize(t.text, form, budget);
    return;
  }
  NormalizedText out;
  const std::string_view text = t.text;
  for (size_t at = 0; at < text.size();) {
    const size_t n = NormalizationUnit(text.substr(at), form);
    const std::string unit = Normalize(text.substr(at, n), form, budget);
    if (budget.Cancelled(1)) return;
    const bool plain = AnyPlain(t.plain, at, at + n);
    out.text += unit;
    out.plain.append(unit.size(), plain ? '\1' : '\0');
    at += n;
  }
  t.text = std::move(out.text);
  t.plain = std::move(out.plain);
}

void Normalizer::Run(const Replace& step, NormalizedText& t, WorkBudget& budget) {
  MatchCursor cursor(step.pattern, t.text, budget);
  NormalizedText out;
  size_t at = 0;
  const auto copy = [&](size_t end) {
    out.text.append(t.text, at, end - at);
    if (!t.plain.empty()) out.plain.append(t.plain, at, end - at);
    at = end;
  };
  while (const auto m = cursor.Next()) {
    const size_t matched = m->end - m->begin;
    if (step.content.size() > matched && !budget.Grow(step.content.size() - matched)) break;
    copy(m->begin);
    if (at == 0 && step.content.empty() && m->end > 0) t.at_start = false;
    const bool plain = AnyPlain(t.plain, m->begin, m->end);
    out.text += step.content;
    if (!t.plain.empty()) out.plain.append(step.content.size(), plain ? '\1' : '\0');
    at = m->end;
  }
  copy(t.text.size());
  t.text = std::move(out.text);
  t.plain = std::move(out.plain);
}

void Normalizer::Run(const Prepend& step, NormalizedText& t, WorkBudget& budget) {
  if (!budget.Grow(step.content.size())) return;
  t.text.insert(0, step.content);
  if (!t.plain.empty()) t.plain.insert(0, step.content.size(), '\0');
}

void Normalizer::Run(Strip step, NormalizedText& t, WorkBudget&) {
  const size_t left = step.left ? LeadingSpace(t.text) : 0;
  t.text.erase(0, left);
  const size_t right = step.right ? TrailingSpace(t.text) : 0;
  t.text.resize(t.text.size() - right);
  if (!t.plain.empty()) t.plain = t.plain.substr(left, t.text.size());
  if (left > 0) t.at_start = false;
}

void Normalizer::Run(StripAccents, NormalizedText& t, WorkBudget& budget) {
  if (!t.text.empty() && IsMark(CodePointAt(t.text, 0))) t.at_start = false;
  size_t to = 0;
  for (size_t at = 0; at < t.text.size();) {
    const size_t n = CharLength(t.text[at]);
    if (budget.Cancelled(n)) return;
    if (!IsMark(CodePointAt(t.text, at))) {
      for (size_t i = 0; i < n; ++i, ++to) {
        t.text[to] = t.text[at + i];
        if (!t.plain.empty()) t.plain[to] = t.plain[at + i];
      }
    }
    at += n;
  }
  t.text.resize(to);
  if (!t.plain.empty()) t.plain.resize(to);
}

void Normalizer::Run(Lowercase, NormalizedText& t, WorkBudget& budget) {
  NormalizedText out;
  out.text.reserve(t.text.size());
  for (size_t at = 0; at < t.text.size(); at += CharLength(t.text[at])) {
    AppendLower(out.text, CodePointAt(t.text, at));
    if (!t.plain.empty()) out.plain.resize(out.text.size(), t.plain[at]);
    if (budget.Cancelled(1)) return;
  }
  if (out.text.size() > t.text.size() && !budget.Grow(out.text.size() - t.text.size())) return;
  t.text = std::move(out.text);
  t.plain = std::move(out.plain);
}

}  // namespace mach::text
