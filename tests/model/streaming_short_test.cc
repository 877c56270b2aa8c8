// Experts on disk in a few requests, fast enough for every sanitizer.
#include "streaming_setting.h"

namespace mach::test {
namespace {

using StreamingShort = StreamingTest;

TEST_F(StreamingShort, TheTokensAreThoseOfTheResidentModel) {
  std::vector<Question> questions = Corpus(8);
  std::erase_if(questions, [](const Question& q) { return q.prompt.size() > 150; });
  std::ranges::stable_sort(questions, std::greater{},
                           [](const auto& q) { return q.prompt.size(); });
  questions.resize(3);  // two with chunks through staging, one without
  const Setting settings[] = {{.bank = 0},
                              {.bank = 0.25, .mode = io::ReadMode::kPread, .chunk = 16},
                              {.bank = 0.25, .transient = false, .shuffle = 7},
                              {.bank = 1, .mode = io::ReadMode::kPread, .shuffle = 8}};
  EXPECT_GE(ExpectSameTokens(settings, questions), 2u);
}

TEST_F(StreamingShort, ACancelledRequestLeavesNothingPinned) {
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
  const Question run = Corpus(4).front();
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
      model->loaded().streaming()->TEST_CheckIdle();
    }
    EXPECT_EQ(*Generate(*model, run, 64), *expected);
  }
}

TEST_F(StreamingShort, AnotherModelsExpertsAndTooSmallABankAreRefused) {
  const auto load = [&](auto&& change) {
    residency::LoadOptions options = MachTiny(1);
    options.streaming.emplace();
    options.streaming->catalog = files_->catalog();
    options.streaming->options.bank_bytes = kFloorSlots * files_->catalog().slot_bytes;
    options.streaming->read_mode = io::ReadMode::kPread;
    change(*options.streaming);
    return residency::LoadedModel::Load(io::PosixFileSystem(), options);
  };
  EXPECT_TRUE(load([](residency::StreamingSetup&) {}).ok());
  auto below = load([](residency::StreamingSetup& s) { --s.options.bank_bytes; });
  ASSERT_FALSE(below.ok());
  EXPECT_EQ(below.error().code, Code::kInvalidArgument);
  EXPECT_NE(below.error().message.find("one token needs 36"), std::string::npos)
      << below.error().message;
  auto layers = load([](residency::StreamingSetup& s) {
    --s.catalog.layers;
    s.catalog.records.resize(s.catalog.keys());
  });
  ASSERT_FALSE(layers.ok());
  EXPECT_EQ(layers.error().code, Code::kCorrupt);
  auto record = load([](residency::StreamingSetup& s) { s.catalog.records[50].bytes -= 8192; });
  ASSERT_FALSE(record.ok());
  EXPECT_NE(record.error().message.find("layer 1 expert 2 ('"), std::string::npos)
      << record.error().message;
}

}  // namespace
}  // namespace mach::test
