#include <cmath>
#include <fstream>
#include <map>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/commands/start_lines.h"
#include "cli/exit_codes.h"
#include "cli/options/command_line.h"
#include "cli/options/environment.h"
#include "cli/options/help.h"
#include "cli/options/options.h"

namespace mach::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Environment = std::map<std::string, std::string>;

std::variant<Invocation, Answer> Parse(const std::vector<std::string>& args,
                                       const Environment& environment = {}) {
  return ParseCommandLine(
      args,
      [&](const char* name) -> const char* {
        const auto it = environment.find(name);
        return it == environment.end() ? nullptr : it->second.c_str();
      },
      "9.8.7");
}

Invocation Parsed(const std::vector<std::string>& args, const Environment& environment = {}) {
  auto result = Parse(args, environment);
  if (const auto* answer = std::get_if<Answer>(&result)) {
    ADD_FAILURE() << answer->err << answer->out;
    return {};
  }
  return std::get<Invocation>(std::move(result));
}

template <class Options>
Options ParsedAs(const std::vector<std::string>& args, const Environment& environment = {}) {
  return std::get<Options>(Parsed(args, environment).options);
}

Answer Answered(const std::vector<std::string>& args, const Environment& environment = {}) {
  auto result = Parse(args, environment);
  if (!std::holds_alternative<Answer>(result)) {
    ADD_FAILURE() << "a command line was accepted";
    return {};
  }
  return std::get<Answer>(std::move(result));
}

TEST(CommandLine, FillsTypedOptions) {
  const ServeOptions options = ParsedAs<ServeOptions>(
      {"mach", "serve", "models/x", "--port=0", "--threads", "3", "--compute", "f32",
       "--allow-host", "a.example", "--allow-host=b.example", "--strict-model"});
  EXPECT_EQ(options.model.checkpoint, "models/x");
  EXPECT_EQ(options.port, 0);
  EXPECT_EQ(options.host, "127.0.0.1");
  EXPECT_EQ(options.model.threads, 3u);
  EXPECT_TRUE(options.model.compute_f32);
  EXPECT_TRUE(options.strict_model);
  EXPECT_FALSE(options.insecure_no_auth);
  EXPECT_THAT(options.allow_hosts, ElementsAre("a.example", "b.example"));
  EXPECT_EQ(options.max_queue, 64u);
  const ServeOptions ipv6 =
      ParsedAs<ServeOptions>({"mach", "serve", "models/x", "--host", "[::1]"});
  EXPECT_EQ(ipv6.host, "::1");
  EXPECT_EQ(ReadyLines(ipv6, 80, "m")[0], "serving on http://[::1]:80/v1");

  const GenerateOptions generate = ParsedAs<GenerateOptions>(
      {"mach", "generate", "--prompt", "-5 is what?", "m", "--temperature", "0",
       "--presence-penalty", "-1.5", "--seed", "7"});
  EXPECT_EQ(*generate.prompt, "-5 is what?");
  EXPECT_EQ(*generate.temperature, 0.0);
  EXPECT_FALSE(generate.top_p.has_value());
  EXPECT_FALSE(generate.max_tokens.has_value());
  EXPECT_EQ(generate.presence_penalty, -1.5);
  EXPECT_EQ(*generate.seed, 7u);

  const auto sampled = ParsedAs<GenerateOptions>({"mach",
                                                  "generate",
                                                  "m",
                                                  "--top-k",
                                                  "3",
                                                  "--top-p",
                                                  "0.5",
                                                  "--min-p",
                                                  "0.25",
                                                  "--repetition-penalty",
                                                  "1.5",
                                                  "--frequency-penalty",
                                                  "0.75",
                                                  "--max-tokens",
                                                  "0",
                                                  "--log-level",
                                                  "error",
                                                  "--log-json",
                                                  "--draft-bits",
                                                  "4",
                                                  "--system",
                                                  ""});
  EXPECT_EQ(sampled.top_k, 3);
  EXPECT_EQ(sampled.top_p, 0.5);
  EXPECT_EQ(sampled.min_p, 0.25);
  EXPECT_EQ(sampled.repetition_penalty, 1.5);
  EXPECT_EQ(sampled.frequency_penalty, 0.75);
  EXPECT_EQ(sampled.presence_penalty, 0);
  EXPECT_EQ(sampled.max_tokens, 0u);
  EXPECT_EQ(sampled.log.level, LogLevel::kError);
  EXPECT_TRUE(sampled.log.json);
  EXPECT_EQ(sampled.draft.bits, "4");
  EXPECT_EQ(sampled.system, "");
  EXPECT_FALSE(sampled.prompt.has_value());
}

TEST(CommandLine, TheProgramsNameChoosesTheCommand) {
  EXPECT_EQ(ParsedAs<ServeOptions>({"/usr/bin/mach-serve", "m"}).model.checkpoint, "m");
  EXPECT_TRUE(ParsedAs<ArchsOptions>({"mach-archs", "--json"}).json);
  EXPECT_EQ(Answered({"mach-nothing"}).exit_code, kExitUsage);
}

TEST(CommandLine, FlagsWinOverTheEnvironment) {
  const Environment environment{{"MANIAC_LOCAL_MOE_CHECKPOINT_PATH", "from-env"}};
  const auto checkpoint = [](const Invocation& invocation) {
    return std::get<ServeOptions>(invocation.options).model.checkpoint;
  };
  const Invocation from_env = Parsed({"mach", "serve"}, environment);
  EXPECT_EQ(checkpoint(from_env), "from-env");
  EXPECT_THAT(from_env.environment, ElementsAre("MANIAC_LOCAL_MOE_CHECKPOINT_PATH=from-env"));
  const Invocation given = Parsed({"mach", "serve", "given"}, environment);
  EXPECT_EQ(checkpoint(given), "given");
  EXPECT_THAT(
      given.environment,
      ElementsAre("MANIAC_LOCAL_MOE_CHECKPOINT_PATH=from-env (not used: <checkpoint> wins)"));
  EXPECT_THAT(Parsed({"mach", "serve", "given"}).environment, IsEmpty());
}

// Every documented variable, where it is read and what it comes to.
TEST(CommandLine, ReadsTheDocumentedEnvironment) {
  const ServeOptions options = ParsedAs<ServeOptions>({"mach", "serve", "--streaming"},
                                                      {{"MANIAC_LOCAL_MOE_CHECKPOINT_PATH", "m"},
                                                       {"LME_TRANSIENT_PREFILL", "0"},
                                                       {"LME_DECODE_RESIDENCY", "pin-hot"},
                                                       {"LME_BANK_EVICTION_POLICY", "lfu"},
                                                       {"LME_BF16_STACKED_STREAMING", "1"},
                                                       {"LME_CONTINUOUS_BATCHING", "0"},
                                                       {"LME_DISK_KV_EVICTION_POLICY", "lru"},
                                                       {"LME_DIRECT_PREAD", "off"},
                                                       {"LME_ALLOW_DIAGNOSTIC_FALLBACK", "1"}});
  EXPECT_EQ(options.model.checkpoint, "m");
  EXPECT_FALSE(options.model.transient_prefill);
  EXPECT_TRUE(options.model.pin_hot);
  EXPECT_EQ(options.model.eviction, "lfu");
  EXPECT_TRUE(options.model.bf16_streaming);
  EXPECT_TRUE(options.prefix.disk_lru);
  EXPECT_EQ(options.model.direct_pread, "off");
  EXPECT_TRUE(options.model.allow_fallback);
  const std::pair<const char*, const char*> wrong[] = {
      {"LME_TRANSIENT_PREFILL", "LME_TRANSIENT_PREFILL is 'x', expected one of 0, 1"},
      {"LME_DECODE_RESIDENCY", "LME_DECODE_RESIDENCY is 'x', expected one of lru-only, pin-hot"},
      {"LME_BANK_EVICTION_POLICY", "is 'x', expected one of lookahead, lru, lfu"},
      {"LME_BF16_STACKED_STREAMING", "LME_BF16_STACKED_STREAMING is 'x', expected 0 or 1"},
      {"LME_DISK_KV_EVICTION_POLICY", "is 'x', expected one of value, lru"},
      {"LME_DIRECT_PREAD", "is 'x', expected one of auto, io_uring, pread, off"},
      {"LME_CONTINUOUS_BATCHING", "LME_CONTINUOUS_BATCHING is 'x', expected 0 or 1"},
  };
  for (const auto& [name, message] : wrong) {
    const Answer answer = Answered({"mach", "serve", "m", "--streaming"}, {{name, "x"}});
    EXPECT_EQ(answer.exit_code, kExitUsage) << name;
    EXPECT_THAT(answer.err, HasSubstr(message));
  }
}

TEST(CommandLine, TheDiagnosticSwitchIsZeroOrOne) {
  constexpr const char* kName = "LME_ALLOW_DIAGNOSTIC_FALLBACK";
  constexpr const char* kDocumented = "LME_ALLOW_DIAGNOSTIC_PYTHON_FALLBACK";
  const std::vector<std::string> plain = {"mach", "serve", "m"};
  const auto policy = [&](const std::vector<std::string>& more, const Environment& environment) {
    std::vector<std::string> args = plain;
    args.insert(args.end(), more.begin(), more.end());
    const ModelOptions model = ParsedAs<ServeOptions>(args, environment).model;
    EXPECT_EQ(model.allow_fallback, model.fallback_policy != "fail-fast");
    return model.fallback_policy;
  };
  EXPECT_EQ(policy({}, {}), "fail-fast");
  EXPECT_EQ(policy({}, {{kName, "1"}}), "diagnostic");
  EXPECT_EQ(policy({}, {{kDocumented, "1"}}), "diagnostic-python");
  EXPECT_EQ(policy({}, {{kName, "1"}, {kDocumented, "1"}}), "diagnostic");
  EXPECT_EQ(policy({}, {{kName, "0"}, {kDocumented, "0"}}), "fail-fast");
  EXPECT_EQ(policy({}, {{kName, ""}, {kDocumented, ""}}), "fail-fast");
  EXPECT_EQ(policy({"--allow-diagnostic-fallback"}, {{kDocumented, "1"}}), "diagnostic");
  EXPECT_EQ(policy({"--allow-diagnostic-fallback=1"}, {{kName, "0"}}), "diagnostic");
  EXPECT_EQ(policy({"--allow-diagnostic-fallback=0"}, {{kName, "1"}}), "fail-fast");
  EXPECT_EQ(ParsedAs<CheckCommandOptions>({"mach", "check", "m"}, {{kDocumented, "1"}})
                .model.allow_fallback,
            true);

  for (const char* wrong : {"yes", "true", "2", "01", " 1", "-1"}) {
    for (const char* name : {kName, kDocumented}) {
      const Answer answer = Answered(plain, {{name, wrong}});
      EXPECT_EQ(answer.exit_code, kExitUsage);
      EXPECT_THAT(answer.err,
                  HasSubstr(std::string(name) + " is '" + wrong + "', expected 0 or 1"));
    }
    std::vector<std::string> args = plain;
    args.push_back("--allow-diagnostic-fallback=" + std::string(wrong));
    EXPECT_THAT(Answered(args).err, HasSubstr("--allow-diagnostic-fallback is '" +
                                              std::string(wrong) + "', expected 0 or 1"));
  }
  EXPECT_THAT(Answered(plain, {{kName, "1"}, {kDocumented, "0"}}).err,
              HasSubstr("LME_ALLOW_DIAGNOSTIC_FALLBACK is '1' and "
                        "LME_ALLOW_DIAGNOSTIC_PYTHON_FALLBACK is '0', which are two names of "
                        "--allow-diagnostic-fallback; set one"));
}

TEST(Environment, BatchingIsRefusedUntilThereIsOne) {
  const std::vector<std::string> serve = {"mach", "serve", "m"};
  for (const Environment& environment :
       {Environment{{"LME_CONTINUOUS_BATCHING", "1"}},
        Environment{{"LME_CONTINUOUS_BATCHING_MAX_B", "4"}},
        Environment{{"LME_CONTINUOUS_BATCHING", "0"}, {"LME_CONTINUOUS_BATCHING_MAX_B", "x"}}}) {
    const Answer answer = Answered(serve, environment);
    EXPECT_EQ(answer.exit_code, kExitUsage);
    EXPECT_THAT(answer.err, HasSubstr("requests are not batched yet"));
    EXPECT_THAT(answer.err, HasSubstr("unset it"));
  }
  for (const char* off : {"0", ""}) {
    Parsed(serve, {{"LME_CONTINUOUS_BATCHING", off}, {"LME_CONTINUOUS_BATCHING_MAX_B", off}});
  }
  // Which is of no concern to a single request.
  Parsed({"mach", "generate", "m", "--prompt", "p"}, {{"LME_CONTINUOUS_BATCHING", "1"}});
  const auto get_env = [](const char* name) {
    return std::string_view(name) == "LME_CONTINUOUS_BATCHING" ? "0" : nullptr;
  };
  EXPECT_THAT(IdleVariables(*FindCommand("serve"), get_env),
              ElementsAre("LME_CONTINUOUS_BATCHING=0"));
  EXPECT_THAT(IdleVariables(*FindCommand("eval"), get_env), IsEmpty());
}

TEST(Environment, UnknownVariablesAreNamed) {
  const char* const environment[] = {"PATH=/bin",
                                     "LME_DIRECT_PREAD=auto",
                                     "LME_CONTINUOUS_BATCHING_MAX_B=0",
                                     "LME_BANK_EVICTON_POLICY=lru",
                                     "LME_ALLOW_DIAGNOSTIC_PYTHON_FALLBACK=1",
                                     "XLME_DIRECT_PREAD=1",
                                     "LME_=",
                                     "LME_\nX",
                                     "LME_SOMETHING_ELSE_ALTOGETHER=secret",
                                     nullptr};
  const std::vector<std::string> warnings = UnknownVariables(environment);
  const std::string none = " is not known and has no effect; 'mach serve --help' names those";
  ASSERT_EQ(warnings.size(), 4u);
  EXPECT_THAT(warnings[0], HasSubstr("LME_" + none));
  EXPECT_EQ(warnings[1],
            "the environment variable LME_BANK_EVICTON_POLICY is not known and has no effect; did "
            "you mean LME_BANK_EVICTION_POLICY?");
  EXPECT_THAT(warnings[2], HasSubstr("LME_SOMETHING_ELSE_ALTOGETHER" + none));
  EXPECT_THAT(warnings[3], HasSubstr("LME_\\nX" + none));
  for (const std::string& warning : warnings) EXPECT_EQ(warning.find("secret"), std::string::npos);
  EXPECT_TRUE(ReadsEnvironment(*FindCommand("serve")));
  EXPECT_FALSE(ReadsEnvironment(*FindCommand("models")));
}

TEST(CommandLine, SaysWhatIsWrong) {
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{"mach", "sevre"}, "unknown command 'sevre'; did you mean 'mach serve'?"},
      {{"mach", "--frobnicate"}, "unknown option '--frobnicate'"},
      {{"mach", "serve", "m", "--thread", "3"},
       "unknown option '--thread'; did you mean '--threads'?"},
      {{"mach", "serve", "m", "--ctx-sise=3"},
       "unknown option '--ctx-sise=3'; did you mean '--ctx-size'?"},
      {{"mach", "serve", "m", "n"}, "unexpected argument 'n'"},
      {{"mach", "serve"}, "<checkpoint> is missing; give it or set MANIAC_LOCAL_MOE"},
      {{"mach", "serve", "m", "--port", "65536"}, "--port is 65536, expected 0 to 65535"},
      {{"mach", "serve", "m", "--port", "http"}, "--port is 'http', expected an integer"},
      {{"mach", "serve", "m", "--port", "8.5"}, "--port is '8.5', expected an integer"},
      {{"mach", "serve", "m", "--port", "1", "--port", "2"}, "--port is given 2 times"},
      {{"mach", "serve", "m", "--port"}, "--port"},
      {{"mach", "serve", "m", "--compute", "f64"}, "--compute is 'f64', expected one of int8, f32"},
      {{"mach", "serve", "m", "--api-key-file", "f", "--insecure-no-auth"}, "exclude each other"},
      {{"mach", "generate", "m", "--raw", "--messages", "f"}, "exclude each other"},
      {{"mach", "generate", "m", "--top-p", "nan"}, "--top-p is 'nan', expected a number"},
      {{"mach", "generate", "m", "--top-p", "0"}, "--top-p is 0, expected 1e-06 to 1"},
      {{"mach", "serve", "m", "--streaming=yes"}, "--streaming is 'yes', expected 0 or 1"},
      // Integers are exact, and shown as such.
      {{"mach", "generate", "m", "--seed", "9007199254740993"},
       "--seed is 9007199254740993, expected 0 to 9007199254740992"},
      {{"mach", "serve", "m", "--ctx-size", "1073741825"},
       "--ctx-size is 1073741825, expected 0 to 1073741824"},
      {{"mach", "serve", "m", "--ctx-size", "99999999999999999999"}, "expected an integer"},
      // What people type who come from elsewhere.
      {{"mach", "run", "models/x"},
       "unknown command 'run'; 'mach serve models/x --no-streaming' serves a model"},
      {{"mach", "run", "models/x"}, "'mach generate models/x --prompt TEXT' answers once"},
      {{"mach", "chat"}, "'mach serve MODEL --no-streaming'"},
      {{"mach", "pull", "a/b"}, "'hf download a/b --local-dir models/b' does"},
      {{"mach", "list"}, "'mach models' lists"},
      {{"mach", "ps"}, "'mach probe'"},
      {{"mach", "show"}, "'mach check MODEL'"},
      {{"mach", "models/x"}, "a command comes first: 'mach serve models/x --no-streaming'"},
      {{"mach", "-m", "models/x"}, "a command comes first, then the model: 'mach serve models/x"},
      {{"mach", "--port", "80"}, "unknown option '--port'; a command comes first"},
      {{"mach", "serve", "-m", "models/x"},
       "given without an option here: mach serve <checkpoint>"},
      {{"mach", "serve", "m", "-c", "4096"}, "unknown option '-c'; it is --ctx-size here"},
      {{"mach", "serve", "m", "--ctx", "4096"}, "unknown option '--ctx'; it is --ctx-size here"},
      {{"mach", "serve", "-t", "8", "m"}, "unknown option '-t'; it is --threads here"},
      {{"mach", "serve", "m", "-ngl", "99"}, "unknown option '-ngl'; it is about GPUs"},
      {{"mach", "serve", "m", "--n-gpu-layers=99"}, "unknown option '--n-gpu-layers=99'; it is ab"},
      {{"mach", "serve", "m", "--api-key", "k"}, "it is --api-key-file here: a file"},
      {{"mach", "serve", "m", "--gpu-memory-utilization", "0.9"}, "it is --wired-gb here"},
      {{"mach", "serve", "m", "-p", "-5 what?"}, "it is --prompt of 'mach generate'"},
      {{"mach", "serve", "m", "--prompt", "x"}, "it is an option of 'mach generate'"},
      {{"mach", "serve", "m", "-v"}, "it is --log-level here"},
      {{"mach", "generate", "m", "Hello you"}, "did you mean '--prompt 'Hello you''?"},
  };
  for (const auto& [args, message] : cases) {
    const Answer answer = Answered(args);
    EXPECT_EQ(answer.exit_code, kExitUsage);
    EXPECT_THAT(answer.err, HasSubstr(message));
    EXPECT_THAT(answer.err, HasSubstr("--help'"));
    EXPECT_EQ(answer.out, "");
  }
}

TEST(CommandLine, HelpIsForStandardOutput) {
  for (const auto& args :
       std::vector<std::vector<std::string>>{{"mach", "--help"},
                                             {"mach", "help"},
                                             {"mach", "help", "serve"},
                                             {"mach", "serve", "--help"},
                                             {"mach-serve", "--port", "x", "-h"}}) {
    const Answer answer = Answered(args);
    EXPECT_EQ(answer.exit_code, kExitOk);
    EXPECT_THAT(answer.out, HasSubstr("Usage: mach"));
    EXPECT_EQ(answer.err, "");
  }
  for (const char* version : {"--version", "version", "-v", "-V"}) {
    const Answer answer = Answered({"mach", version});
    EXPECT_EQ(answer.out, "mach 9.8.7\n");
    EXPECT_EQ(answer.exit_code, kExitOk);
  }
  const Answer nothing = Answered({"mach"});
  EXPECT_EQ(nothing.exit_code, kExitUsage);
  EXPECT_THAT(nothing.err, HasSubstr("Commands:"));
}

// A value of the option: its default, where it has one.
std::string SampleOf(const Option& option) {
  if (!option.default_value.empty()) return std::string(option.default_value);
  if (!option.choices.empty()) return std::string(option.choices.front());
  return std::isfinite(option.maximum) ? std::to_string(std::llround(option.maximum)) : "x";
}

// Of every command: unique names, defaults that are values, help that fits and tells all.
TEST(OptionTable, IsSound) {
  for (const Command& command : Commands()) {
    const std::string help = CommandHelp(command);
    std::string unwrapped;  // one space between words
    std::istringstream words(help);
    for (std::string word; words >> word;) unwrapped += word + " ";
    std::map<std::string_view, int> seen;
    for (const Option& option : command.options) {
      EXPECT_EQ(++seen[option.name], 1) << option.name;
      EXPECT_FALSE(option.help.empty()) << option.name;
      EXPECT_FALSE(option.group.empty()) << option.name;
      EXPECT_EQ(option.type == OptionType::kFlag, option.value.empty()) << option.name;
      EXPECT_EQ(option.type == OptionType::kChoice, !option.choices.empty()) << option.name;
      EXPECT_THAT(help, HasSubstr(std::string(option.name)));
      if (!option.excludes.empty()) {
        bool known = false;
        for (const Option& other : command.options) known |= other.name == option.excludes;
        EXPECT_TRUE(known) << option.excludes;
      }
      const bool limited = std::isfinite(option.minimum) && std::isfinite(option.maximum);
      if (option.type == OptionType::kInteger || option.type == OptionType::kNumber) {
        EXPECT_TRUE(limited) << option.name;
        EXPECT_NE(unwrapped.find("(" + RangeText(option)), std::string::npos) << option.name;
      }
      if (option.positional) continue;
      std::vector<std::string> args{"mach", std::string(command.name)};
      for (const Option& other : command.options) {
        if (other.positional) args.push_back("m");
      }
      args.push_back("--" + std::string(option.name));
      if (option.type != OptionType::kFlag) args.push_back(SampleOf(option));
      Parsed(args);
    }
    for (size_t at = 0; at < help.size();) {
      const size_t end = help.find('\n', at);
      const std::string line = help.substr(at, end - at);
      at = end + 1;
      bool example = false;  // in one line, so that it can be copied
      for (const Example& e : command.examples) example |= line == "  " + std::string(e.command);
      EXPECT_TRUE(example || line.size() <= 100) << line;
    }
  }
}

// All of several unknown options at once, but not their values.
TEST(CommandLine, NamesEveryUnknownOption) {
  const Answer answer = Answered({"mach", "serve", "m", "--max-model-len", "8192",
                                  "--tensor-parallel-size", "2", "--frobnicate", "-5"});
  EXPECT_EQ(answer.err,
            "mach serve: unknown option '--max-model-len'; it is --ctx-size here\n"
            "mach serve: unknown option '--tensor-parallel-size'; mach runs one model in one "
            "process on one machine's processors: leave it out\n"
            "mach serve: unknown option '--frobnicate'\n"
            "Try 'mach serve --help'.\n");
}

TEST(CommandLine, KeepsWhatWasTyped) {
  const std::vector<std::string> words = {"mach", "serve", "a b", "--port=0"};
  EXPECT_EQ(ParsedAs<ServeOptions>(words).model.words, words);
}

// Every example is a command line that this program accepts, as far as a shell's syntax lets one
// see: the words after each "mach", up to the next operator.
TEST(Examples, AreCommandLines) {
  size_t commands = 0;
  for (const Command& command : Commands()) {
    EXPECT_GE(command.examples.size(), 1u) << command.name;
    for (const Example& example : command.examples) {
      std::vector<std::string> words;
      bool quoted = false;
      const auto run = [&] {
        if (!words.empty() && words.front() == "mach") {
          ++commands;
          Parsed(words);
        }
        words.clear();
      };
      words.emplace_back();
      for (const char c : std::string(example.command) + " ") {
        if (c == '\'' || c == '"') quoted = !quoted;
        if (c != ' ' || quoted) {
          words.back() += c;
          continue;
        }
        const std::string word = words.back();
        if (word == "&&" || word == "|" || word == ">") {
          words.pop_back();
          run();
        }
        words.emplace_back();
      }
      words.pop_back();
      run();
    }
  }
  EXPECT_GT(commands, 25u);
  const std::string list = Answered({"mach", "help", "--examples"}).out;
  EXPECT_THAT(list, HasSubstr("mach serve models/mach-tiny --no-streaming --port 0\t0\tserves\n"));
  EXPECT_THAT(list, HasSubstr("mach archs\t0\tends\n"));
  EXPECT_THAT(list, HasSubstr("mach check models/mach-tiny --wired-gb 0.01\t2\tends\n"));
  EXPECT_THAT(list, HasSubstr("\t0\tbeside-server\n"));
}

std::string ReadFile(const std::string& path) {
  std::ifstream in(path);
  EXPECT_TRUE(in) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}

// The value of "KEY=value" on a line of its own.
std::string ValueOf(const std::string& text, const std::string& key) {
  const std::string all = "\n" + text;
  const size_t at = all.find("\n" + key + "=");
  EXPECT_NE(at, std::string::npos) << key;
  const size_t begin = at + key.size() + 2;
  return all.substr(begin, all.find('\n', begin) - begin);
}

// The unit's command line, with the variables of its environment file, is one that serves.
TEST(Packaging, TheUnitStartsAServer) {
  const std::string packaging = std::string(MACH_SOURCE_DIR) + "/packaging/";
  const std::string unit = ReadFile(packaging + "mach-serve.service");
  const std::string environment = ReadFile(packaging + "serve.env");
  std::vector<std::string> words;
  std::istringstream command(ValueOf(unit, "ExecStart"));
  for (std::string word; command >> word;) {
    if (word == "${MODEL}") {
      words.push_back(ValueOf(environment, "MODEL"));
    } else if (word.starts_with('$')) {
      std::istringstream value(ValueOf(environment, word.substr(1)));
      for (std::string part; value >> part;) words.push_back(part);
    } else {
      words.push_back(word);
    }
  }
  ASSERT_EQ(words.front(), "mach-serve");
  const ServeOptions options = ParsedAs<ServeOptions>(words);
  EXPECT_NE(options.model.streaming, options.model.no_streaming);
  EXPECT_EQ(options.model.checkpoint, "/path/to/checkpoint");
  // Answers under way are finished before systemd kills.
  EXPECT_GT(std::stoi(ValueOf(unit, "TimeoutStopSec")), options.drain_timeout_s);
  EXPECT_EQ(ValueOf(unit, "SuccessExitStatus"), std::to_string(kExitTerminated));
  EXPECT_EQ(ValueOf(unit, "RestartPreventExitStatus"), std::to_string(kExitUsage));
  EXPECT_THAT(ValueOf(unit, "EnvironmentFile"), HasSubstr("/serve.env"));
}

TEST(Manual, KnowsEveryOptionOfEveryCommand) {
  const std::string bash = Answered({"mach", "completion", "bash"}).out;
  const std::string zsh = Answered({"mach", "completion", "zsh"}).out;
  EXPECT_THAT(Answered({"mach", "man"}).out, HasSubstr(".TH MACH 1"));
  for (const Command& command : Commands()) {
    const std::string page = Answered({"mach", "man", std::string(command.name)}).out;
    EXPECT_THAT(page, HasSubstr(".SH OPTIONS"));
    for (const Option& option : command.options) {
      if (option.positional) continue;
      const std::string name(option.name);
      EXPECT_THAT(bash, HasSubstr("--" + name + " ")) << command.name;
      EXPECT_THAT(zsh, HasSubstr("'--" + name + "[")) << command.name;
      std::string escaped;
      for (const char c : name) escaped += c == '-' ? std::string("\\-") : std::string(1, c);
      EXPECT_THAT(page, HasSubstr("\\fB\\-\\-" + escaped + "\\fR")) << command.name;
    }
  }
  EXPECT_EQ(Answered({"mach", "man", "nothing"}).exit_code, kExitUsage);
  EXPECT_EQ(Answered({"mach", "completion", "fish"}).exit_code, kExitUsage);
}

TEST(CommandLine, ServeAndProbeHaveTheirOptions) {
  const ServeOptions serve = ParsedAs<ServeOptions>(
      {"mach", "serve", "m", "--while-loading", "reject", "--max-queue-wait", "7"});
  EXPECT_FALSE(serve.hold_while_loading);
  EXPECT_EQ(serve.max_queue_wait_s, 7);
  EXPECT_EQ(serve.hold_timeout_s, 600);
  const ProbeCommandOptions probe =
      ParsedAs<ProbeCommandOptions>({"mach", "probe", "--url", "http://h:1", "--json"});
  EXPECT_EQ(probe.url, "http://h:1");
  EXPECT_TRUE(probe.json);
  EXPECT_EQ(probe.requests, 3u);
}

}  // namespace
}  // namespace mach::cli
