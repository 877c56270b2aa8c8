// The Nth large allocation fails for N = 1, 2, ... until none is left to fail, once and from then
// on: while an engine with experts on disk, a drafter and a prefix cache starts, and while it
// answers.
#include <cstdio>

#include "each_fault.h"
#include "engine/local_engine.h"
#include "failing_memory.h"
#include "spec/draft_model.h"
#include "streaming_setting.h"

namespace mach::test {
namespace {

class Allocations : public StreamingTest {
 protected:
  struct Parts {
    std::unique_ptr<residency::LoadedModel> model;
    engine::DecoderOptions decoder;
  };

  // memory_limit: 0 is what is free. prefixes: with a prefix cache.
  static Result<Parts> LoadParts(size_t memory_limit = 0, bool prefixes = true) {
    Parts parts;
    residency::LoadOptions load =
        StreamingOptions(files_->catalog(), {.bank = 0.25, .mode = io::ReadMode::kPread});
    load.memory_limit = memory_limit;
    io::FileSystem& fs = io::PosixFileSystem();
    MACH_TRY(parts.model, residency::LoadedModel::Load(fs, load));
    MACH_TRY(parts.decoder.policy, spec::ParsePolicy("fixed-8"));
    MACH_TRY(parts.decoder.draft,
             spec::DraftModel::Load(fs, {SourcePath("models/mach-tiny-dflash"), 8},
                                    parts.model->config(), parts.model->ledger()));
    if (prefixes) parts.decoder.prefix_cache.emplace().max_bytes = size_t{16} << 20;
    return parts;
  }

  static Result<std::unique_ptr<engine::Decoder>> NewDecoder(Parts& parts) {
    static const SystemClock clock;
    return engine::Decoder::Create(*parts.model, clock, parts.decoder);
  }

  // On this thread, so that what fails is always the same.
  static Result<std::vector<TokenId>> Answer(engine::Decoder& decoder, const Question& question) {
    class Tokens final : public engine::Sink {
     public:
      void OnPrefill(size_t, size_t) override {}
      void OnToken(const engine::TokenEvent& event) override { all.push_back(event.token); }
      void OnDone(Result<engine::FinishReason>, const engine::Timings&) override {}
      std::vector<TokenId> all;
    };
    const engine::Request request{
        .prompt = question.prompt, .sampling = question.params, .max_tokens = question.most};
    const std::atomic<bool> cancelled = false;
    Tokens tokens;
    engine::Timings timings;
    const auto end = decoder.Run(request, cancelled, tokens, timings);
    decoder.EndRequest();
    if (!end) return end.error();
    return tokens.all;
  }

  // 32 tokens to the text of 139, which needs several blocks of keys and values.
  static Question LongQuestion() {
    for (const Question& question : Corpus(32)) {
      if (question.prompt.size() == 139) {
        return {.prompt = question.prompt, .most = 32, .params = {.temperature = 1, .seed = 9}};
      }
    }
    ADD_FAILURE() << "no such text";
    return ShortQuestion();
  }

  // What the resident model says.
  static std::vector<TokenId> Expected(const Question& question) {
    const auto resident = TestModel::Load(MachTiny(2));
    Question all = question;
    all.stop = false;
    const auto tokens = Generate(*resident, all, 64);
    EXPECT_TRUE(tokens.ok());
    return *tokens;
  }

  static void ExpectNoMemory(const Error& error, const std::string& what) {
    EXPECT_EQ(error.code, Code::kNoMemory) << error.message;
    EXPECT_NE(error.message.find(what), std::string::npos) << error.message;
  }
};

TEST_F(Allocations, EveryOneOfTheStartMayFail) {
  const uint64_t mapped = FailingMemory::Mapped();
  // As a server starts.
  const SystemClock clock;
  const auto start = [&]() -> Status {
    MACH_TRY(Parts parts, LoadParts());
    MACH_TRY(
        const auto engine,
        engine::MakeLocalEngine(std::move(parts.model),
                                {.model_id = "tiny", .decoder = std::move(parts.decoder)}, clock));
    return Ok();
  };
  const uint64_t faults = ForEachFault("allocation", [&](uint64_t n, bool persistent) {
    const FailingMemory memory(n, persistent);
    const Status started = start();
    EXPECT_EQ(FailingMemory::Mapped(), mapped);
    if (started.ok()) {
      EXPECT_EQ(memory.failures(), 0u);
      return false;
    }
    ExpectNoMemory(started.error(), "cannot allocate");
    return memory.failures() != 0;
  });
  std::printf("a start has %lu large allocations\n", faults);
  EXPECT_GT(faults, 8u);
}

TEST_F(Allocations, EveryOneOfARequestMayFail) {
  const Question question = LongQuestion();
  const std::vector<TokenId> expected = Expected(question);
  size_t failed = 0;
  const auto attempt = [&](uint64_t n, bool persistent, bool& happened) {
    auto parts = LoadParts();
    ASSERT_TRUE(parts.ok()) << parts.error().message;
    experts::StreamingStore& store = *parts->model->streaming();
    const size_t reserved = parts->model->ledger().reserved();
    {
      auto decoder = NewDecoder(*parts);
      ASSERT_TRUE(decoder.ok()) << decoder.error().message;
      {
        const FailingMemory memory(n, persistent);
        const auto answer = Answer(**decoder, question);
        happened = memory.failures() != 0;
        // What is kept for later requests is kept where there is room, and nobody is told else.
        if (answer.ok()) {
          EXPECT_EQ(*answer, expected);
        } else {
          ++failed;
          ExpectNoMemory(answer.error(), "cannot allocate");
        }
      }
      store.TEST_CheckIdle();
      const auto next = Answer(**decoder, question);
      ASSERT_TRUE(next.ok()) << next.error().message;
      EXPECT_EQ(*next, expected);
      store.TEST_CheckIdle();
    }
    EXPECT_EQ(parts->model->ledger().reserved(), reserved);
  };
  const uint64_t faults = ForEachFault("allocation", [&](uint64_t n, bool persistent) {
    bool happened = false;
    attempt(n, persistent, happened);
    return happened;
  });
  std::printf(
      "a request has %lu large allocations; without %zu of them, once or persistently, it "
      "fails\n",
      faults, failed);
  EXPECT_GT(failed, 5u);
}

// The same at the ledger: its limit falls below each reservation in turn, the last one first.
TEST_F(Allocations, EveryReservationMayPassTheLimit) {
  const Question question = LongQuestion();
  const std::vector<TokenId> expected = Expected(question);
  // The bytes that the refused reservation came on top of, at least: the message rounds them to a
  // tenth of their unit.
  const auto held = [](const Error& error) -> size_t {
    ExpectNoMemory(error, "memory ceiling: ");
    const size_t at = error.message.find("on top of ");
    if (at == std::string::npos) return 0;
    size_t end = 0;
    const std::string text = error.message.substr(at + 10);
    const double shown = std::stod(text, &end);
    const double unit = text.compare(end, 4, " MiB") == 0 ? 1 << 20 : 1 << 10;
    if (text.compare(end, 4, " MiB") != 0 && text.compare(end, 4, " KiB") != 0) return 0;
    return static_cast<size_t>(std::max(0.0, shown - 0.051) * unit);
  };
  for (const bool prefixes : {false, true}) {
    size_t limit = size_t{1} << 30;
    size_t starts = 0;
    size_t requests = 0;
    while (limit > 0) {
      ASSERT_LT(starts + requests, 1000u);
      SCOPED_TRACE("limit " + std::to_string(limit));
      auto parts = LoadParts(limit, prefixes);
      auto decoder = parts.ok() ? NewDecoder(*parts) : Error(parts.error());
      if (!decoder.ok()) {
        ++starts;
        limit = std::max<size_t>(held(decoder.error()), 1) - 1;
        continue;
      }
      const auto answer = Answer(**decoder, question);
      parts->model->streaming()->TEST_CheckIdle();
      if (answer.ok()) {
        EXPECT_EQ(*answer, expected);
        limit = parts->model->ledger().reserved() - 1;
        continue;
      }
      ++requests;
      limit = std::max<size_t>(held(answer.error()), 1) - 1;
      // A shorter one may have room.
      const auto next = Answer(**decoder, {.prompt = {1}, .most = 1});
      if (!next.ok()) ExpectNoMemory(next.error(), "memory ceiling: ");
      parts->model->streaming()->TEST_CheckIdle();
    }
    std::printf("%zu limits stop a start, %zu a request\n", starts, requests);
    EXPECT_GE(starts, 8u);
    EXPECT_GE(requests, 2u);
  }
}

}  // namespace
}  // namespace mach::test
