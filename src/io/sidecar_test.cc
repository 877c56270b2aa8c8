#include "io/sidecar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/sidecar_verify.h"
#include "io/sidecar_writer.h"
#include "io/testing/memory_output_directory.h"
#include "io/xxh3.h"
#include "json/parse.h"

namespace mach::io {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kLayers = 3;  // the middle one without experts
constexpr uint64_t kExperts = 4;
constexpr uint64_t kRecord = 5000;

SidecarManifest Manifest() {
  SidecarManifest m;
  m.architecture = "qwen3_moe";
  m.layers = kLayers;
  m.experts = kExperts;
  m.hidden = 64;
  m.width = 32;
  m.weights = {SidecarMatrix{tensor::DType::kBF16, 4, 64},
               {tensor::DType::kBF16, 4, 64},
               {tensor::DType::kF16, 0, 0}};
  m.tile_layout = "t16-v1";
  m.record_bytes = kRecord;
  m.record_stride = 8192;
  m.fingerprint = "0123456789abcdef0123456789abcdef";
  m.tool = "mach test";
  return m;
}

std::vector<std::byte> RecordOf(uint64_t layer, uint64_t expert) {
  std::vector<std::byte> record(kRecord);
  for (size_t i = 0; i < record.size(); ++i) {
    record[i] = static_cast<std::byte>(i * 7 + layer * 31 + expert * 13);
  }
  return record;
}

// Finishes what is not finished; the number of layers that were written.
Result<int> Write(MemoryFileSystem& fs, OutputDirectory& directory,
                  const SidecarManifest& manifest = Manifest()) {
  MACH_TRY(const auto writer, SidecarWriter::Open(fs, directory, manifest));
  int written = 0;
  for (const uint64_t layer : {0, 2}) {
    if (writer->IsFinished(layer)) continue;
    ++written;
    MACH_RETURN_IF_ERROR(writer->BeginLayer(layer));
    for (uint64_t e = 0; e < kExperts; ++e) {
      MACH_RETURN_IF_ERROR(writer->Append(RecordOf(layer, e)));
    }
    MACH_RETURN_IF_ERROR(writer->EndLayer());
  }
  MACH_RETURN_IF_ERROR(writer->Publish());
  return written;
}

void ExpectWhole(MemoryFileSystem& fs) {
  const auto sidecar = Sidecar::Open(fs, "s");
  ASSERT_TRUE(sidecar.ok()) << sidecar.error().message;
  EXPECT_EQ(sidecar->manifest().fingerprint, Manifest().fingerprint);
  EXPECT_EQ(sidecar->manifest().weights, Manifest().weights);
  EXPECT_EQ(sidecar->LayerBytes(0), 4 * 8192u);
  EXPECT_EQ(sidecar->LayerBytes(1), 0u);
  for (const uint32_t layer : {0u, 2u}) {
    for (uint32_t e = 0; e < kExperts; ++e) {
      const SidecarRecord r = sidecar->Record(LayerId(layer), ExpertId(e));
      const std::string& file = fs.Get(sidecar->LayerPath(layer));
      const auto expected = RecordOf(layer, e);
      EXPECT_EQ(std::memcmp(file.data() + r.offset, expected.data(), r.bytes), 0);
    }
  }
  const auto damaged = VerifyRecords(fs, *sidecar, nullptr);
  ASSERT_TRUE(damaged.ok());
  EXPECT_TRUE(damaged->empty());
  // Nothing but the format's own files is left.
  EXPECT_THAT(*fs.List("s"), ::testing::ElementsAre("index.bin", "layer-000.bin", "layer-002.bin",
                                                    "manifest.json"));
}

TEST(Sidecar, ReadsBackWhatWasWritten) {
  MemoryFileSystem fs;
  MemoryOutputDirectory directory(fs, "s", {});
  EXPECT_EQ(*Write(fs, directory), 2);
  ExpectWhole(fs);
}

TEST(Sidecar, EveryFaultIsAnErrorAndTheNextAttemptGoesOn) {
  for (const bool persistent : {false, true}) {
    for (uint64_t n = 1;; ++n) {
      MemoryFileSystem fs;
      fs.Put("s/manifest.json", "older");
      MemoryOutputDirectory faulty(fs, "s", {.fail_at = n, .persistent = persistent});
      const auto first = Write(fs, faulty);
      if (first) {
        EXPECT_LT(faulty.operations(), n);
        ExpectWhole(fs);
        break;
      }
      EXPECT_THAT(first.error().message, HasSubstr("injected"));
      // What was there is untouched until the new one is whole.
      EXPECT_EQ(fs.Get("s/manifest.json"), "older") << n;
      MemoryOutputDirectory sound(fs, "s", {});
      const auto second = Write(fs, sound);
      ASSERT_TRUE(second.ok()) << n << ": " << second.error().message;
      ExpectWhole(fs);
    }
  }
}

// What an interrupted attempt leaves: layer 0 finished.
void WriteHalf(MemoryFileSystem& fs) {
  MemoryOutputDirectory directory(fs, "s", {});
  auto writer = SidecarWriter::Open(fs, directory, Manifest());
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE((*writer)->BeginLayer(0).ok());
  for (uint64_t e = 0; e < kExperts; ++e) ASSERT_TRUE((*writer)->Append(RecordOf(0, e)).ok());
  ASSERT_TRUE((*writer)->EndLayer().ok());
}

TEST(Sidecar, TakesUpFinishedLayersOfTheSameExportOnly) {
  {
    MemoryFileSystem fs;
    WriteHalf(fs);
    MemoryOutputDirectory directory(fs, "s", {});
    EXPECT_EQ(*Write(fs, directory), 1);
    ExpectWhole(fs);
  }
  for (const char* file : {"s.partial/layer-000.bin", "s.partial/layer-000.part"}) {
    MemoryFileSystem fs;
    WriteHalf(fs);
    std::string content = fs.Get(file);
    content[40] = static_cast<char>(content[40] ^ 1);
    fs.Put(file, content);
    MemoryOutputDirectory directory(fs, "s", {});
    EXPECT_EQ(*Write(fs, directory), 2) << file;
    ExpectWhole(fs);
  }
  MemoryFileSystem fs;
  WriteHalf(fs);
  SidecarManifest other = Manifest();
  other.fingerprint = std::string(32, 'f');
  MemoryOutputDirectory directory(fs, "s", {});
  EXPECT_EQ(*Write(fs, directory, other), 2);
}

TEST(Sidecar, RefusesADamagedIndexAtEveryByte) {
  MemoryFileSystem fs;
  MemoryOutputDirectory directory(fs, "s", {});
  ASSERT_TRUE(Write(fs, directory).ok());
  const std::string good = fs.Get("s/index.bin");
  const uint64_t hash = Xxh3(fs.Get("s/manifest.json"));
  ASSERT_TRUE(DecodeSidecarIndex(std::as_bytes(std::span(good)), Manifest(), hash).ok());
  EXPECT_THAT(
      DecodeSidecarIndex(std::as_bytes(std::span(good)), Manifest(), hash + 1).error().message,
      HasSubstr("manifest.json"));
  for (size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x40);
    EXPECT_FALSE(DecodeSidecarIndex(std::as_bytes(std::span(bad)), Manifest(), hash).ok()) << at;
    EXPECT_FALSE(
        DecodeSidecarIndex(std::as_bytes(std::span(good).first(at)), Manifest(), hash).ok());
  }
}

TEST(Sidecar, RefusesRecordsThatOverlapOrLieAnywhere) {
  const auto decode = [](std::vector<SidecarRecord> records) -> std::string {
    records.resize(kLayers * kExperts);
    const std::string index = EncodeSidecarIndex(kLayers, kExperts, 5, records);
    const auto decoded = DecodeSidecarIndex(std::as_bytes(std::span(index)), Manifest(), 5);
    return decoded ? "" : decoded.error().message;
  };
  EXPECT_EQ(decode({{0, kRecord, 1}, {8192, kRecord, 1}}), "");
  EXPECT_THAT(decode({{0, kRecord, 1}, {4096, kRecord, 1}}), HasSubstr("at least 8192"));
  EXPECT_THAT(decode({{1, kRecord, 1}}), HasSubstr("layer 0 expert 0: offset 1"));
  EXPECT_THAT(decode({{0, 1, 1}}), HasSubstr("1 byte, expected 4.9 KiB"));
  EXPECT_THAT(decode({{~uint64_t{4095}, kRecord, 1}}), HasSubstr("offset"));
}

TEST(Sidecar, RefusesBadManifests) {
  const auto parse = [](std::string_view key, json::Value value) -> std::string {
    json::Object object = Manifest().ToJson();
    object.Set(key, std::move(value));
    const auto parsed = SidecarManifest::FromJson(json::Value(std::move(object)));
    return parsed ? "" : parsed.error().message;
  };
  EXPECT_EQ(parse("unknown", 1), "");
  EXPECT_THAT(parse("format", "mach-expert-sidecar-v2"), HasSubstr("'mach-expert-sidecar-v2'"));
  for (const char* key :
       {"layers", "experts", "hidden_size", "intermediate_size", "record_bytes", "record_stride"}) {
    for (const json::Value& bad : {json::Value(-1), json::Value(0), json::Value("4"),
                                   json::Value(int64_t{1} << 60), json::Value(1.5)}) {
      EXPECT_THAT(parse(key, bad), HasSubstr(key));
    }
  }
  for (const char* key : {"architecture", "tile_layout", "source_fingerprint", "tool", "weights"}) {
    EXPECT_THAT(parse(key, 7), HasSubstr(key));
  }
  EXPECT_THAT(parse("record_stride", 8193), HasSubstr("multiple of 4096"));
  EXPECT_THAT(parse("record_stride", 4096), HasSubstr("holds 5000"));
  EXPECT_THAT(parse("experts", 65536), ::testing::IsEmpty());
}

TEST(Sidecar, TellsWhatIsMissing) {
  MemoryFileSystem fs;
  EXPECT_EQ(Sidecar::Open(fs, "s").error().code, Code::kNotFound);
  MemoryOutputDirectory directory(fs, "s", {});
  ASSERT_TRUE(Write(fs, directory).ok());
  const std::string layer = fs.Get("s/layer-002.bin");
  fs.Put("s/layer-002.bin", layer.substr(0, layer.size() - 1));
  EXPECT_THAT(Sidecar::Open(fs, "s").error().message,
              HasSubstr("'s/layer-002.bin' has 32.0 KiB, expected 32.0 KiB (1 byte less)"));
  fs.Erase("s/layer-002.bin");
  EXPECT_THAT(Sidecar::Open(fs, "s").error().message, HasSubstr("s/layer-002.bin"));
}

TEST(Sidecar, VerifyFindsEveryDamagedRecord) {
  MemoryFileSystem fs;
  MemoryOutputDirectory directory(fs, "s", {});
  ASSERT_TRUE(Write(fs, directory).ok());
  std::string layer = fs.Get("s/layer-002.bin");
  layer[8192 + 4999] ^= 1;      // the last byte of a record
  layer[8192 * 2 + 5000] ^= 1;  // padding, which belongs to none
  layer[8192 * 3] ^= 1;
  fs.Put("s/layer-002.bin", layer);
  const auto sidecar = Sidecar::Open(fs, "s");
  ASSERT_TRUE(sidecar.ok());
  const auto damaged = VerifyRecords(fs, *sidecar, nullptr);
  ASSERT_TRUE(damaged.ok());
  ASSERT_EQ(damaged->size(), 2u);
  EXPECT_EQ((*damaged)[0].expert, 1u);
  EXPECT_EQ((*damaged)[1].expert, 3u);
  EXPECT_THAT((*damaged)[0].reason, HasSubstr("layer-002.bin"));
  EXPECT_EQ(VerifyRecords(fs, *sidecar, [](uint64_t, uint64_t) { return false; }).error().code,
            Code::kCancelled);
}

}  // namespace
}  // namespace mach::io
