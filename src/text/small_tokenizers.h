// Small tokenizers of several kinds, as tokenizer.json, for tests and fuzzing.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "json/parse.h"
#include "json/value.h"
#include "json/write.h"
#include "text/byte_alphabet.h"

namespace mach::text::small {

inline constexpr std::string_view kQwenPattern =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| "
    "?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

// REQUIRES valid JSON.
inline json::Value Json(std::string_view text) {
  auto value = json::Parse(text);
  MACH_CHECK(value.ok());
  return *std::move(value);
}

inline json::Value Added(std::string_view content, int id, std::string_view flag = {}) {
  json::Object token;
  token.Set("id", id);
  token.Set("content", content);
  for (const std::string_view f : {"single_word", "lstrip", "rstrip", "normalized", "special"}) {
    token.Set(f, f == flag);
  }
  return token;
}

struct File {
  std::vector<std::string> vocab;  // ids in order
  std::vector<std::pair<std::string, std::string>> merges;
  json::Object model_options;  // more members of "model"
  json::Array added;
  json::Value normalizer, pre_tokenizer, post_processor, decoder;

  // Adds the merge, and the token that it makes.
  void Merge(const std::string& left, const std::string& right) {
    merges.emplace_back(left, right);
    vocab.push_back(left + right);
  }

  std::string Text() const {
    json::Object ids;
    for (size_t i = 0; i < vocab.size(); ++i) ids.Append(vocab[i], static_cast<int64_t>(i));
    json::Array rules;
    for (const auto& [left, right] : merges) rules.push_back(json::Array{left, right});
    json::Object model = model_options;
    model.Set("type", "BPE");
    model.Set("vocab", std::move(ids));
    model.Set("merges", std::move(rules));
    json::Object file;
    file.Set("version", "1.0");
    file.Set("added_tokens", added);
    file.Set("normalizer", normalizer);
    file.Set("pre_tokenizer", pre_tokenizer);
    file.Set("post_processor", post_processor);
    file.Set("decoder", decoder);
    file.Set("model", std::move(model));
    return json::Write(file);
  }
};

// 256 bytes and 8 merges: ids 0 to 255 are the bytes, then " t", "he", " the", "in", "ing", "ll",
// "  ", "    ". Then <|start|> (264, special), <|end|> (265, special), <think> (266), and runs of
// three spaces (267).
inline File ByteLevel() {
  File file;
  for (const std::string& c : ByteCharacters()) file.vocab.push_back(c);
  for (const auto& [left, right] : std::vector<std::pair<std::string, std::string>>{{"Ġ", "t"},
                                                                                    {"h", "e"},
                                                                                    {"Ġt", "he"},
                                                                                    {"i", "n"},
                                                                                    {"in", "g"},
                                                                                    {"l", "l"},
                                                                                    {"Ġ", "Ġ"},
                                                                                    {"ĠĠ", "ĠĠ"}}) {
    file.Merge(left, right);
  }
  file.added = {Added("<|start|>", 264, "special"), Added("<|end|>", 265, "special"),
                Added("<think>", 266), Added("   ", 267)};
  json::Object split;
  split.Set("type", "Split");
  split.Set("pattern", json::Object{{"Regex", kQwenPattern}});
  split.Set("behavior", "Isolated");
  json::Object sequence;
  sequence.Set("type", "Sequence");
  sequence.Set("pretokenizers",
               json::Array{split, Json(R"({"type":"ByteLevel","add_prefix_space":false,
                                          "trim_offsets":false,"use_regex":false})")});
  file.pre_tokenizer = std::move(sequence);
  file.decoder = Json(R"({"type":"ByteLevel"})");
  return file;
}

// <unk>, <s>, </s>, 256 byte tokens (3 to 258), characters ▁ a to z (259 on) and merges, in the
// manner of SentencePiece models.
inline File ByteFallback() {
  File file;
  file.vocab = {"<unk>", "<s>", "</s>"};
  for (int b = 0; b < 256; ++b) {
    constexpr std::string_view kHex = "0123456789ABCDEF";
    file.vocab.push_back(std::string("<0x") + kHex[static_cast<size_t>(b) / 16] +
                         kHex[static_cast<size_t>(b) % 16] + ">");
  }
  file.vocab.push_back("▁");
  for (char c = 'a'; c <= 'z'; ++c) file.vocab.emplace_back(1, c);
  file.Merge("▁", "t");
  file.Merge("h", "e");
  file.Merge("▁t", "he");
  file.Merge("▁", "▁");
  file.model_options.Set("byte_fallback", true);
  file.model_options.Set("fuse_unk", true);
  file.model_options.Set("unk_token", "<unk>");
  file.added = {Added("<unk>", 0, "special"), Added("<s>", 1, "special"),
                Added("</s>", 2, "special")};
  file.normalizer = Json(R"({"type":"Sequence","normalizers":[
      {"type":"Prepend","prepend":"▁"},
      {"type":"Replace","pattern":{"String":" "},"content":"▁"}]})");
  file.post_processor = Json(R"({"type":"TemplateProcessing",
      "single":[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],
      "pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":1}}],
      "special_tokens":{"<s>":{"id":"<s>","ids":[1],"tokens":["<s>"]}}})");
  file.decoder = Json(R"({"type":"Sequence","decoders":[
      {"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},
      {"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]})");
  return file;
}

// ByteFallback without byte tokens, with Metaspace instead of normalizers.
inline File Metaspace() {
  File file = ByteFallback();
  file.model_options.Set("byte_fallback", false);
  file.model_options.Set("fuse_unk", false);
  file.normalizer = nullptr;
  file.pre_tokenizer =
      Json(R"({"type":"Metaspace","replacement":"▁","prepend_scheme":"always","split":true})");
  file.decoder =
      Json(R"({"type":"Metaspace","replacement":"▁","prepend_scheme":"always","split":true})");
  return file;
}

// ByteLevel with everything that changes text, and added tokens with every flag.
inline File Normalizing() {
  File file = ByteLevel();
  file.normalizer = Json(R"({"type":"Sequence","normalizers":[
      {"type":"NFKD"},{"type":"StripAccents"},{"type":"Lowercase"},
      {"type":"Strip","strip_left":true,"strip_right":true},
      {"type":"Replace","pattern":{"Regex":"\\s+"},"content":" "},{"type":"NFC"}]})");
  file.pre_tokenizer = Json(R"({"type":"Sequence","pretokenizers":[
      {"type":"Digits","individual_digits":false},{"type":"Punctuation","behavior":"Contiguous"},
      {"type":"ByteLevel","add_prefix_space":true,"use_regex":true}]})");
  file.added = {Added("<|start|>", 264, "special"), Added("<l>", 265, "lstrip"),
                Added("<r>", 266, "rstrip"),        Added("word", 267, "single_word"),
                Added("Café", 268, "normalized"),   Added("  ", 269)};
  return file;
}

// Prefixes and suffixes of words, unknown characters one by one, no decoder.
inline File Affixes() {
  File file;
  file.vocab = {"<unk>", "a", "b", "##a", "##b", "a</w>", "b</w>", "##a</w>", "##b</w>"};
  file.merges = {{"a", "##b"}, {"ab", "##a</w>"}};
  file.vocab.insert(file.vocab.end(), {"ab", "aba</w>"});
  file.model_options.Set("continuing_subword_prefix", "##");
  file.model_options.Set("end_of_word_suffix", "</w>");
  file.model_options.Set("unk_token", "<unk>");
  file.pre_tokenizer = Json(R"({"type":"WhitespaceSplit"})");
  return file;
}

}  // namespace mach::text::small
