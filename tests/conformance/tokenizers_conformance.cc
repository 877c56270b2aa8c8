// Compares the tokenizer with what Hugging Face's library makes of many strings.
//
//   tokenizers_conformance DATA_DIR
//
// DATA_DIR/tokenizers holds strings.json, variants.json, NAME.tokenizer.json.xz and
// expected-NAME.json.xz. Prints a line for each tokenizer and for each difference. Fails on every
// difference but those of strings of kind unicode_version, and of texts with U+32FF: there the
// reference has other Unicode tables.
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include <lzma.h>

#include "base/result.h"
#include "json/parse.h"
#include "json/write.h"
#include "text/stream_decoder.h"
#include "text/tokenizer.h"

namespace mach {
namespace {

using Ids = std::vector<TokenId>;

Result<std::string> ReadFile(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return Error{Code::kNotFound, "cannot open " + path.string()};
  return std::string(std::istreambuf_iterator<char>(in), {});
}

Result<std::string> ReadXz(const std::filesystem::path& path) {
  MACH_TRY(const std::string packed, ReadFile(path));
  lzma_stream stream = LZMA_STREAM_INIT;
  if (lzma_stream_decoder(&stream, UINT64_MAX, 0) != LZMA_OK) {
    return Error{Code::kNoMemory, "no xz decoder"};
  }
  stream.next_in = reinterpret_cast<const uint8_t*>(packed.data());
  stream.avail_in = packed.size();
  std::string out;
  std::vector<char> block(1 << 20);
  lzma_ret status = LZMA_OK;
  while (status == LZMA_OK) {
    stream.next_out = reinterpret_cast<uint8_t*>(block.data());
    stream.avail_out = block.size();
    status = lzma_code(&stream, LZMA_FINISH);
    out.append(block.data(), block.size() - stream.avail_out);
  }
  lzma_end(&stream);
  if (status != LZMA_STREAM_END) return Error{Code::kCorrupt, path.string() + ": bad xz data"};
  return out;
}

Ids ReadIds(const json::Value& list) {
  Ids out;
  for (const json::Value& id : list.AsArray()) out.push_back(static_cast<TokenId>(id.AsInt()));
  return out;
}

std::string Show(const Ids& ids) {
  std::string out;
  for (const TokenId id : ids) out += (out.empty() ? "" : " ") + std::to_string(id);
  return "[" + out + "]";
}

std::string Show(const std::string& text) { return json::Write(json::Value(text)); }

struct Count {
  int equal = 0, total = 0;
  std::string Text() const { return std::to_string(equal) + "/" + std::to_string(total); }
};

class Comparison {
 public:
  explicit Comparison(std::string name) : name_(std::move(name)) {}

  template <class T>
  void Equal(Count& count, const char* what, const std::string& about, bool acceptable,
             const T& found, const T& expected) {
    ++count.total;
    if (found == expected) {
      ++count.equal;
      return;
    }
    ++(acceptable ? accepted_ : failed_);
    std::printf("  %s %s %s of %s\n    found    %s\n    expected %s\n", name_.c_str(),
                acceptable ? "accepted difference:" : "DIFFERENCE:", what, about.c_str(),
                Show(found).c_str(), Show(expected).c_str());
  }

  void Decoded(const text::Tokenizer& tokenizer, const Ids& ids, const json::Value& entry,
               const std::string& about, bool acceptable) {
    for (const bool skip : {false, true}) {
      const std::string whole = tokenizer.Decode(ids, skip);
      Equal(texts, "text", about, acceptable, whole,
            entry.Find(skip ? "text_skipped" : "text")->AsString());
      text::StreamDecoder stream(tokenizer, skip);
      std::string streamed;
      for (const TokenId id : ids) streamed += stream.Push(id);
      streamed += stream.Finish();
      Equal(streams, "streamed text", about, false, streamed, whole);
    }
  }

  int accepted() const { return accepted_; }
  int failed() const { return failed_; }

  Count encoded, special, texts, streams;

 private:
  const std::string name_;
  int accepted_ = 0, failed_ = 0;
};

Result<int> Compare(const std::filesystem::path& data, const std::string& name,
                    const std::string& tokenizer_json, const json::Array& strings) {
  const auto start = std::chrono::steady_clock::now();
  MACH_TRY(const auto tokenizer, text::Tokenizer::FromJson(tokenizer_json));
  const std::chrono::duration<double, std::milli> load = std::chrono::steady_clock::now() - start;
  MACH_TRY(const std::string expected_json, ReadXz(data / ("expected-" + name + ".json.xz")));
  MACH_TRY(const json::Value expected, json::ParseLarge(expected_json));

  Comparison c(name);
  Count size;
  c.Equal(size, "vocab_size", "the vocabulary", false, std::to_string(tokenizer->vocab_size()),
          std::to_string(expected.Find("vocab_size")->AsInt()));
  const json::Array& entries = expected.Find("strings")->AsArray();
  for (size_t i = 0; i < strings.size(); ++i) {
    const std::string& text = strings[i].Find("text")->AsString();
    const std::string& kind = strings[i].Find("kind")->AsString();
    const bool acceptable = kind == "unicode_version" || text.find("\u32FF") != text.npos;
    const std::string about = kind + " string " + std::to_string(i) + " " + Show(text);
    const Ids ids = ReadIds(*entries[i].Find("ids"));
    c.Equal(c.encoded, "ids", about, acceptable, tokenizer->Encode(text), ids);
    const json::Value* framed = entries[i].Find("ids_with_special");
    c.Equal(c.special, "ids with special tokens", about, acceptable,
            tokenizer->Encode(text, {.add_special_tokens = true, .plain = {}}),
            framed == nullptr ? ids : ReadIds(*framed));
    c.Decoded(*tokenizer, ids, entries[i], about, false);
  }
  for (const json::Value& entry : expected.Find("decode")->AsArray()) {
    const Ids ids = ReadIds(*entry.Find("ids"));
    c.Decoded(*tokenizer, ids, entry, "ids " + Show(ids), false);
  }
  std::printf(
      "%-24s ids %s  ids_with_special %s  texts %s  streamed %s  accepted %d  loaded in %.0f ms\n",
      name.c_str(), c.encoded.Text().c_str(), c.special.Text().c_str(), c.texts.Text().c_str(),
      c.streams.Text().c_str(), c.accepted(), load.count());
  std::fflush(stdout);
  return c.failed();
}

// The file of a variant: parts of its base replaced, added tokens appended.
std::string Change(json::Value tokenizer, const json::Value& variant) {
  for (const json::Member& m : variant.Find("set")->AsObject()) {
    tokenizer.AsObject().Set(m.key, m.value);
  }
  if (const json::Value* more = variant.Find("add_tokens")) {
    json::Array& added = tokenizer.AsObject().Find("added_tokens")->AsArray();
    added.insert(added.end(), more->AsArray().begin(), more->AsArray().end());
  }
  return json::Write(tokenizer);
}

Result<int> Run(const std::filesystem::path& data) {
  MACH_TRY(const std::string strings_json, ReadFile(data / "strings.json"));
  MACH_TRY(const json::Value strings, json::Parse(strings_json));
  MACH_TRY(const std::string variants_json, ReadFile(data / "variants.json"));
  MACH_TRY(const json::Value variants, json::Parse(variants_json));
  int failed = 0;
  for (const std::string name : {"qwen3", "gpt_oss", "gemma3", "deepseek_v3", "llama2", "claude"}) {
    MACH_TRY(const std::string file, ReadXz(data / (name + ".tokenizer.json.xz")));
    MACH_TRY(const int differences, Compare(data, name, file, strings.AsArray()));
    failed += differences;
    for (const json::Value& variant : variants.AsArray()) {
      if (variant.Find("base")->AsString() != name) continue;
      MACH_TRY(json::Value base, json::ParseLarge(file));
      MACH_TRY(const int more, Compare(data, variant.Find("name")->AsString(),
                                       Change(std::move(base), variant), strings.AsArray()));
      failed += more;
    }
  }
  return failed;
}

}  // namespace
}  // namespace mach

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: tokenizers_conformance DATA_DIR\n");
    return 2;
  }
  const auto failed = mach::Run(std::filesystem::path(argv[1]) / "tokenizers");
  if (!failed.ok()) {
    std::fprintf(stderr, "tokenizers_conformance: %s\n", failed.error().message.c_str());
    return 2;
  }
  std::printf("%d differences\n", *failed);
  return *failed == 0 ? 0 : 1;
}
