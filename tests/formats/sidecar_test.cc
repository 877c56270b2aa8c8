// Sidecars of earlier versions stay readable: sidecar-v1 was written by `mach export-sidecar` from
// the checkpoint of SampleSpec, and must hold its experts for ever.
#include "io/sidecar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/sidecar_verify.h"
#include "io/testing/memory_output_directory.h"
#include "model/arch_registry.h"
#include "reference/random_matrix.h"
#include "reference/temporary_checkpoint.h"
#include "residency/sidecar.h"
#include "residency/sidecar_export.h"

namespace mach {
namespace {

using reference::CheckpointSpec;
using reference::RandomMatrix;

const std::string kSample = std::string(MACH_SOURCE_DIR) + "/tests/formats/sidecar-v1";

CheckpointSpec SampleSpec() {
  CheckpointSpec spec;
  spec.family = reference::Family::kQwen3_5Moe;
  spec.layout = reference::Layout::kMlxAffine;
  spec.prefix = reference::Prefix::kWrapper;
  spec.dtype = tensor::DType::kBF16;
  spec.seed = 11;
  spec.layers = 2;
  spec.experts = 3;
  spec.vocab = 32;
  spec.grid = {4, 32};
  spec.negative_scales = true;
  return spec;
}

TEST(SidecarV1, ManifestAndChecksumsHold) {
  io::FileSystem& fs = io::PosixFileSystem();
  const auto sidecar = io::Sidecar::Open(fs, kSample);
  ASSERT_TRUE(sidecar.ok()) << sidecar.error().message;
  const io::SidecarManifest& m = sidecar->manifest();
  EXPECT_EQ(m.architecture, "qwen3_5_moe");
  EXPECT_EQ(m.layers, 2u);
  EXPECT_EQ(m.experts, 3u);
  EXPECT_EQ(m.hidden, 64u);
  EXPECT_EQ(m.width, 32u);
  for (const io::SidecarMatrix& weights : m.weights) {
    EXPECT_EQ(weights, (io::SidecarMatrix{tensor::DType::kBF16, 4, 32}));
  }
  EXPECT_EQ(m.tile_layout, "t16-v1");
  EXPECT_EQ(m.record_bytes, 4096u);
  EXPECT_EQ(m.record_stride, 4096u);
  EXPECT_EQ(m.fingerprint.size(), 32u);
  EXPECT_THAT(*fs.List(kSample), ::testing::ElementsAre("index.bin", "layer-000.bin",
                                                        "layer-001.bin", "manifest.json"));
  const auto damaged = io::VerifyRecords(fs, *sidecar, nullptr);
  ASSERT_TRUE(damaged.ok());
  EXPECT_TRUE(damaged->empty());
}

// The numbers come from the generator of the checkpoint, not from any code that packs.
TEST(SidecarV1, RecordsHoldTheExpertsOfTheCheckpoint) {
  const CheckpointSpec spec = SampleSpec();
  const auto sidecar = io::Sidecar::Open(io::PosixFileSystem(), kSample);
  ASSERT_TRUE(sidecar.ok()) << sidecar.error().message;
  const auto layout = residency::LayoutOf(sidecar->manifest());
  ASSERT_TRUE(layout.ok());
  for (uint32_t layer = 0; layer < spec.layers; ++layer) {
    const auto file = io::PosixFileSystem().Open(sidecar->LayerPath(layer));
    ASSERT_TRUE(file.ok());
    for (uint32_t e = 0; e < spec.experts; ++e) {
      const io::SidecarRecord r = sidecar->Record(LayerId(layer), ExpertId(e));
      std::vector<std::byte> record(r.bytes);
      ASSERT_TRUE(io::ReadExactly(**file, r.offset, record).ok());
      const ops::SwiGlu view = layout->View(record);
      const std::string name =
          "layers." + std::to_string(layer) + ".mlp.experts." + std::to_string(e) + ".";
      for (const auto& [part, matrix] :
           {std::pair("gate_proj", &view.gate), {"up_proj", &view.up}, {"down_proj", &view.down}}) {
        const size_t rows = matrix->layout.rows;
        const size_t cols = matrix->layout.cols;
        const RandomMatrix expected =
            reference::DrawMatrix(spec.seed, name + part,
                                  {.rows = rows,
                                   .cols = cols,
                                   .grid = spec.grid,
                                   .deviation = 1 / std::sqrt(static_cast<double>(cols)),
                                   .negative_scales = true});
        std::vector<float> found(cols);
        for (size_t row = 0; row < rows; ++row) {
          quant::UnpackRow(*matrix, row, found);
          const std::vector<float> wanted(expected.values.begin() + long(row * cols),
                                          expected.values.begin() + long((row + 1) * cols));
          ASSERT_EQ(found, wanted) << name << part << " row " << row;
        }
      }
    }
  }
}

TEST(SidecarV1, AnExportOfTodayHasTheSameRecordsAndIndex) {
  const reference::TemporaryCheckpoint directory(SampleSpec());
  const auto checkpoint = io::Checkpoint::Open(io::PosixFileSystem(), directory.directory());
  ASSERT_TRUE(checkpoint.ok());
  const auto config = model::ParseConfig((*checkpoint)->config());
  const auto source = io::TensorSource::Create(**checkpoint);
  ASSERT_TRUE(config.ok() && source.ok());
  const auto layout = residency::ExportLayout(*config, *source, {});
  ASSERT_TRUE(layout.ok());
  io::MemoryFileSystem fs;
  io::MemoryOutputDirectory output(fs, "s", {});
  const auto writer =
      io::SidecarWriter::Open(fs, output, residency::MakeManifest(*config, *layout, "", "test"));
  ASSERT_TRUE(writer.ok());
  ThreadPool pool(1);
  const Status exported = residency::ExportSidecar(*config, *source, *layout, {}, pool, **writer);
  ASSERT_TRUE(exported.ok()) << exported.error().message;
  for (const char* name : {"index.bin", "layer-000.bin", "layer-001.bin"}) {
    const auto sample = io::ReadSmallFile(io::PosixFileSystem(), kSample + "/" + name, 1 << 20);
    ASSERT_TRUE(sample.ok());
    std::string today = fs.Get(std::string("s/") + name);
    std::string then = *sample;
    if (std::string_view(name) == "index.bin") {
      // The checksums of the manifests, which name other tools and fingerprints, and of the whole.
      for (std::string* index : {&today, &then}) index->erase(24, 8).resize(index->size() - 8);
    }
    EXPECT_TRUE(today == then) << name;
  }
}

}  // namespace
}  // namespace mach
