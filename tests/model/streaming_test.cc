// One corpus under a matrix of ways to hold the experts: the tokens are the same (DESIGN promise
// 1).
#include "expert_files.h"
#include "golden_files.h"
#include "io/fault_reader.h"
#include "sample/sampler.h"
#include "test_model.h"

namespace mach::test {
namespace {

constexpr TokenId kEndOfTurn = 2;
constexpr size_t kContext = 1024;

struct Setting {
  double bank = 0;  // share of all experts; 0: the floor
  experts::Eviction eviction = experts::Eviction::kLookahead;
  bool pin_hot = false;
  io::ReadMode mode = io::ReadMode::kIoUring;
  bool transient = true;
  experts::Prefetch prefetch = experts::Prefetch::kOn;
  uint64_t shuffle = 0;
  size_t threads = 2;
  size_t chunk = 64;
};

class Streaming : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    files_ = std::make_unique<ExpertFiles>(SourcePath("models/mach-tiny"), "streaming");
  }
  static void TearDownTestSuite() { files_.reset(); }

  static model::LoadOptions BaseOptions(size_t threads) {
    return {.checkpoint = SourcePath("models/mach-tiny"),
            .context_tokens = kContext,
            .threads = threads,
            .max_rows = 512};
  }

  // Null when this machine has no such reader.
  static std::unique_ptr<TestModel> Load(const Setting& s, io::FaultReader** reader = nullptr) {
    if (!io::AsyncReader::Create(s.mode).ok()) return nullptr;
    model::LoadOptions options = BaseOptions(s.threads);
    model::ExpertStreaming& streaming = options.streaming.emplace();
    streaming.catalog = files_->catalog();
    const size_t all = streaming.catalog.RecordCount();
    const auto slots = static_cast<size_t>(s.bank * static_cast<double>(all));
    streaming.options.bank_bytes = std::max(slots, kFloorSlots) * streaming.catalog.record_bytes;
    streaming.options.eviction = s.eviction;
    streaming.options.pin_hot = s.pin_hot;
    streaming.options.transient_prefill = s.transient;
    streaming.options.prefetch = s.prefetch;
    streaming.options.in_flight_bytes = 8 * streaming.catalog.record_bytes;
    streaming.options.staging_bytes = 24 * streaming.catalog.record_bytes;
    streaming.read_mode = s.mode;
    streaming.wrap_reader = [&s, reader](std::unique_ptr<io::AsyncReader> base) {
      auto wrapped = std::make_unique<io::FaultReader>(
          std::move(base), io::FaultReader::Faults{.shuffle = s.shuffle});
      if (reader != nullptr) *reader = wrapped.get();
      return wrapped;
    };
    return TestModel::Load(options);
  }

  struct Run {
    std::vector<TokenId> prompt;
    size_t most;
    sample::Params params;
    bool stop = true;  // at the end of the turn
  };

  // The golden texts, greedy and sampled.
  static std::vector<Run> Corpus(size_t most) {
    std::vector<Run> runs;
    const json::Value texts = GoldenJson("tests/goldens/mach-tiny/golden-4bit.json");
    for (const json::Value& text : texts.AsArray()) {
      const std::vector<TokenId> greedy = TokenIds(*text.Find("greedy"));
      if (greedy.empty()) continue;
      const std::vector<TokenId> prompt = TokenIds(*text.Find("input_ids"));
      runs.push_back({prompt, std::min(most, greedy.size()), {.temperature = 0}});
      runs.push_back({prompt, most, {.temperature = 1, .seed = 100 + runs.size()}});
    }
    return runs;
  }

  static Result<std::vector<TokenId>> Generate(TestModel& model, const Run& run, size_t chunk) {
    const auto state = model.NewState();
    sample::Sampler sampler(run.params, model.config().vocab);
    sampler.AcceptPrompt(run.prompt);
    std::vector<float> hidden(512 * model.config().hidden);
    std::span<const TokenId> next = run.prompt;
    std::vector<TokenId> out;
    while (out.size() < run.most) {
      size_t rows = 0;
      for (; !next.empty(); next = next.subspan(rows)) {
        rows = std::min(chunk, next.size());
        MACH_RETURN_IF_ERROR(model.loaded().model().Forward(
            model.loaded().workspace(), {.tokens = next.first(rows)}, *state, hidden.data()));
      }
      const auto last = std::span<const float>(hidden).subspan((rows - 1) * model.config().hidden,
                                                               model.config().hidden);
      out.push_back(sampler.Choose(model.Logits(last), run.prompt.size() + out.size()));
      if (run.stop && out.back() == kEndOfTurn) break;
      sampler.Accept(out.back());
      next = {&out.back(), 1};
    }
    return out;
  }

  static std::vector<std::vector<TokenId>> GenerateAll(TestModel& model,
                                                       const std::vector<Run>& corpus,
                                                       size_t chunk) {
    std::vector<std::vector<TokenId>> all;
    for (const Run& run : corpus) {
      auto tokens = Generate(model, run, chunk);
      EXPECT_TRUE(tokens.ok()) << tokens.error().message;
      all.push_back(tokens.ok() ? *tokens : std::vector<TokenId>{});
    }
    return all;
  }

  // Eight layers of four, and four.
  static constexpr size_t kFloorSlots = 36;
  static std::unique_ptr<ExpertFiles> files_;
};
std::unique_ptr<ExpertFiles> Streaming::files_;

TEST_F(Streaming, TheTokensDoNotDependOnWhereExpertsAre) {
  using experts::Eviction;
  constexpr auto kOff = experts::Prefetch::kOff;
  constexpr auto kAuto = experts::Prefetch::kAuto;
  constexpr auto kPread = io::ReadMode::kPread;
  constexpr auto kLru = Eviction::kLru;
  constexpr auto kLfu = Eviction::kLfu;
  const std::vector<Setting> settings = {
      {.bank = 0, .chunk = 16},
      {.bank = 0, .eviction = kLru, .mode = kPread, .prefetch = kOff, .chunk = 512},
      {.bank = 0, .eviction = kLfu, .prefetch = kAuto, .threads = 1, .chunk = 64},
      {.bank = 0, .transient = false, .prefetch = kOff, .shuffle = 1, .chunk = 512},
      {.bank = 0.25, .mode = kPread, .prefetch = kAuto, .chunk = 64},
      {.bank = 0.25, .eviction = kLru, .shuffle = 2, .chunk = 16},
      {.bank = 0.25, .eviction = kLfu, .mode = kPread, .prefetch = kOff, .chunk = 512},
      {.bank = 0.25, .pin_hot = true, .mode = kPread, .shuffle = 3, .threads = 1, .chunk = 64},
      {.bank = 0.5, .mode = kPread, .threads = 1, .chunk = 512},
      {.bank = 0.5, .eviction = kLru, .transient = false, .prefetch = kOff, .chunk = 64},
      {.bank = 0.5, .eviction = kLfu, .prefetch = kAuto, .shuffle = 4, .chunk = 16},
      {.bank = 1, .threads = 1, .chunk = 64},
      {.bank = 1, .eviction = kLru, .mode = kPread, .prefetch = kOff, .shuffle = 5, .chunk = 16},
      {.bank = 1, .eviction = kLfu, .pin_hot = true, .chunk = 512},
  };
  const std::vector<Run> corpus = Corpus(8);
  ASSERT_EQ(corpus.size(), 24u);
  const auto resident = TestModel::Load(BaseOptions(2));
  const auto expected = GenerateAll(*resident, corpus, 64);
  for (size_t n = 0; n < settings.size(); ++n) {
    SCOPED_TRACE("setting " + std::to_string(n));
    const Setting& setting = settings[n];
    const auto model = Load(setting);
    if (model == nullptr) continue;
    const auto found = GenerateAll(*model, corpus, setting.chunk);
    for (size_t i = 0; i < corpus.size(); ++i) {
      EXPECT_EQ(found[i], expected[i]) << "run " << i;
    }
    experts::StreamingStore& store = *model->loaded().streaming();
    const experts::BankStats stats = store.Stats();
    EXPECT_LE(stats.resident, stats.slots);
    if (setting.bank == 1) {
      EXPECT_LE(stats.bytes_read, store.catalog().RecordCount() * store.catalog().record_bytes);
      EXPECT_EQ(stats.evictions, 0u);
    } else if (setting.bank == 0) {
      EXPECT_GT(stats.evictions, 0u);
    }
    const experts::GuessCounters& prefetch = store.counters().prefetch;
    EXPECT_LE(prefetch.used.Get() + prefetch.wasted.Get(), prefetch.issued.Get());
    if (setting.prefetch == kOff || setting.bank == 1) {
      EXPECT_EQ(prefetch.issued.Get(), 0u);
    } else {
      EXPECT_GT(prefetch.used.Get(), 0u);
    }
    store.CheckIdle();
  }
}

// Fails the Nth read for N = 1, 2, ... until a generation has no Nth read; from 64 on in growing
// steps, to end in seconds.
TEST_F(Streaming, EveryReadMayFail) {
  for (const io::ReadMode mode : {io::ReadMode::kIoUring, io::ReadMode::kPread}) {
    SCOPED_TRACE(io::ReadModeName(mode));
    io::FaultReader* reader = nullptr;
    const Setting setting{.bank = 0.25, .mode = mode};
    const auto model = Load(setting, &reader);
    if (model == nullptr) continue;
    experts::StreamingStore& store = *model->loaded().streaming();
    std::vector<Run> corpus = Corpus(32);
    std::ranges::sort(corpus, {}, [](const Run& run) { return run.prompt.size(); });
    const Run run{corpus.front().prompt, 32, {.temperature = 1, .seed = 5}, false};
    const auto resident = TestModel::Load(BaseOptions(2));
    const auto expected = Generate(*resident, run, setting.chunk);
    ASSERT_TRUE(expected.ok());
    ASSERT_EQ(expected->size(), 32u);

    uint64_t failures = 0;
    uint64_t retries = 0;
    const uint64_t step = mode == io::ReadMode::kIoUring ? 4 : 2;
    for (uint64_t n = 1;; n += n < 64 ? 1 : n / step) {
      SCOPED_TRACE("read " + std::to_string(n));
      // From the Nth on: the request fails, and says where.
      reader->SetFaults({.fail = n, .persistent = true});
      const auto broken = Generate(*model, run, setting.chunk);
      store.CheckIdle();
      if (!broken.ok()) {
        ++failures;
        EXPECT_EQ(broken.error().code, Code::kIo);
        EXPECT_EQ(broken.error().message.rfind("layer ", 0), 0u) << broken.error().message;
        EXPECT_NE(broken.error().message.find(".bin'): injected"), std::string::npos)
            << broken.error().message;
      } else {
        EXPECT_EQ(*broken, *expected);
      }
      // The Nth alone: it is tried again. And this is the next request after the failed one.
      reader->SetFaults({.fail = n});
      const uint64_t before = store.Stats().read_retries;
      const auto mended = Generate(*model, run, setting.chunk);
      ASSERT_TRUE(mended.ok()) << mended.error().message;
      EXPECT_EQ(*mended, *expected);
      retries += store.Stats().read_retries - before;
      store.CheckIdle();
      if (broken.ok() && store.Stats().read_retries == before) break;
    }
    std::printf("%s: %lu requests failed, %lu reads were tried again\n",
                std::string(io::ReadModeName(mode)).c_str(), failures, retries);
    EXPECT_GT(failures, 64u);
    EXPECT_GT(retries, 64u);
  }
}

TEST_F(Streaming, ACancelledRequestLeavesNothingPinned) {
  const auto model = Load({.mode = io::ReadMode::kPread, .shuffle = 9});
  ASSERT_NE(model, nullptr);
  // Cancels itself when it comes to a layer.
  class Cancel final : public model::ForwardObserver {
   public:
    explicit Cancel(size_t at) : at_(at) {}
    void OnHidden(size_t, const float*, size_t) override {}
    void OnExperts(size_t layer, const ExpertId*, size_t, size_t) override {
      cancelled = layer == at_;
    }
    std::atomic<bool> cancelled = false;

   private:
    const size_t at_;
  };
  const Run run = Corpus(4).front();
  const auto expected = Generate(*model, run, 64);
  ASSERT_TRUE(expected.ok());
  std::vector<float> hidden(run.prompt.size() * model->config().hidden);
  for (size_t layer = 0; layer + 1 < model->config().layers.size(); ++layer) {
    for (const size_t rows : {size_t{1}, run.prompt.size()}) {
      Cancel cancel(layer);
      const auto state = model->NewState();
      const Status status =
          model->loaded().model().Forward(model->loaded().workspace(),
                                          {.tokens = std::span(run.prompt).first(rows),
                                           .observer = &cancel,
                                           .cancel = &cancel.cancelled},
                                          *state, hidden.data());
      ASSERT_FALSE(status.ok());
      EXPECT_EQ(status.error().code, Code::kCancelled);
      model->loaded().streaming()->CheckIdle();
    }
    EXPECT_EQ(*Generate(*model, run, 64), *expected);
  }
}

TEST_F(Streaming, AnotherModelsExpertsAndTooSmallABankAreRefused) {
  const auto load = [&](auto&& change) {
    model::LoadOptions options = BaseOptions(1);
    options.streaming.emplace();
    options.streaming->catalog = files_->catalog();
    options.streaming->options.bank_bytes = kFloorSlots * files_->catalog().record_bytes;
    options.streaming->read_mode = io::ReadMode::kPread;
    change(*options.streaming);
    return model::LoadedModel::Load(io::PosixFileSystem(), options);
  };
  EXPECT_TRUE(load([](model::ExpertStreaming&) {}).ok());
  auto below = load([](model::ExpertStreaming& s) { --s.options.bank_bytes; });
  ASSERT_FALSE(below.ok());
  EXPECT_EQ(below.error().code, Code::kInvalidArgument);
  EXPECT_NE(below.error().message.find("one token needs 36"), std::string::npos)
      << below.error().message;
  auto layers = load([](model::ExpertStreaming& s) {
    --s.catalog.layers;
    s.catalog.records.resize(s.catalog.keys());
  });
  ASSERT_FALSE(layers.ok());
  EXPECT_EQ(layers.error().code, Code::kCorrupt);
  auto record = load([](model::ExpertStreaming& s) { s.catalog.records[50].bytes -= 8192; });
  ASSERT_FALSE(record.ok());
  EXPECT_NE(record.error().message.find("layer 1 expert 2 ('"), std::string::npos)
      << record.error().message;
}

}  // namespace
}  // namespace mach::test
