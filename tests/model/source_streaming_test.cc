// Experts read from the tensors of a checkpoint, without a sidecar: the tokens of a resident model,
// in every layout and every format of experts.
#include <cstdio>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>

#include "io/testing/fault_reader.h"
#include "reference/temporary_checkpoint.h"
#include "residency/headers.h"
#include "residency/source_experts.h"
#include "test_model.h"

namespace mach::test {
namespace {

using reference::CheckpointSpec;
using reference::Family;
using reference::TemporaryCheckpoint;
using tensor::DType;
using ::testing::HasSubstr;

constexpr size_t kTokens = 24;

// Dense: widths that are no multiples of a tile, of a direct read, or of each other. Affine:
// matrices of several bands, the last of which is no whole one.
CheckpointSpec Spec(reference::Layout layout, DType dtype, Family family,
                    reference::Grid grid = {0, 8}) {
  CheckpointSpec spec;
  spec.layout = layout;
  spec.dtype = dtype;
  spec.family = family;
  spec.experts = 16;
  spec.expert_width = 56;
  spec.shards = 3;
  spec.grid = grid;
  if (grid.bits != 0) {
    const auto group = static_cast<size_t>(grid.group);
    spec.hidden = std::max<size_t>(64, group);
    spec.heads = spec.hidden / spec.head_dim;
    spec.expert_width = group == 32 ? 96 : 2 * group;
    spec.dense_width = spec.shared_width = spec.hidden;
  }
  spec.mlp_only_layers = family == Family::kQwen3Moe ? 2 : 0;
  return spec;
}

residency::LoadOptions Options(const std::string& checkpoint) {
  return {.checkpoint = checkpoint, .context_tokens = 128, .threads = 2, .max_rows = 64};
}

std::vector<TokenId> Greedy(TestModel& model, size_t chunk) {
  const auto state = model.NewState();
  std::vector<TokenId> prompt;
  for (int i = 0; i < 40; ++i) prompt.push_back(TokenId(i * 7 % 96));
  std::vector<TokenId> out;
  std::span<const TokenId> next = prompt;
  while (out.size() < kTokens) {
    const std::vector<float> logits = model.Logits(next, *state, chunk);
    out.push_back(Argmax(std::span(logits).last(model.config().vocab)));
    next = {&out.back(), 1};
  }
  return out;
}

struct Case {
  reference::Layout layout;
  DType dtype;
  Family family;
  reference::Grid grid = {0, 8};
  bool fallback = false;  // for want of a sidecar, not asked for
};

class SourceStreaming : public testing::TestWithParam<Case> {};

INSTANTIATE_TEST_SUITE_P(
    Layouts, SourceStreaming,
    testing::Values(Case{reference::Layout::kHfPerExpert, DType::kBF16, Family::kQwen3Moe},
                    Case{reference::Layout::kHfStacked, DType::kBF16, Family::kQwen3_5Moe},
                    Case{reference::Layout::kHfStacked, DType::kF16, Family::kQwen3Moe},
                    Case{reference::Layout::kMlxDense, DType::kBF16, Family::kQwen3_5Moe},
                    Case{reference::Layout::kMlxDense, DType::kF32, Family::kQwen3Moe}));

// Every format that a sidecar can hold.
INSTANTIATE_TEST_SUITE_P(
    Fallback, SourceStreaming,
    testing::Values(
        Case{reference::Layout::kMlxAffine, DType::kBF16, Family::kQwen3_5Moe, {4, 64}, true},
        Case{reference::Layout::kMlxAffine, DType::kBF16, Family::kQwen3Moe, {4, 32}, true},
        Case{reference::Layout::kMlxAffine, DType::kF16, Family::kQwen3Moe, {4, 128}, true},
        Case{reference::Layout::kMlxAffine, DType::kF16, Family::kQwen3_5Moe, {8, 32}, true},
        Case{reference::Layout::kMlxAffine, DType::kF32, Family::kQwen3Moe, {8, 64}, true},
        Case{reference::Layout::kHfPerExpert, DType::kBF16, Family::kQwen3Moe, {0, 8}, true},
        Case{reference::Layout::kHfStacked, DType::kF16, Family::kQwen3_5Moe, {0, 8}, true}));

TEST_P(SourceStreaming, GivesTheTokensOfAResidentModel) {
  const Case& c = GetParam();
  const TemporaryCheckpoint checkpoint(Spec(c.layout, c.dtype, c.family, c.grid));
  const auto resident = TestModel::Load(Options(checkpoint.directory()));
  ASSERT_NE(resident, nullptr);
  const std::vector<TokenId> expected = Greedy(*resident, 64);

  for (const auto reads : {residency::DirectReads::kIoUring, residency::DirectReads::kPread}) {
    const auto mode =
        reads == residency::DirectReads::kPread ? io::ReadMode::kPread : io::ReadMode::kIoUring;
    if (!io::AsyncReader::Create(mode).ok()) continue;
    SCOPED_TRACE(io::ReadModeName(mode));
    residency::LoadOptions options = Options(checkpoint.directory());
    options.experts.emplace();
    options.experts->from_checkpoint = !c.fallback;
    options.experts->reads = reads;
    // The fallback is allowed by it; and buffered reads, where the directory for tests lies on a
    // tmpfs.
    options.experts->allow_slow = true;
    options.experts->prefetch = experts::Prefetch::kOn;
    // A bank of what one token uses, and one expert more.
    const auto headers = residency::Headers::Open(io::PosixFileSystem(), checkpoint.directory());
    ASSERT_TRUE(headers.ok());
    const auto found =
        residency::FindSourceExperts(io::PosixFileSystem(), headers->config, headers->source);
    ASSERT_TRUE(found.ok()) << found.error().message;
    options.experts->bank_bytes =
        (residency::FloorSlots(headers->config) + 1) * found->catalog.slot_bytes;
    options.memory_limit = size_t{256} << 20;
    const auto streamed = TestModel::Load(options);
    ASSERT_NE(streamed, nullptr);
    for (const size_t chunk : {64, 7}) EXPECT_EQ(Greedy(*streamed, chunk), expected);
    experts::StreamingStore& store = *streamed->loaded().streaming();
    store.TEST_CheckIdle();
    EXPECT_GT(store.Stats().evictions, 0u);
    EXPECT_GT(store.counters().prefetch.used.Get(), 0u);
    EXPECT_FALSE(store.catalog().checksums);
    EXPECT_TRUE(streamed->loaded().streams_from_checkpoint());
    EXPECT_EQ(streamed->loaded().sidecar_problem().empty(), !c.fallback);
  }
}

class SourceFaults : public testing::TestWithParam<Case> {};

INSTANTIATE_TEST_SUITE_P(
    Formats, SourceFaults,
    testing::Values(Case{reference::Layout::kHfPerExpert, DType::kBF16, Family::kQwen3_5Moe},
                    Case{reference::Layout::kMlxAffine, DType::kBF16, Family::kQwen3Moe, {4, 64}}));

TEST_P(SourceFaults, EveryReadMayFail) {
  const Case& c = GetParam();
  const TemporaryCheckpoint checkpoint(Spec(c.layout, c.dtype, c.family, c.grid));
  const auto resident = TestModel::Load(Options(checkpoint.directory()));
  const std::vector<TokenId> expected = Greedy(*resident, 64);
  const auto headers = residency::Headers::Open(io::PosixFileSystem(), checkpoint.directory());
  ASSERT_TRUE(headers.ok());
  auto found =
      residency::FindSourceExperts(io::PosixFileSystem(), headers->config, headers->source);
  ASSERT_TRUE(found.ok());

  io::FaultReader* reader = nullptr;
  residency::LoadOptions options = Options(checkpoint.directory());
  residency::StreamingSetup& streaming = options.streaming.emplace();
  streaming.catalog = found->catalog;
  streaming.slices = std::make_shared<const residency::SourceSlices>(found->slices);
  streaming.options.bank_bytes = 16 * found->catalog.slot_bytes;
  streaming.options.prefetch = experts::Prefetch::kOn;
  streaming.options.in_flight_bytes = 3 * found->catalog.slot_bytes;
  streaming.read_mode = io::ReadMode::kPread;
  streaming.direct = false;
  streaming.wrap_reader = [&](std::unique_ptr<io::AsyncReader> base) {
    auto wrapped =
        std::make_unique<io::FaultReader>(std::move(base), io::FaultReader::Faults{.shuffle = 3});
    reader = wrapped.get();
    return wrapped;
  };
  const auto model = TestModel::Load(options);
  ASSERT_NE(model, nullptr);
  EXPECT_EQ(Greedy(*model, 64), expected);

  const auto forward = [&](size_t rows) {
    const auto state = model->NewState();
    std::vector<TokenId> tokens;
    for (size_t i = 0; i < rows; ++i) tokens.push_back(static_cast<TokenId>((5 + 11 * i) % 96));
    std::vector<float> hidden(rows * model->config().hidden);
    return model->loaded().model().Forward(model->loaded().workspace(), {.tokens = tokens}, *state,
                                           hidden.data());
  };
  experts::StreamingStore& store = *model->loaded().streaming();
  size_t failures = 0;
  for (uint64_t n = 1; n < 40; ++n) {
    SCOPED_TRACE("read " + std::to_string(n));
    reader->SetFaults({.fail = n, .persistent = true, .max_taken = n % 3 + 1, .reverse = true});
    const Status status = forward(n % 2 == 0 ? 1 : 40);
    store.TEST_CheckIdle();
    if (!status.ok()) {
      ++failures;
      EXPECT_EQ(status.error().code, Code::kIo);
      EXPECT_EQ(status.error().message.rfind("layer ", 0), 0u) << status.error().message;
      EXPECT_THAT(status.error().message, HasSubstr(".safetensors'): injected"));
    }
    // Once: it is tried again.
    reader->SetFaults({.fail = n, .max_taken = 1, .shuffle = n});
    EXPECT_EQ(Greedy(*model, 64), expected);
  }
  EXPECT_GT(failures, 20u);
  EXPECT_GT(store.Stats().read_retries, 20u);
}

// Full precision is not there to be read, and a sidecar that is missing is a fault unless the
// switch says otherwise.
TEST(SourceExperts, AreRefusedWithoutTheSwitch) {
  const TemporaryCheckpoint checkpoint(
      Spec(reference::Layout::kMlxAffine, DType::kBF16, Family::kQwen3Moe, {4, 64}));
  residency::LoadOptions options = Options(checkpoint.directory());
  options.experts.emplace();
  for (const bool allow_slow : {false, true}) {
    options.experts->from_checkpoint = true;
    options.experts->allow_slow = allow_slow;
    const auto loaded = residency::LoadedModel::Load(io::PosixFileSystem(), options);
    ASSERT_FALSE(loaded.ok());
    EXPECT_EQ(loaded.error().code, Code::kUnsupported);
    EXPECT_THAT(loaded.error().message, HasSubstr("the experts are 4-bit affine, group 64, but"));
  }
  options.experts->from_checkpoint = false;
  options.experts->allow_slow = false;
  const auto missing = residency::LoadedModel::Load(io::PosixFileSystem(), options);
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, Code::kNotFound);
  EXPECT_THAT(missing.error().message, HasSubstr("has no expert sidecar"));
  options.experts->allow_slow = true;
  const auto slow = residency::LoadedModel::Load(io::PosixFileSystem(), options);
  ASSERT_TRUE(slow.ok()) << slow.error().message;
  EXPECT_EQ("'" + checkpoint.directory() + "/expert_sidecar'",
            (*slow)->sidecar_problem().substr(0, checkpoint.directory().size() + 17));
}

TEST(SourceExperts, AFileThatChangedIsRefused) {
  const TemporaryCheckpoint checkpoint(
      Spec(reference::Layout::kHfStacked, DType::kBF16, Family::kQwen3Moe));
  const auto headers = residency::Headers::Open(io::PosixFileSystem(), checkpoint.directory());
  ASSERT_TRUE(headers.ok());
  const auto found =
      residency::FindSourceExperts(io::PosixFileSystem(), headers->config, headers->source);
  ASSERT_TRUE(found.ok());

  // A longer file: its size is not what the header was checked against.
  const std::string file = found->catalog.files[0];
  std::ofstream(file, std::ios::app | std::ios::binary) << "more";
  MemoryLedger ledger(size_t{64} << 20);
  ThreadPool pool(1);
  const SystemClock clock;
  residency::StreamingSetup streaming;
  streaming.catalog = found->catalog;
  streaming.slices = std::make_shared<const residency::SourceSlices>(found->slices);
  streaming.options.bank_bytes = size_t{8} << 20;
  streaming.read_mode = io::ReadMode::kPread;
  streaming.direct = false;
  auto store =
      residency::MakeStreamingStore(headers->config, found->layout, streaming, ledger, pool, clock);
  ASSERT_FALSE(store.ok());
  EXPECT_EQ(store.error().code, Code::kCorrupt);
  EXPECT_THAT(store.error().message, HasSubstr("as when its header was read"));
  // Another config in its place.
  std::filesystem::resize_file(file, found->slices.file_bytes[0]);
  EXPECT_TRUE(residency::CheckUnchanged(io::PosixFileSystem(), checkpoint.directory(),
                                        found->slices.fingerprint)
                  .ok());
  std::ofstream(checkpoint.directory() + "/config.json", std::ios::app) << " ";
  const Status changed = residency::CheckUnchanged(io::PosixFileSystem(), checkpoint.directory(),
                                                   found->slices.fingerprint);
  ASSERT_FALSE(changed.ok());
  EXPECT_THAT(changed.error().message, HasSubstr("fingerprint"));
}

// The weights of gate, up and down alone, as dense experts have them.
residency::ExpertSlices Dense(io::Slice gate, io::Slice up, io::Slice down) {
  return {gate, {}, {}, up, {}, {}, down, {}, {}};
}

TEST(SliceCover, CoversSlicesWithAlignedSpans) {
  const auto at = [](const residency::SliceCover& cover) {
    return std::array<size_t, 3>{cover.at[0], cover.at[3], cover.at[6]};
  };
  // Gate and up touch, down lies apart.
  const residency::SliceCover apart =
      residency::CoverOf(Dense({0, 5000, 3000}, {0, 8000, 3000}, {0, 50000, 100}));
  ASSERT_EQ(apart.count, 2u);
  EXPECT_EQ(apart.spans[0].begin, 4096u);
  EXPECT_EQ(apart.spans[0].size, 8192u);
  EXPECT_EQ(apart.spans[0].required, 11000u - 4096);
  EXPECT_EQ(apart.spans[1].begin, 49152u);
  EXPECT_EQ(apart.bytes, 12288u);
  EXPECT_EQ(at(apart), (std::array<size_t, 3>{5000 - 4096, 8000 - 4096, 8192 + 50000 - 49152}));
  // As files sort names: down, gate, up.
  const residency::SliceCover sorted =
      residency::CoverOf(Dense({1, 4100, 10}, {1, 4110, 10}, {1, 100, 4000}));
  ASSERT_EQ(sorted.count, 1u);
  EXPECT_EQ(sorted.spans[0].begin, 0u);
  EXPECT_EQ(sorted.bytes, 8192u);
  EXPECT_EQ(at(sorted), (std::array<size_t, 3>{4100, 4110, 100}));
  // Three files.
  const residency::SliceCover files =
      residency::CoverOf(Dense({2, 0, 4096}, {0, 1, 4096}, {1, 0, 1}));
  ASSERT_EQ(files.count, 3u);
  EXPECT_EQ(files.spans[0].file, 0u);
  EXPECT_EQ(files.bytes, 4096u * 4);
  EXPECT_EQ(at(files), (std::array<size_t, 3>{12288, 1, 8192}));
}

// Weights, scales and biases of three stacks: nine places, those that touch as one.
TEST(SliceCover, CoversQuantizedExperts) {
  residency::ExpertSlices slices;
  for (uint64_t i = 0; i < slices.size(); ++i) slices[i] = {0, i * 100'000 + 7, 3000};
  const residency::SliceCover apart = residency::CoverOf(slices);
  EXPECT_EQ(apart.count, 9u);
  for (size_t i = 0; i < slices.size(); ++i) slices[i] = {0, 7 + i * 3000, 3000};
  const residency::SliceCover one = residency::CoverOf(slices);
  ASSERT_EQ(one.count, 1u);
  EXPECT_EQ(one.spans[0].required, 7u + 27000);
  for (size_t i = 0; i < slices.size(); ++i) EXPECT_EQ(one.at[i], 7 + i * 3000);
  residency::SourceSlices source;
  for (uint64_t i = 0; i < slices.size(); ++i) slices[i] = {0, i * 100'000 + 7, 3000};
  source.experts = {residency::ExpertSlices{}, slices};
  EXPECT_EQ(residency::SliceReader::ReadsPerRecord(source), 9u);
}

}  // namespace
}  // namespace mach::test
