// Exports of small random checkpoints: what the records hold, what is refused, and what faults and
// interruptions leave.
#include "residency/sidecar_export.h"

#include <cmath>
#include <fstream>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/testing/fault_file_system.h"
#include "io/testing/memory_output_directory.h"
#include "io/xxh3.h"
#include "model/arch_registry.h"
#include "reference/temporary_checkpoint.h"
#include "residency/sidecar.h"

namespace mach::model {
namespace {

using reference::CheckpointSpec;
using reference::Family;
using reference::TemporaryCheckpoint;
using ::testing::HasSubstr;

constexpr const char* kOut = "s";

// Two layers, of which the first has no experts.
CheckpointSpec Small(reference::Layout layout) {
  CheckpointSpec spec;
  spec.layout = layout;
  spec.layers = 2;
  spec.experts = 3;
  spec.vocab = 32;
  spec.mlp_only_layers = 1;
  spec.expert_width = 64;
  spec.dense_width = 64;
  spec.grid = {4, 64};
  return spec;
}

struct Source {
  std::unique_ptr<io::Checkpoint> checkpoint;
  std::unique_ptr<io::TensorSource> tensors;
  ModelConfig config;
};

Result<Source> OpenSource(io::FileSystem& fs, const std::string& directory) {
  Source source;
  MACH_TRY(source.checkpoint, io::Checkpoint::Open(fs, directory));
  MACH_TRY(source.config, ParseConfig(source.checkpoint->config()));
  MACH_TRY(io::TensorSource tensors, io::TensorSource::Create(*source.checkpoint));
  source.tensors = std::make_unique<io::TensorSource>(std::move(tensors));
  return source;
}

// The whole of an export, as the command does it. back: reads what `directory` writes.
Status Export(io::FileSystem& in, const std::string& checkpoint, io::FileSystem& back,
              io::OutputDirectory& directory, const residency::SidecarExport& options,
              size_t threads = 1) {
  MACH_TRY(const Source source, OpenSource(in, checkpoint));
  MACH_TRY(const auto layout, residency::ExportLayout(source.config, *source.tensors, options));
  MACH_TRY(const std::string fingerprint, io::FingerprintCheckpoint(in, *source.checkpoint));
  MACH_TRY(const auto writer,
           io::SidecarWriter::Open(
               back, directory,
               residency::MakeManifest(source.config, layout, fingerprint, options.tool)));
  ThreadPool pool(threads);
  return residency::ExportSidecar(source.config, *source.tensors, layout, options, pool, *writer);
}

Status Export(const std::string& checkpoint, io::MemoryFileSystem& fs,
              const residency::SidecarExport& options = {}, size_t threads = 1) {
  io::MemoryOutputDirectory directory(fs, kOut, {});
  return Export(io::PosixFileSystem(), checkpoint, fs, directory, options, threads);
}

// Name to content of what was published.
std::map<std::string, std::string> Files(io::MemoryFileSystem& fs, const std::string& directory) {
  std::map<std::string, std::string> files;
  const auto names = fs.List(directory);
  if (!names) return files;  // nothing was
  for (const std::string& name : *names) files[name] = fs.Get(directory + "/" + name);
  return files;
}

TEST(SidecarExport, KeepsQuantizedExpertsBitForBit) {
  CheckpointSpec hybrid = Small(reference::Layout::kMlxAffine);
  hybrid.family = Family::kQwen3_5Moe;
  hybrid.grid = {8, 64};
  hybrid.shared_width = 64;
  hybrid.negative_scales = true;
  for (const CheckpointSpec& spec :
       {Small(reference::Layout::kMlxAffine), hybrid, Small(reference::Layout::kHfStacked)}) {
    const TemporaryCheckpoint checkpoint(spec);
    const auto source = OpenSource(io::PosixFileSystem(), checkpoint.directory());
    ASSERT_TRUE(source.ok()) << source.error().message;
    const auto layout = FindExpertLayout(source->config, *source->tensors);
    ASSERT_TRUE(layout.ok());
    MemoryLedger ledger(size_t{64} << 20);
    const auto store = LoadExperts(source->config, *source->tensors, *layout, ledger, {});
    ASSERT_TRUE(store.ok());

    std::map<std::string, std::string> first;
    for (const size_t threads : {1u, 2u}) {
      io::MemoryFileSystem fs;
      const Status exported = Export(checkpoint.directory(), fs, {}, threads);
      ASSERT_TRUE(exported.ok()) << exported.error().message;
      if (threads == 1) {
        first = Files(fs, kOut);
      } else {
        EXPECT_EQ(Files(fs, kOut), first);
      }
      const auto sidecar = residency::OpenSidecar(fs, *source->checkpoint, source->config, kOut);
      // The memory holds the sidecar alone, not the checkpoint.
      EXPECT_FALSE(sidecar.ok());
      const auto opened = io::Sidecar::Open(fs, kOut);
      ASSERT_TRUE(opened.ok()) << opened.error().message;
      const auto fingerprint =
          io::FingerprintCheckpoint(io::PosixFileSystem(), *source->checkpoint);
      const Status fits =
          residency::CheckSidecar(*opened, source->config, *fingerprint, checkpoint.directory());
      EXPECT_TRUE(fits.ok()) << fits.error().message;
      size_t records = 0;
      for (uint32_t layer = 0; layer < spec.layers; ++layer) {
        for (uint32_t e = 0; e < spec.experts; ++e) {
          const io::SidecarRecord r = opened->Record(LayerId(layer), ExpertId(e));
          if (r.bytes == 0) continue;
          ++records;
          const auto expected = (*store)->Record(LayerId(layer), ExpertId(e));
          ASSERT_EQ(r.bytes, expected.size());
          const std::string& file = fs.Get(opened->LayerPath(layer));
          EXPECT_EQ(std::memcmp(file.data() + r.offset, expected.data(), r.bytes), 0);
          EXPECT_EQ(r.xxh3, io::Xxh3(expected));
        }
      }
      EXPECT_EQ(records, spec.experts * (spec.family == Family::kQwen3Moe ? 1 : 2));
    }
  }
}

TEST(SidecarExport, QuantizesDenseExpertsWithinAStep) {
  for (const auto layout : {reference::Layout::kHfPerExpert, reference::Layout::kHfStacked}) {
    CheckpointSpec spec = Small(layout);
    spec.dtype = tensor::DType::kBF16;
    spec.grid = {};  // any values
    const TemporaryCheckpoint checkpoint(spec);
    const auto source = OpenSource(io::PosixFileSystem(), checkpoint.directory());
    ASSERT_TRUE(source.ok());
    for (const auto& [wanted, bits] :
         {std::pair(residency::SidecarBits::k4, 4), {residency::SidecarBits::k8, 8}}) {
      io::MemoryFileSystem fs;
      const Status exported = Export(checkpoint.directory(), fs, {.bits = wanted});
      ASSERT_TRUE(exported.ok()) << exported.error().message;
      const auto sidecar = io::Sidecar::Open(fs, kOut);
      ASSERT_TRUE(sidecar.ok()) << sidecar.error().message;
      EXPECT_EQ(sidecar->manifest().weights[0].bits, bits);
      const auto records = residency::LayoutOf(sidecar->manifest());
      ASSERT_TRUE(records.ok());
      const io::SidecarRecord r = sidecar->Record(LayerId(1), ExpertId(2));
      const std::string& file = fs.Get(sidecar->LayerPath(1));
      std::vector<std::byte> record(r.bytes);
      std::memcpy(record.data(), file.data() + r.offset, r.bytes);
      const auto expert = source->tensors->Expert("layers.1.mlp", ExpertId(2), spec.experts,
                                                  spec.hidden, spec.expert_width);
      ASSERT_TRUE(expert.ok());
      const ops::SwiGlu view = records->View(record);
      for (const auto& [from, to] : {std::pair(&expert->gate, &view.gate),
                                     {&expert->up, &view.up},
                                     {&expert->down, &view.down}}) {
        std::vector<std::byte> dense(from->weight.bytes);
        ASSERT_TRUE(source->checkpoint->Read(from->weight, dense).ok());
        std::vector<float> found(from->cols);
        for (size_t row = 0; row < from->rows; ++row) {
          quant::UnpackRow(*to, row, found);
          for (size_t c = 0; c < from->cols; ++c) {
            const float exact =
                tensor::LoadFloat(from->type, dense.data() + 2 * (row * from->cols + c));
            // Values lie in +-sqrt(3/64). A step is at most 8/7.5 of their range over the codes,
            // once zero has a code of its own, and what storing the scale in bf16 adds is at most
            // 2^-8 of the range.
            const double range = 2 * std::sqrt(3.0 / 64);
            EXPECT_NEAR(found[c], exact, range * (8 / 7.5 / ((1 << bits) - 1) + 1.0 / 256));
          }
        }
      }
    }
  }
}

TEST(SidecarExport, SaysWhatCannotBe) {
  const auto refusal = [](const CheckpointSpec& spec, const residency::SidecarExport& options) {
    const TemporaryCheckpoint checkpoint(spec);
    io::MemoryFileSystem fs;
    const Status exported = Export(checkpoint.directory(), fs, options);
    EXPECT_EQ(Files(fs, kOut).empty(), !exported.ok());
    return exported.ok() ? std::string("exported") : exported.error().message;
  };
  const CheckpointSpec affine = Small(reference::Layout::kMlxAffine);
  EXPECT_THAT(refusal(affine, {.experts = 4}),
              HasSubstr("has 3 experts in a layer, --num-experts says 4"));
  EXPECT_EQ(refusal(affine, {.bits = residency::SidecarBits::k4, .experts = 3}), "exported");
  EXPECT_THAT(refusal(affine, {.bits = residency::SidecarBits::k8}), HasSubstr("use --bits keep"));
  EXPECT_THAT(refusal(affine, {.bits = residency::SidecarBits::k16}), HasSubstr("use --bits keep"));
  CheckpointSpec dense = affine;
  dense.mlp_only_layers = 3;
  EXPECT_THAT(refusal(dense, {}), HasSubstr("no routed experts"));
  CheckpointSpec narrow = Small(reference::Layout::kHfStacked);
  narrow.expert_width = 32;
  narrow.grid = {};
  EXPECT_THAT(refusal(narrow, {.bits = residency::SidecarBits::k4}),
              HasSubstr("down_proj of the experts has 32 columns"));
}

TEST(SidecarExport, RefusesToQuantizeWhatIsNoWeight) {
  CheckpointSpec spec = Small(reference::Layout::kHfPerExpert);
  spec.dtype = tensor::DType::kBF16;
  spec.grid = {};
  for (const uint16_t bits : {0x7F80, 0xFF80, 0x7FC0, 0x7F7F}) {  // infinities, NaN, 3e38
    const TemporaryCheckpoint checkpoint(spec);
    const auto source = OpenSource(io::PosixFileSystem(), checkpoint.directory());
    ASSERT_TRUE(source.ok());
    const auto expert = source->tensors->Expert("layers.1.mlp", ExpertId(1), spec.experts,
                                                spec.hidden, spec.expert_width);
    ASSERT_TRUE(expert.ok());
    const io::Slice at = expert->up.weight;
    std::fstream file(source->checkpoint->file(at.file).path(),
                      std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(at.offset + 2 * (3 * spec.hidden + 5)));
    file.write(reinterpret_cast<const char*>(&bits), sizeof bits);
    file.close();
    io::MemoryFileSystem fs;
    const Status exported =
        Export(checkpoint.directory(), fs, {.bits = residency::SidecarBits::k4});
    ASSERT_FALSE(exported.ok());
    EXPECT_THAT(exported.error().message,
                ::testing::AllOf(HasSubstr("layers.1.mlp.experts.1.up_proj"),
                                 HasSubstr("at row 3, column 5")));
    EXPECT_TRUE(Files(fs, kOut).empty());
  }
}

// Every open and read of the source fails in turn, once and from then on.
TEST(SidecarExport, EveryFaultOfTheSourceIsAnErrorThatLeavesNothing) {
  const TemporaryCheckpoint checkpoint(Small(reference::Layout::kMlxAffine));
  io::MemoryFileSystem whole;
  ASSERT_TRUE(Export(checkpoint.directory(), whole).ok());
  const auto expected = Files(whole, kOut);
  for (const bool persistent : {false, true}) {
    for (const bool reads : {false, true}) {
      for (uint64_t n = 1;; ++n) {
        ASSERT_LT(n, 1000u);
        io::FaultFileSystem faulty(
            io::PosixFileSystem(),
            {.fail_open = reads ? 0 : n, .fail_read = reads ? n : 0, .persistent = persistent});
        io::MemoryFileSystem fs;
        io::MemoryOutputDirectory directory(fs, kOut, {});
        const Status exported = Export(faulty, checkpoint.directory(), fs, directory, {});
        EXPECT_EQ(faulty.open_files(), 0);
        if (exported.ok()) {
          EXPECT_GT(n, 1u);
          EXPECT_EQ(Files(fs, kOut), expected);
          break;
        }
        EXPECT_THAT(exported.error().message, HasSubstr("injected"));
        EXPECT_TRUE(Files(fs, kOut).empty()) << n;
        ASSERT_TRUE(Export(checkpoint.directory(), fs).ok());
        EXPECT_EQ(Files(fs, kOut), expected) << n;
      }
    }
  }
}

// Every operation on the output fails in turn.
TEST(SidecarExport, EveryFaultOfTheOutputIsAnErrorAndTheNextAttemptEndsTheSame) {
  CheckpointSpec spec = Small(reference::Layout::kMlxAffine);
  spec.mlp_only_layers = 0;
  const TemporaryCheckpoint checkpoint(spec);
  io::MemoryFileSystem whole;
  ASSERT_TRUE(Export(checkpoint.directory(), whole).ok());
  const auto expected = Files(whole, kOut);
  for (const bool persistent : {false, true}) {
    for (uint64_t n = 1;; ++n) {
      ASSERT_LT(n, 1000u);
      io::MemoryFileSystem fs;
      io::MemoryOutputDirectory faulty(fs, kOut, {.fail_at = n, .persistent = persistent});
      const Status exported = Export(io::PosixFileSystem(), checkpoint.directory(), fs, faulty, {});
      if (exported.ok()) break;
      EXPECT_THAT(exported.error().message, HasSubstr("injected"));
      EXPECT_TRUE(Files(fs, kOut).empty()) << n;
      ASSERT_TRUE(Export(checkpoint.directory(), fs).ok());
      EXPECT_EQ(Files(fs, kOut), expected) << n;
    }
  }
}

// Every read of what was written fails in turn; then the file seems to have shrunk.
TEST(SidecarExport, WhatDoesNotReadBackIsNotPublished) {
  const TemporaryCheckpoint checkpoint(Small(reference::Layout::kMlxAffine));
  io::MemoryFileSystem whole;
  ASSERT_TRUE(Export(checkpoint.directory(), whole).ok());
  const auto expected = Files(whole, kOut);
  for (const bool persistent : {false, true}) {
    for (uint64_t n = 1;; ++n) {
      ASSERT_LT(n, 1000u);
      io::MemoryFileSystem fs;
      io::FaultFileSystem faulty(fs, {.fail_read = n, .persistent = persistent});
      io::MemoryOutputDirectory directory(fs, kOut, {});
      const Status exported =
          Export(io::PosixFileSystem(), checkpoint.directory(), faulty, directory, {});
      EXPECT_EQ(faulty.open_files(), 0);
      if (exported.ok()) {
        EXPECT_GT(n, 3u);
        break;
      }
      EXPECT_THAT(exported.error().message, HasSubstr("injected"));
      EXPECT_TRUE(Files(fs, kOut).empty()) << n;
      ASSERT_TRUE(Export(checkpoint.directory(), fs).ok());
      EXPECT_EQ(Files(fs, kOut), expected) << n;
    }
  }
  io::MemoryFileSystem fs;
  io::FaultFileSystem shrunk(fs, {.end_at = 8192});
  io::MemoryOutputDirectory directory(fs, kOut, {});
  const Status exported =
      Export(io::PosixFileSystem(), checkpoint.directory(), shrunk, directory, {});
  ASSERT_FALSE(exported.ok());
  EXPECT_THAT(exported.error().message, HasSubstr("layer-001.bin' ends at byte 8192"));
  EXPECT_TRUE(Files(fs, kOut).empty());
}

TEST(SidecarExport, AnInterruptedExportIsTakenUp) {
  CheckpointSpec spec = Small(reference::Layout::kMlxAffine);
  spec.mlp_only_layers = 0;
  spec.layers = 3;
  const TemporaryCheckpoint checkpoint(spec);
  io::MemoryFileSystem fs;
  // Within the second of three layers.
  const residency::SidecarExport stops{
      .progress = [](uint64_t done, uint64_t total) { return done <= total / 3; }};
  const Status stopped = Export(checkpoint.directory(), fs, stops);
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().code, Code::kCancelled);
  EXPECT_THAT(stopped.error().message, HasSubstr("the same command goes on"));
  EXPECT_TRUE(Files(fs, kOut).empty());
  EXPECT_TRUE(fs.Exists("s.partial/layer-000.part"));

  // Checking the finished layer can be stopped as well, and changes nothing.
  {
    const auto source = OpenSource(io::PosixFileSystem(), checkpoint.directory());
    ASSERT_TRUE(source.ok());
    const auto layout = residency::ExportLayout(source->config, *source->tensors, {});
    const auto fingerprint = io::FingerprintCheckpoint(io::PosixFileSystem(), *source->checkpoint);
    ASSERT_TRUE(layout.ok() && fingerprint.ok());
    io::MemoryOutputDirectory directory(fs, kOut, {});
    std::vector<uint64_t> checked;
    const auto writer = io::SidecarWriter::Open(
        fs, directory, residency::MakeManifest(source->config, *layout, *fingerprint, ""),
        [&](uint64_t done, uint64_t all) {
          checked.push_back(done);
          EXPECT_EQ(all, spec.experts * layout->record_bytes());
          return checked.size() < 2;
        });
    ASSERT_FALSE(writer.ok());
    EXPECT_EQ(writer.error().code, Code::kCancelled);
    EXPECT_THAT(checked,
                ::testing::ElementsAre(layout->record_bytes(), 2 * layout->record_bytes()));
  }

  // The progress of the second run begins with the finished layer, in one step.
  std::vector<uint64_t> reported;
  uint64_t total = 0;
  const residency::SidecarExport rest{.progress = [&](uint64_t done, uint64_t all) {
    reported.push_back(done);
    total = all;
    return true;
  }};
  const Status resumed = Export(checkpoint.directory(), fs, rest);
  ASSERT_TRUE(resumed.ok()) << resumed.error().message;
  ASSERT_GE(reported.size(), 1 + 2 * spec.experts);
  EXPECT_EQ(reported.front(), total / 3);
  EXPECT_TRUE(std::ranges::is_sorted(reported));
  EXPECT_EQ(reported.back(), total);

  io::MemoryFileSystem at_once;
  ASSERT_TRUE(Export(checkpoint.directory(), at_once).ok());
  EXPECT_EQ(Files(fs, kOut), Files(at_once, kOut));
}

TEST(SidecarExport, ASidecarOfAnotherCheckpointIsRefusedByName) {
  const TemporaryCheckpoint checkpoint(Small(reference::Layout::kMlxAffine));
  const auto source = OpenSource(io::PosixFileSystem(), checkpoint.directory());
  ASSERT_TRUE(source.ok());
  io::MemoryFileSystem fs;
  ASSERT_TRUE(Export(checkpoint.directory(), fs).ok());
  const std::string good = fs.Get("s/manifest.json");
  const std::string good_index = fs.Get("s/index.bin");
  const auto fingerprint = io::FingerprintCheckpoint(io::PosixFileSystem(), *source->checkpoint);
  ASSERT_TRUE(fingerprint.ok());
  const auto check = [&](const std::string& from, const std::string& to) -> std::string {
    std::string text = good;
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    // The index names its manifest, and ends with a checksum of its own.
    std::string index = good_index;
    const std::span<const char> bytes(index);
    const uint64_t manifest_sum = io::Xxh3(std::string_view(text));
    std::memcpy(index.data() + 24, &manifest_sum, 8);
    const uint64_t sum = io::Xxh3(std::as_bytes(bytes.first(index.size() - 8)));
    std::memcpy(index.data() + index.size() - 8, &sum, 8);
    fs.Put("s/manifest.json", text);
    fs.Put("s/index.bin", index);
    const auto sidecar = io::Sidecar::Open(fs, kOut);
    if (!sidecar) return sidecar.error().message;
    const Status fits = residency::CheckSidecar(*sidecar, source->config, *fingerprint, "models/m");
    return fits.ok() ? "" : fits.error().message;
  };
  EXPECT_EQ(check("\"tool\"", "\"tool\""), "");
  const std::pair<std::string, std::string> cases[] = {
      {"\"t16-v1\"", "\"t8-v9\""},
      {"\"qwen3_moe\"", "\"qwen3_5_moe\""},
      {"\"hidden_size\": 64", "\"hidden_size\": 128"},
      {"\"intermediate_size\": 64", "\"intermediate_size\": 32"},
      {*fingerprint, std::string(32, '0')},
  };
  std::set<std::string> messages;
  for (const auto& [from, to] : cases) {
    const std::string message = check(from, to);
    EXPECT_THAT(message, HasSubstr("'s/manifest.json': "));
    EXPECT_THAT(message, HasSubstr("'mach export-sidecar models/m --output s'"));
    messages.insert(message);
  }
  EXPECT_EQ(messages.size(), std::size(cases));
  EXPECT_THAT(check("\"hidden_size\": 64", "\"hidden_size\": 128"),
              HasSubstr("hidden_size is 128, the checkpoint has 64"));
}

}  // namespace
}  // namespace mach::model
