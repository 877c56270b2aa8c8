#include "text/tokenizer.h"

#include <algorithm>
#include <utility>

#include "base/utf8.h"
#include "json/parse.h"
#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/component.h"
#include "text/decoder.h"
#include "text/normalizer.h"
#include "text/post_processor.h"
#include "text/pre_tokenizer.h"
#include "text/template_literals.h"

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
  const Input in = Prepare(text, options.plain);
  std::vector<Segment> segments;
  parts_->added.CutRaw(in.text, in.plain, segments);
  std::vector<TokenId> ids;
  ids.reserve(in.text.size() / 4);
  for (const Segment& s : segments) {
    if (s.id >= 0) {
      ids.push_back(s.id);
      continue;
    }
    const size_t n = s.end - s.begin;
    const std::string_view plain =
        in.plain.empty() ? std::string_view() : std::string_view(in.plain).substr(s.begin, n);
    EncodeText(in.text.substr(s.begin, n), plain, s.begin == 0, ids);
  }
  return parts_->post_processor.Apply(std::move(ids), options.add_special_tokens);
}

void Tokenizer::EncodeText(std::string_view text, std::string_view plain, bool at_start,
                           std::vector<TokenId>& out) const {
  MatchBudget budget;
  NormalizedText normalized;
  if (!parts_->normalizer.empty()) {
    normalized.text = text;
    if (parts_->added.any_normalized()) normalized.plain = plain;
    normalized.at_start = at_start;
    parts_->normalizer.Apply(normalized, budget);
    text = normalized.text;
    plain = normalized.plain;
    at_start = normalized.at_start;
  }
  std::vector<Segment> segments;
  if (parts_->added.any_normalized()) {
    parts_->added.CutNormalized(text, plain, segments);
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
      parts_->model.Encode(pieces.text.substr(piece.begin, piece.end - piece.begin), out);
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

std::string Tokenizer::Decode(std::span<const TokenId> ids, bool skip_special_tokens) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const TokenId id : ids) {
    if (const auto token = DecodedToken(id, skip_special_tokens)) tokens.emplace_back(*token);
  }
  return parts_->decoder.Decode(std::move(tokens));
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
  return token ? parts_->decoder.BytesOf(std::string(*token)) : std::string();
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
