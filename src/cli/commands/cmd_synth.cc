#include "cli/commands/cmd_synth.h"

#include <algorithm>
#include <cstdio>

#include "base/clock.h"
#include "base/units.h"
#include "cli/exit_codes.h"
#include "cli/failure.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "io/file.h"
#include "io/lfs_pointer.h"
#include "model/synth/synth.h"
#include "text/tokenizer.h"

namespace mach::cli {
namespace {

constexpr size_t kMaxFileBytes = size_t{256} << 20;

struct TokenizerFiles {
  std::vector<model::SynthFile> files;  // none: there is no tokenizer
  size_t tokens = 0;                    // that it has
};

// The files of a tokenizer whose ids are all below `vocab`.
Result<TokenizerFiles> ReadTokenizer(const std::string& directory, size_t vocab) {
  io::FileSystem& fs = io::PosixFileSystem();
  TokenizerFiles found;
  std::vector<model::SynthFile>& files = found.files;
  for (const char* name :
       {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "chat_template.json"}) {
    const std::string path = directory + "/" + name;
    if (!files.empty() && !fs.Exists(path)) continue;  // only the first one must be there
    MACH_TRY(std::string text, io::ReadFetchedFile(fs, path, kMaxFileBytes));
    files.push_back({name, std::move(text)});
  }
  const auto tokenizer = text::Tokenizer::FromJson(files[0].text);
  if (!tokenizer) return Error(tokenizer.error()).In(directory + "/tokenizer.json");
  if ((*tokenizer)->end_id() > vocab) {
    return Error{Code::kInvalidArgument, "the tokenizer of '" + directory + "' has ids up to " +
                                             std::to_string((*tokenizer)->end_id() - 1) +
                                             ", but the vocabulary " + std::to_string(vocab) +
                                             " tokens; raise --vocab, or take another --tokenizer"};
  }
  found.tokens = (*tokenizer)->vocab_size();
  return found;
}

void PrintTokenizerNote(const TokenizerFiles& tokenizer, size_t vocab) {
  if (tokenizer.files.empty()) {
    std::printf(
        "It has no tokenizer: mach eval --ids FILE runs it. With --tokenizer DIRECTORY it "
        "could be served.\n");
  } else if (tokenizer.tokens < vocab) {
    std::printf(
        "Its tokenizer knows %zu of the %zu tokens; what is drawn of the others shows as "
        "no text.\n",
        tokenizer.tokens, vocab);
  }
}

// "--NAME" of a size that is given and that the family does not have; empty: none.
std::string UnusedSize(const SynthCommandOptions& options, model::SynthFamily family) {
  std::string unused;
  for (const SynthSize& size : options.sizes) {
    if (size.delta_net && family != model::SynthFamily::kQwen35Moe) {
      unused = "--" + std::string(size.option);
    }
  }
  return unused;
}

// The named shape, or a small one, with the family and the sizes that are given besides.
model::SynthShape ShapeOf(const SynthCommandOptions& options) {
  model::SynthShape shape = model::SynthPreset(options.shape).value_or(model::SynthShape{});
  shape.family = model::SynthFamilyFromName(options.family).value_or(shape.family);
  for (const SynthSize& size : options.sizes) shape.*size.size = size.value;
  return shape;
}

}  // namespace

int RunSynth(const SynthCommandOptions& options) {
  const auto fail = [](const std::string& message) { return Fail("synth", message); };
  model::SynthOptions synth{.output = options.output,
                            .shape = ShapeOf(options),
                            .bits = options.bits,
                            .seed = options.seed,
                            .shard_bytes = uint64_t{options.shard_mb} << 20,
                            .files = {}};
  const std::string unused = UnusedSize(options, synth.shape.family);
  if (!unused.empty()) {
    fail(unused + " is a size that " + std::string(model::SynthFamilyName(synth.shape.family)) +
         " does not have; leave it out");
    return kExitUsage;
  }
  const InterruptFlag interrupted;
  TokenizerFiles tokenizer;
  if (!options.tokenizer.empty()) {
    auto read = ReadTokenizer(options.tokenizer, synth.shape.vocab);
    if (!read) return fail(read.error().message);
    tokenizer = *std::move(read);
    synth.files = tokenizer.files;
  }
  const SystemClock clock;
  const int64_t start = clock.NowNs();
  const auto written = [&] {
    Progress progress("writing");
    return model::WriteSynthetic(synth, [&](uint64_t done, uint64_t total) {
      progress.Update(done, total);
      return !interrupted.raised();
    });
  }();
  if (!written) return fail(written.error().message);
  const double seconds = static_cast<double>(clock.NowNs() - start) * 1e-9;
  const uint64_t bytes = written->tensor_bytes;
  const double rate = static_cast<double>(bytes) / std::max(seconds, 1e-3);
  std::printf("%s: %s, %zu layers, %s in %zu tensors and %zu files; %s, %s/s\n",
              synth.output.c_str(), std::string(model::SynthFamilyName(synth.shape.family)).c_str(),
              synth.shape.layers, BytesText(bytes).c_str(), written->tensors, written->shards,
              DurationText(seconds).c_str(), BytesText(static_cast<uint64_t>(rate)).c_str());
  PrintTokenizerNote(tokenizer, synth.shape.vocab);
  return kExitOk;
}

}  // namespace mach::cli
