// Faults of the whole way: export of a sidecar to disk, the load of a model that streams from it,
// and 32 tokens.
#include <cstdio>
#include <filesystem>
#include <map>

#include "each_fault.h"
#include "failing_memory.h"
#include "io/output_directory.h"
#include "io/sidecar_writer.h"
#include "io/testing/fault_file_system.h"
#include "reference/temporary_checkpoint.h"
#include "residency/headers.h"
#include "residency/sidecar.h"
#include "residency/sidecar_export.h"
#include "test_model.h"

namespace mach::test {
namespace {

using reference::CheckpointSpec;
using reference::TemporaryCheckpoint;

constexpr size_t kTokens = 32;

CheckpointSpec Hybrid(reference::Layout layout) {
  CheckpointSpec spec;
  spec.family = reference::Family::kQwen3_5Moe;
  spec.layout = layout;
  spec.layers = 2;
  spec.expert_width = 64;
  spec.shared_width = 64;
  spec.dense_width = 64;
  if (layout == reference::Layout::kMlxAffine) {
    spec.grid = {4, 64};
  } else {
    spec.dtype = tensor::DType::kBF16;
  }
  return spec;
}

// As the command does it. Dense experts become 4-bit.
Status Export(const std::string& checkpoint, const std::string& output, size_t threads) {
  io::FileSystem& fs = io::PosixFileSystem();
  MACH_TRY(const auto headers, residency::Headers::Open(fs, checkpoint));
  const residency::SidecarExport wish{.bits = residency::SidecarBits::k4};
  MACH_TRY(const auto layout, residency::ExportLayout(headers.config, headers.source, wish));
  MACH_TRY(const std::string fingerprint, io::FingerprintCheckpoint(fs, *headers.checkpoint));
  MACH_TRY(const auto directory, io::OpenOutputDirectory(output));
  MACH_TRY(const auto writer,
           io::SidecarWriter::Open(
               fs, *directory, residency::MakeManifest(headers.config, layout, fingerprint, "t")));
  ThreadPool pool(threads);
  return residency::ExportSidecar(headers.config, headers.source, layout, wish, pool, *writer);
}

std::map<std::string, std::string> Content(const std::string& directory) {
  std::map<std::string, std::string> files;
  const auto names = io::PosixFileSystem().List(directory);
  EXPECT_TRUE(names.ok());
  for (const std::string& name : *names) {
    files[name] = *io::ReadSmallFile(io::PosixFileSystem(), directory + "/" + name, 1 << 24);
  }
  return files;
}

residency::LoadOptions Streaming(const std::string& checkpoint) {
  residency::LoadOptions options{
      .checkpoint = checkpoint, .context_tokens = 128, .threads = 2, .max_rows = 16};
  // Half of the experts.
  options.experts.emplace();
  options.experts->bank_bytes = size_t{8} * 2 * 64 * 64 * 3 / 2;
  return options;
}

// Greedy, after a prompt of 20 tokens.
Result<std::vector<TokenId>> Answer(residency::LoadedModel& model) {
  MACH_TRY(const auto state, model.NewState());
  const size_t width = model.config().hidden;
  std::vector<float> hidden(16 * width);
  std::vector<float> logits(model.config().vocab);
  std::vector<TokenId> sequence;
  for (TokenId t = 0; t < 20; ++t) sequence.push_back(t * 7 % 90);
  std::vector<TokenId> out;
  for (size_t at = 0; out.size() < kTokens;) {
    const size_t rows = std::min<size_t>(16, sequence.size() - at);
    MACH_RETURN_IF_ERROR(model.model().Forward(model.workspace(),
                                               {.tokens = std::span(sequence).subspan(at, rows)},
                                               *state, hidden.data()));
    at += rows;
    if (at < sequence.size()) continue;
    MACH_RETURN_IF_ERROR(model.model().Logits(model.workspace(), hidden.data() + (rows - 1) * width,
                                              1, logits.data()));
    out.push_back(Argmax(logits));
    sequence.push_back(out.back());
  }
  return out;
}

TEST(ExportFaults, EveryLargeAllocationMayFail) {
  for (const auto layout : {reference::Layout::kMlxAffine, reference::Layout::kHfStacked}) {
    const TemporaryCheckpoint checkpoint(Hybrid(layout));
    const std::string output = checkpoint.directory() + "/out";
    ASSERT_TRUE(Export(checkpoint.directory(), output, 2).ok());
    const auto expected = Content(output);
    std::filesystem::remove_all(output);
    const uint64_t mapped = FailingMemory::Mapped();
    const uint64_t faults = ForEachFault("allocation", [&](uint64_t n, bool persistent) {
      bool failed = false;
      {
        const FailingMemory memory(n, persistent);
        const Status exported = Export(checkpoint.directory(), output, 2);
        failed = memory.failures() != 0;
        EXPECT_EQ(exported.ok(), !failed);
        if (!exported.ok()) {
          EXPECT_EQ(exported.error().code, Code::kNoMemory) << exported.error().message;
          EXPECT_NE(exported.error().message.find("cannot allocate"), std::string::npos);
        }
      }
      EXPECT_EQ(FailingMemory::Mapped(), mapped);
      EXPECT_EQ(std::filesystem::exists(output), !failed);
      // And again: over what is there, or after the failure.
      EXPECT_TRUE(Export(checkpoint.directory(), output, 1).ok());
      EXPECT_EQ(Content(output), expected);
      std::filesystem::remove_all(output);
      return failed;
    });
    EXPECT_GE(faults, 3u);
  }
}

class LoadFaults : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(
        Export(checkpoint_.directory(), checkpoint_.directory() + "/expert_sidecar", 2).ok());
    const auto resident = TestModel::Load(
        {.checkpoint = checkpoint_.directory(), .context_tokens = 128, .max_rows = 16});
    const auto answer = Answer(resident->loaded());
    ASSERT_TRUE(answer.ok()) << answer.error().message;
    expected_ = *answer;
  }

  const TemporaryCheckpoint checkpoint_{Hybrid(reference::Layout::kMlxAffine)};
  std::vector<TokenId> expected_;
};

TEST_F(LoadFaults, EveryOpenAndReadMayFail) {
  for (const bool reads : {false, true}) {
    const char* what = reads ? "read" : "open";
    const uint64_t faults = ForEachFault(what, [&](uint64_t n, bool persistent) {
      io::FaultFileSystem faulty(
          io::PosixFileSystem(),
          {.fail_open = reads ? 0 : n, .fail_read = reads ? n : 0, .persistent = persistent});
      bool failed = false;
      {
        const auto model = residency::LoadedModel::Load(faulty, Streaming(checkpoint_.directory()));
        failed = !model.ok();
        if (failed) {
          EXPECT_NE(model.error().message.find("injected"), std::string::npos)
              << model.error().message;
          EXPECT_EQ(model.error().code, Code::kIo) << model.error().message;
        } else {
          EXPECT_LT(reads ? faulty.reads() : faulty.opens(), n);
          const auto answer = Answer(**model);
          (*model)->streaming()->TEST_CheckIdle();
          EXPECT_TRUE(answer.ok() && *answer == expected_);
        }
      }
      EXPECT_EQ(faulty.open_files(), 0);
      return failed;
    });
    std::printf("a load has %lu %ss\n", faults, what);
    EXPECT_GE(faults, reads ? 20u : 3u);
  }
}

TEST_F(LoadFaults, EveryLargeAllocationMayFail) {
  const uint64_t mapped = FailingMemory::Mapped();
  const uint64_t faults = ForEachFault("allocation", [&](uint64_t n, bool persistent) {
    bool failed = false;
    {
      const FailingMemory memory(n, persistent);
      const auto model =
          residency::LoadedModel::Load(io::PosixFileSystem(), Streaming(checkpoint_.directory()));
      if (model.ok()) {
        const auto answer = Answer(**model);
        (*model)->streaming()->TEST_CheckIdle();
        if (answer.ok()) {
          EXPECT_EQ(*answer, expected_);
        } else {
          EXPECT_EQ(answer.error().code, Code::kNoMemory) << answer.error().message;
        }
      } else {
        // A probe of the direct reads that has no memory says so: they do not work then.
        const std::string& message = model.error().message;
        EXPECT_NE(message.find("cannot allocate"), std::string::npos) << message;
      }
      failed = memory.failures() != 0;
    }
    EXPECT_EQ(FailingMemory::Mapped(), mapped);
    return failed;
  });
  EXPECT_GT(faults, 8u);
}

}  // namespace
}  // namespace mach::test
