#include "text/decode_stream.h"

#include "base/utf8.h"

namespace mach::text {

using Kind = DecoderStep::Kind;

DecodeStream::DecodeStream(const Decoder& decoder, WorkBudget& budget)
    : decoder_(decoder), budget_(budget) {
  bool fused = false;
  for (const DecoderStep& step : decoder.steps()) {
    StepState state;
    state.fused = fused;
    state.buffers = fused && step.kind != Kind::kFuse && step.kind != Kind::kMetaspace &&
                    !(step.kind == Kind::kStrip && step.stop == 0);
    states_.push_back(std::move(state));
    fused = fused || step.fuses();
  }
}

void DecodeStream::Push(std::string_view token) {
  if (!budget_.Read(token.size())) return;
  if (decoder_.joins_with_spaces()) {
    if (std::exchange(any_, true)) out_ += ' ';
    out_ += token;
  } else {
    Feed(0, std::string(token));
  }
}

void DecodeStream::Finish() {
  for (size_t step = 0; step < states_.size(); ++step) Flush(step);
}

void DecodeStream::Feed(size_t index, std::string token) {
  if (index == states_.size()) {
    out_ += token;
    return;
  }
  const DecoderStep& step = decoder_.steps()[index];
  StepState& state = states_[index];
  if (state.buffers) {
    state.held += token;
    return;
  }
  switch (step.kind) {
    case Kind::kByteLevel: {
      state.held += ByteLevelBytes(token);
      const size_t whole = state.held.size() - utf8::IncompleteSuffix(state.held);
      if (whole == 0) return;
      std::string text = utf8::Repair(std::string_view(state.held).substr(0, whole));
      state.held.erase(0, whole);
      Feed(index + 1, std::move(text));
      return;
    }
    case Kind::kFuse:
      Feed(index + 1, std::move(token));
      return;
    case Kind::kReplace:
      Feed(index + 1, step.Replaced(token, budget_));
      return;
    case Kind::kStrip:
      if (state.fused) {
        FeedStrip(index, token);
      } else {
        Feed(index + 1, step.Stripped(token));
      }
      return;
    case Kind::kMetaspace: {
      const bool first = state.fused || std::exchange(state.first, false);
      Feed(index + 1, step.Spaced(token, first));
      return;
    }
    case Kind::kByteFallback:
      if (const auto byte = FallbackByte(token)) {
        state.held += *byte;
        return;
      }
      if (!state.held.empty()) Feed(index + 1, FallbackText(std::exchange(state.held, {})));
      Feed(index + 1, std::move(token));
      return;
  }
}

// The start of one long string: up to step.start characters vanish, until another one comes.
void DecodeStream::FeedStrip(size_t index, std::string_view token) {
  const DecoderStep& step = decoder_.steps()[index];
  StepState& state = states_[index];
  std::string one;
  utf8::Append(one, step.character);
  while (state.first && state.stripped < step.start && token.starts_with(one)) {
    token.remove_prefix(one.size());
    ++state.stripped;
  }
  if (token.empty()) return;
  state.first = false;
  Feed(index + 1, std::string(token));
}

// What a step that buffers makes of one string.
std::string DecodeStream::Whole(const DecoderStep& step, std::string text) {
  switch (step.kind) {
    case Kind::kByteLevel:
      return utf8::Repair(ByteLevelBytes(text));
    case Kind::kReplace:
      return step.Replaced(text, budget_);
    case Kind::kStrip:
      return step.Stripped(text);
    case Kind::kByteFallback:
      if (const auto byte = FallbackByte(text)) return FallbackText({&*byte, 1});
      return text;
    case Kind::kFuse:
    case Kind::kMetaspace:
      break;
  }
  return text;
}

void DecodeStream::Flush(size_t index) {
  const DecoderStep& step = decoder_.steps()[index];
  StepState& state = states_[index];
  if (state.held.empty()) return;
  std::string held = std::exchange(state.held, {});
  if (state.buffers) {
    Feed(index + 1, Whole(step, std::move(held)));
  } else if (step.kind == Kind::kByteLevel) {
    Feed(index + 1, utf8::Repair(held));
  } else if (step.kind == Kind::kByteFallback) {
    Feed(index + 1, FallbackText(held));
  }
}

}  // namespace mach::text
