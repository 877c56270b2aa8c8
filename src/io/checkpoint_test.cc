#include "io/checkpoint.h"

#include <chrono>
#include <iostream>

#include <gtest/gtest.h>

#include "io/testing/fault_file_system.h"
#include "io/testing/memory_file_system.h"
#include "io/testing/test_checkpoint.h"

namespace mach::io {
namespace {

using tensor::DType;

class CheckpointTest : public testing::Test {
 protected:
  CheckpointTest() { fs_.Put("m/config.json", R"({"model_type":"x"})"); }

  void PutShards() {
    fs_.Put("m/a.safetensors", TestTensors().Count("one", DType::kF32, {2}).Bytes());
    fs_.Put("m/b.safetensors",
            TestTensors().Count("two", DType::kU8, {3}).Count("unlisted", DType::kU8, {1}).Bytes());
    PutIndex(R"({"weight_map":{"two":"b.safetensors","one":"a.safetensors"}})");
  }
  void PutIndex(const std::string& text) { fs_.Put("m/model.safetensors.index.json", text); }

  std::string OpenError() {
    const auto opened = Checkpoint::Open(fs_, "m");
    return opened.ok() ? "opened" : opened.error().message;
  }

  MemoryFileSystem fs_;
};

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST_F(CheckpointTest, ShardsComeTogether) {
  PutShards();
  fs_.Put("m/generation_config.json", R"({"eos_token_id":[1,2]})");
  fs_.Put("m/unrelated.safetensors", "not even a header");
  const auto opened = Checkpoint::Open(fs_, "m");
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  const Checkpoint& checkpoint = **opened;
  EXPECT_EQ(checkpoint.files(), 2u);
  EXPECT_EQ(checkpoint.tensors().size(), 3u);
  EXPECT_EQ(checkpoint.tensor_bytes(), 12u);
  EXPECT_EQ(checkpoint.config().Find("model_type")->AsString(), "x");
  EXPECT_EQ(checkpoint.generation_config().Find("eos_token_id")->AsArray().size(), 2u);
  EXPECT_EQ(checkpoint.Find("three"), nullptr);
  const CheckpointTensor* two = checkpoint.Find("two");
  ASSERT_NE(two, nullptr);
  EXPECT_EQ(checkpoint.file(two->data.file).path(), "m/b.safetensors");
  std::vector<std::byte> data(3);
  ASSERT_TRUE(checkpoint.Read(two->data, data).ok());
  EXPECT_EQ(data, (std::vector<std::byte>{std::byte{0}, std::byte{1}, std::byte{2}}));
}

TEST_F(CheckpointTest, OneFileNeedsNoIndex) {
  fs_.Put("m/weights.safetensors", TestTensors().Count("t", DType::kF32, {2}).Bytes());
  EXPECT_EQ(OpenError(), "opened");
  EXPECT_TRUE((*Checkpoint::Open(fs_, "m"))->generation_config().AsObject().empty());
  fs_.Put("m/more.safetensors", TestTensors().Count("t", DType::kF32, {2}).Bytes());
  EXPECT_HAS(OpenError(),
             "'m' has 2 *.safetensors files ('more.safetensors', "
             "'weights.safetensors', ...) but no model.safetensors.index.json");
  fs_.Put("m/model.safetensors", TestTensors().Count("t", DType::kF32, {2}).Bytes());
  EXPECT_EQ(OpenError(), "opened");
}

TEST_F(CheckpointTest, MissingAndMalformedFilesAreNamed) {
  EXPECT_HAS(OpenError(), "'m' has no *.safetensors file");
  PutShards();
  fs_.Put("m/generation_config.json", "[1]");
  EXPECT_EQ(OpenError(), "'m/generation_config.json' holds array, expected a JSON object");
  fs_.Erase("m/generation_config.json");
  fs_.Put("m/config.json", "{");
  EXPECT_HAS(OpenError(), "'m/config.json': invalid JSON");
  fs_.Erase("m/config.json");
  EXPECT_HAS(OpenError(), "'m' has *.safetensors files but no config.json");
}

TEST_F(CheckpointTest, IndexesAreNotTrusted) {
  PutShards();
  for (const char* bad : {R"({})", R"({"weight_map":[]})", R"({"weight_map":{}})"}) {
    PutIndex(bad);
    EXPECT_HAS(OpenError(), "'m/model.safetensors.index.json': 'weight_map' is not an object");
  }
  PutIndex(R"({"weight_map":{"one":1}})");
  EXPECT_HAS(OpenError(), "'weight_map' gives integer for 'one', expected a file name");
  for (const char* bad :
       {"../a.safetensors", "/etc/a.safetensors", "..", "", ".", "a.bin", "sub/a.safetensors",
        "a\\\\b.safetensors", "a\\u0000.safetensors", "a..safetensors", ".safetensors/"}) {
    PutIndex(R"({"weight_map":{"one":")" + std::string(bad) + R"("}})");
    EXPECT_HAS(OpenError(), "for 'one', expected the name of a .safetensors file");
  }
  PutIndex(R"({"weight_map":{"one":"c.safetensors"}})");
  EXPECT_HAS(OpenError(), "cannot open 'm/c.safetensors': ");
  EXPECT_HAS(OpenError(), ", which model.safetensors.index.json names; the download is incomplete");
  PutIndex(R"({"weight_map":{"one":"a.safetensors","two":"a.safetensors"}})");
  EXPECT_HAS(OpenError(), "says that 'a.safetensors' holds tensor 'two', but it does not");
  PutIndex(R"({"weight_map":{"one":"b.safetensors","two":"a.safetensors"}})");
  EXPECT_HAS(OpenError(), "but it does not");
  PutIndex(R"({"weight_map":{"one":"a.safetensors","one":"b.safetensors"}})");
  EXPECT_HAS(OpenError(), "the key 'one' is there twice");

  PutShards();
  fs_.Put("m/b.safetensors",
          TestTensors().Count("one", DType::kF32, {2}).Count("two", DType::kU8, {3}).Bytes());
  EXPECT_HAS(OpenError(), "tensor 'one' is in both 'm/a.safetensors' and 'm/b.safetensors'");
}

TEST_F(CheckpointTest, AnErrorNamesItsFileOnce) {
  PutShards();
  const std::string whole = fs_.Get("m/b.safetensors");
  for (const size_t bytes : {size_t{0}, size_t{4}, size_t{20}, whole.size() - 1}) {
    fs_.Put("m/b.safetensors", whole.substr(0, bytes));
    const std::string error = OpenError();
    EXPECT_EQ(error.find("'m/b.safetensors': "), 0u) << error;
    EXPECT_EQ(error.find("b.safetensors", 10), std::string::npos) << error;
  }
}

TEST_F(CheckpointTest, OtherFilesAreReadByBareName) {
  PutShards();
  fs_.Put("m/tokenizer.json", "{}");
  const auto opened = Checkpoint::Open(fs_, "m");
  ASSERT_TRUE(opened.ok());
  EXPECT_TRUE((*opened)->HasFile("tokenizer.json"));
  EXPECT_FALSE((*opened)->HasFile("../m/tokenizer.json"));
  EXPECT_EQ(*(*opened)->ReadText("tokenizer.json", 2), "{}");
  EXPECT_FALSE((*opened)->ReadText("tokenizer.json", 1).ok());
  EXPECT_EQ((*opened)->ReadText("vocab.json", 9).error().code, Code::kNotFound);
}

// Opens and reads every tensor; the number of bytes.
Result<uint64_t> ReadAll(FileSystem& fs) {
  MACH_TRY(const std::unique_ptr<Checkpoint> checkpoint, Checkpoint::Open(fs, "m"));
  uint64_t bytes = 0;
  for (const auto& [name, t] : checkpoint->tensors()) {
    std::vector<std::byte> data(t.data.bytes);
    MACH_RETURN_IF_ERROR(checkpoint->Read(t.data, data));
    bytes += data.size();
  }
  return bytes;
}

TEST_F(CheckpointTest, EveryFailingCallIsAnErrorAndNothingLeaks) {
  PutShards();
  fs_.Put("m/generation_config.json", "{}");
  FaultFileSystem whole(fs_, {});
  ASSERT_EQ(*ReadAll(whole), 12u);
  for (const bool persistent : {false, true}) {
    for (const bool opens : {false, true}) {
      for (const size_t max_read : {size_t{5}, SIZE_MAX}) {
        uint64_t n = 1;
        for (;; ++n) {
          FaultFileSystem fs(fs_, {.fail_open = opens ? n : 0,
                                   .fail_read = opens ? 0 : n,
                                   .persistent = persistent,
                                   .max_read = max_read});
          const auto read = ReadAll(fs);
          EXPECT_EQ(fs.open_files(), 0);
          if (read.ok()) {
            EXPECT_EQ(*read, 12u);
            EXPECT_LT(opens ? fs.opens() : fs.reads(), n);
            break;
          }
          EXPECT_EQ(read.error().code, Code::kIo);
          EXPECT_HAS(read.error().message, "injected");
          EXPECT_HAS(read.error().message, "'m/");
        }
        EXPECT_GE(n, opens ? whole.opens() : whole.reads());
      }
    }
  }
}

TEST_F(CheckpointTest, FilesThatShrinkAreAnErrorAtEveryByte) {
  PutShards();
  for (uint64_t end = 0; end < 200; ++end) {
    FaultFileSystem fs(fs_, {.end_at = end});
    const auto read = ReadAll(fs);
    if (read.ok()) continue;  // past the end of every file
    EXPECT_EQ(read.error().code, Code::kCorrupt);
    EXPECT_HAS(read.error().message, "ends at byte");
    EXPECT_EQ(fs.open_files(), 0);
  }
}

// The header of a large model: 60,000 tensors. How fast it opens is printed, not asserted.
TEST_F(CheckpointTest, SixtyThousandTensorsOpen) {
  TestTensors tensors;
  std::string map;
  for (int layer = 0; layer < 60; ++layer) {
    for (int i = 0; i < 1000; ++i) {
      const std::string name = "model.language_model.layers." + std::to_string(layer) +
                               ".mlp.experts." + std::to_string(i) + ".gate_proj.weight";
      tensors.Count(name, DType::kU8, {2});
      map += (map.empty() ? "\"" : ",\"") + name + "\":\"a.safetensors\"";
    }
  }
  fs_.Put("m/a.safetensors", tensors.Bytes());
  PutIndex("{\"weight_map\":{" + map + "}}");
  const auto start = std::chrono::steady_clock::now();
  const auto opened = Checkpoint::Open(fs_, "m");
  const auto stop = std::chrono::steady_clock::now();
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  EXPECT_EQ((*opened)->tensors().size(), 60000u);
  RecordProperty("open_ms", static_cast<int>((stop - start) / std::chrono::milliseconds(1)));
  std::cout << "opened 60,000 tensors in " << (stop - start) / std::chrono::milliseconds(1)
            << " ms\n";
}

}  // namespace
}  // namespace mach::io
