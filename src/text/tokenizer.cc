#include "text/tokenizer.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/utf8.h"
#include "json/parse.h"
#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/component.h"
#include "text/decode_stream.h"
#include "text/decoder.h"
#include "text/normalizer.h"
#include "text/post_processor.h"
#include "text/pre_tokenizer.h"
#include "text/template_literals.h"
#include "text/work_budget.h"

namespace mach::text {

struct Tokenizer::Parts {
  Bpe model;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  AddedTokens added;
  PostProcessor post_processor;
  Decoder decoder;
};

namespace {

// Valid UTF-8, with a mark for each byte of a plain range ("" where there is none).
struct Input {
  std::string repaired;
  std::string_view text;
  std::string plain;
};

Input Prepare(std::string_view text, std::span<const Span> spans) {
  Input in;
  for (const Span& s : spans) {
    const size_t begin = std::min(s.begin, text.size());
    const size_t end = std::min(s.end, text.size());
    if (begin >= end) continue;
    in.plain.resize(text.size(), '\0');
    std::fill(in.plain.begin() + static_cast<std::ptrdiff_t>(begin),
              in.plain.begin() + static_cast<std::ptrdiff_t>(end), '\1');
  }
  in.text = text;
  if (utf8::IsValid(text)) return in;
  const bool marked = !in.plain.empty();
  std::string marks;
  for (size_t at = 0; at < text.size();) {
    const utf8::Decoded d = utf8::Decode(text, at);
    utf8::Append(in.repaired, d.code_point);
    if (marked) {
      const bool plain = std::string_view(in.plain).substr(at, d.length).find('\1') != text.npos;
      marks.resize(in.repaired.size(), plain ? '\1' : '\0');
    }
    at += d.length;
  }
  in.text = in.repaired;
  in.plain = std::move(marks);
  return in;
}

void WarnOfSpent(std::string_view what) {
  LogWarning("tokenizer: to " + std::string(what) +
             " this text costs more than any published tokenizer needs; what goes beyond that was "
             "left out, so that the tokens or the text are not those that tokenizer.json says");
}

// What the decoder makes of all tokens is bounded, and so is what it makes of each: they are asked
// for one by one later.
Status CheckDecoder(const Decoder& decoder, const Vocabulary& vocabulary,
                    const AddedTokens& added) {
  if (!decoder.Multiplies()) return Ok();
  size_t bytes = 0;
  const StringIds& strings = vocabulary.strings();
  for (size_t i = 0; i < strings.size(); ++i) bytes += strings.TextAt(i).size();
  for (const AddedToken& token : added.tokens()) bytes += token.content.size();
  WorkBudget budget(bytes);
  budget.LimitTime();
  const size_t most = bytes + budget.growth_left();
  const auto check = [&](std::string_view token) -> Status {
    const size_t made = decoder.BytesOf(std::string(token), budget).size();
    const size_t most_of_one = token.size() * (1 + WorkBudget::kGrowth) + kMaxContentBytes;
    if (budget.spent()) {
      return Error{Code::kInvalidArgument,
                   "decoder: makes more than " + std::to_string(most) +
                       " bytes of the vocabulary, or takes too long to; expected at most " +
                       std::to_string(most) + " of its " + std::to_string(bytes)};
    }
    if (made <= most_of_one) return Ok();
    return Error{Code::kInvalidArgument, "decoder: makes " + std::to_string(made) +
                                             " bytes of token " + Quoted(token) +
                                             ", expected at most " + std::to_string(most_of_one)};
  };
  for (size_t i = 0; i < strings.size(); ++i) MACH_RETURN_IF_ERROR(check(strings.TextAt(i)));
  for (const AddedToken& token : added.tokens()) MACH_RETURN_IF_ERROR(check(token.content));
  return Ok();
}

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Tokenizer::~Tokenizer() = default;

Result<std::unique_ptr<Tokenizer>> Tokenizer::FromJson(std::string_view tokenizer_json) {
  const auto in_file = [](Error error) { return std::move(error).In("tokenizer.json"); };
  auto parsed = json::ParseLarge(tokenizer_json, {.python_numbers = true});
  if (!parsed.ok()) return in_file(std::move(parsed).error());
  if (!parsed->is_object()) {
    return Error{Code::kInvalidArgument, "tokenizer.json: is " + std::string(parsed->KindName()) +
                                             ", expected an object with a 'model'"};
  }
  const json::Value null;
  const auto member = [&](std::string_view key) -> const json::Value& {
    const json::Value* found = parsed->Find(key);
    return found == nullptr ? null : *found;
  };
  auto model = Bpe::FromJson(member("model"));
  if (!model.ok()) return in_file(std::move(model).error());
  auto normalizer = Normalizer::FromJson(member("normalizer"));
  if (!normalizer.ok()) return in_file(std::move(normalizer).error());
  auto pre_tokenizer = PreTokenizer::FromJson(member("pre_tokenizer"));
  if (!pre_tokenizer.ok()) return in_file(std::move(pre_tokenizer).error());
  auto added = AddedTokens::FromJson(member("added_tokens"), model->vocabulary(), *normalizer);
  if (!added.ok()) return in_file(std::move(added).error());
  auto post_processor = PostProcessor::FromJson(member("post_processor"));
  if (!post_processor.ok()) return in_file(std::move(post_processor).error());
  auto decoder = Decoder::FromJson(member("decoder"));
  if (!decoder.ok()) return in_file(std::move(decoder).error());
  if (auto checked = CheckDecoder(*decoder, model->vocabulary(), *added); !checked.ok()) {
    return in_file(std::move(checked).error());
  }

  if (pre_tokenizer->ends_with_byte_map() && model->ReadRawBytes()) {
    pre_tokenizer->DropFinalByteMap();
  } else {
    model->CutLongPieces();
  }
  auto parts = std::make_unique<Parts>(Parts{*std::move(model), *std::move(normalizer),
                                             *std::move(pre_tokenizer), *std::move(added),
                                             *std::move(post_processor), *std::move(decoder)});
  return std::unique_ptr<Tokenizer>(new Tokenizer(std::move(parts)));
}

std::vector<TokenId> Tokenizer::Encode(std::string_view text, const EncodeOptions& options) const {
  WorkBudget budget(text.size());
  budget.LimitTime();
  return Encode(text, options, budget);
}

std::vector<TokenId> Tokenizer::Encode(std::string_view text, const EncodeOptions& options,
                                       WorkBudget& budget) const {
  if (budget.Look()) return {};
  const Input in = Prepare(text, options.plain);
  std::vector<Segment> segments;
  parts_->added.CutRaw(in.text, in.plain, segments, budget);
  std::vector<TokenId> ids;
  ids.reserve(in.text.size() / 4);
  if (budget.cancelled()) return {};
  for (const Segment& s : segments) {
    if (s.id >= 0) {
      ids.push_back(s.id);
      continue;
    }
    const size_t n = s.end - s.begin;
    const std::string_view plain =
        in.plain.empty() ? std::string_view() : std::string_view(in.plain).substr(s.begin, n);
    EncodeText(in.text.substr(s.begin, n), plain, s.begin == 0, ids, budget);
    if (budget.cancelled()) return {};
  }
  if (budget.spent()) WarnOfSpent("encode");
  return parts_->post_processor.Apply(std::move(ids), options.add_special_tokens);
}

void Tokenizer::EncodeText(std::string_view text, std::string_view plain, bool at_start,
                           std::vector<TokenId>& out, WorkBudget& budget) const {
  NormalizedText normalized;
  if (!parts_->normalizer.empty()) {
    normalized.text = text;
    if (parts_->added.any_normalized()) normalized.plain = plain;
    normalized.at_start = at_start;
    parts_->normalizer.Apply(normalized, budget);
    if (budget.cancelled()) return;
    text = normalized.text;
    plain = normalized.plain;
    at_start = normalized.at_start;
  }
  std::vector<Segment> segments;
  if (parts_->added.any_normalized()) {
    parts_->added.CutNormalized(text, plain, segments, budget);
  } else if (!text.empty()) {
    segments.push_back({0, text.size(), -1});
  }
  for (const Segment& s : segments) {
    if (s.id >= 0) {
      out.push_back(s.id);
      continue;
    }
    Pieces pieces;
    pieces.text = text.substr(s.begin, s.end - s.begin);
    pieces.list = {{0, pieces.text.size()}};
    pieces.at_start = at_start && s.begin == 0;
    parts_->pre_tokenizer.Apply(pieces, budget);
    for (const Match& piece : pieces.list) {
      if (budget.cancelled()) return;
      parts_->model.Encode(pieces.text.substr(piece.begin, piece.end - piece.begin), out, budget);
    }
  }
}

std::optional<std::string_view> Tokenizer::DecodedToken(TokenId id,
                                                        bool skip_special_tokens) const {
  if (const AddedToken* added = parts_->added.FindId(id)) {
    if (skip_special_tokens && added->special) return std::nullopt;
    return added->content;
  }
  const Vocabulary& vocabulary = parts_->model.vocabulary();
  if (!vocabulary.Has(id)) return std::nullopt;
  return vocabulary.Token(id);
}

std::string Tokenizer::Decode(std::span<const TokenId> ids, bool skip_special_tokens,
                              const std::atomic<bool>* cancel) const {
  WorkBudget budget(0, cancel);
  DecodeStream stream(parts_->decoder, budget);
  if (budget.Look()) return {};
  for (const TokenId id : ids) {
    const auto token = DecodedToken(id, skip_special_tokens);
    if (budget.Cancelled(1 + (token ? token->size() : 0))) return {};
    if (token) stream.Push(*token);
  }
  stream.Finish();
  if (budget.cancelled()) return {};
  if (budget.spent()) WarnOfSpent("decode");
  return stream.Take();
}

size_t Tokenizer::vocab_size() const {
  const Vocabulary& vocabulary = parts_->model.vocabulary();
  const auto is_new = [&](const AddedToken& t) { return !vocabulary.Find(t.content).has_value(); };
  return vocabulary.size() +
         static_cast<size_t>(std::ranges::count_if(parts_->added.tokens(), is_new));
}

size_t Tokenizer::end_id() const {
  size_t end = parts_->model.vocabulary().end_id();
  for (const AddedToken& t : parts_->added.tokens()) {
    end = std::max(end, static_cast<size_t>(t.id) + 1);
  }
  return end;
}

std::optional<TokenId> Tokenizer::Find(std::string_view content) const {
  if (const AddedToken* added = parts_->added.FindContent(content)) return added->id;
  return parts_->model.vocabulary().Find(content);
}

std::string Tokenizer::Token(TokenId id) const {
  return std::string(DecodedToken(id, false).value_or(std::string_view()));
}

std::string Tokenizer::TokenBytes(TokenId id) const {
  const auto token = DecodedToken(id, false);
  if (!token) return {};
  WorkBudget budget(token->size());
  return parts_->decoder.BytesOf(std::string(*token), budget);
}

bool Tokenizer::IsSpecial(TokenId id) const {
  const AddedToken* added = parts_->added.FindId(id);
  return added != nullptr && added->special;
}

bool Tokenizer::IsAdded(TokenId id) const { return parts_->added.FindId(id) != nullptr; }

void Tokenizer::MarkStructural(std::string_view template_source) {
  parts_->added.MarkStructural(TemplateLiterals(template_source));
}

const Decoder& Tokenizer::decoder() const { return parts_->decoder; }

}  // namespace mach::text
