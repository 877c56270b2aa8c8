#include "io/safetensors.h"

#include <gtest/gtest.h>

#include "io/testing/memory_file_system.h"
#include "io/testing/test_checkpoint.h"

namespace mach::io {
namespace {

using tensor::DType;

Result<SafetensorsHeader> Parse(const std::string& bytes) {
  MemoryFileSystem fs;
  fs.Put("m.safetensors", bytes);
  const auto file = *fs.Open("m.safetensors");
  return ReadSafetensorsHeader(*file);
}

std::string Length(uint64_t n) {
  std::string prefix(8, '\0');
  for (size_t i = 0; i < 8; ++i) prefix[i] = static_cast<char>(n >> (8 * i) & 0xFF);
  return prefix;
}
std::string WithHeader(const std::string& json, size_t data_bytes) {
  return Length(json.size()) + json + std::string(data_bytes, 'x');
}

TEST(Safetensors, ReadsEveryDtypeInFileOrder) {
  TestTensors tensors;
  uint64_t expected = 0;
  for (int i = 0; i <= static_cast<int>(DType::kF8E5M2); ++i) {
    const auto dtype = static_cast<DType>(i);
    tensors.Count("t" + std::to_string(100 - i), dtype, {3, 2});
  }
  tensors.Count("scalar", DType::kF32, {});
  tensors.Count("empty", DType::kF32, {7, 0});
  const auto header = Parse(tensors.Bytes());
  ASSERT_TRUE(header.ok()) << header.error().message;
  ASSERT_EQ(header->tensors.size(), tensors.specs().size());
  expected = header->tensors[0].offset;
  for (size_t i = 0; i < header->tensors.size(); ++i) {
    const TensorEntry& t = header->tensors[i];
    EXPECT_EQ(t.offset, expected);
    expected += t.bytes;
    if (t.name == "empty") continue;  // has the place of its neighbour
    const TensorSpec& spec = tensors.spec(t.name);
    EXPECT_EQ(t.dtype, spec.dtype) << t.name;
    EXPECT_EQ(t.shape, spec.shape) << t.name;
    EXPECT_EQ(t.bytes, *DenseBytes(spec.shape, spec.dtype)) << t.name;
  }
  EXPECT_EQ(expected, tensors.Bytes().size());
}

TEST(Safetensors, TruncationAtEveryByteIsAnError) {
  TestTensors tensors;
  tensors.Count("a", DType::kBF16, {3, 2}).Count("b", DType::kF32, {5});
  const std::string whole = tensors.Bytes();
  ASSERT_TRUE(Parse(whole).ok());
  for (size_t n = 0; n < whole.size(); ++n) {
    const auto header = Parse(whole.substr(0, n));
    ASSERT_FALSE(header.ok()) << n << " of " << whole.size() << " bytes";
    EXPECT_EQ(header.error().code, Code::kCorrupt);
    EXPECT_EQ(header.error().message.find("'m.safetensors': "), 0u) << header.error().message;
  }
  EXPECT_FALSE(Parse(whole + "x").ok());
}

TEST(Safetensors, AnyChangedByteIsRefusedOrHarmless) {
  TestTensors tensors;
  tensors.Count("a", DType::kBF16, {3, 2}).Count("b", DType::kF32, {5});
  const std::string whole = tensors.Bytes();
  int refused = 0;
  for (size_t at = 0; at < whole.size(); ++at) {
    for (int value = 0; value < 256; ++value) {
      std::string bytes = whole;
      bytes[at] = static_cast<char>(value);
      const auto header = Parse(bytes);
      if (!header) {
        ++refused;
        EXPECT_FALSE(header.error().message.empty());
        continue;
      }
      for (const TensorEntry& t : header->tensors) {
        ASSERT_LE(t.offset + t.bytes, bytes.size());
        ASSERT_EQ(*DenseBytes(t.shape, t.dtype), t.bytes);
      }
    }
  }
  EXPECT_GT(refused, 20000);
}

struct BadHeader {
  const char* json;
  const char* message;
};

TEST(Safetensors, EveryFieldIsChecked) {
  // Each has 8 bytes of data.
  const BadHeader cases[] = {
      {R"([])", "the header is array, expected an object"},
      {R"({"t":[]})", "tensor 't': is array, expected an object"},
      {R"({"":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", "a name of 0 bytes"},
      {R"({"t":{"shape":[2],"data_offsets":[0,8]}})", "'dtype' is missing, expected a string"},
      {R"({"t":{"dtype":1,"shape":[2],"data_offsets":[0,8]}})", "'dtype' is integer"},
      {R"({"t":{"dtype":"F4","shape":[2],"data_offsets":[0,8]}})",
       "'dtype' is 'F4', which Mach does not read"},
      {R"({"t":{"dtype":"F32","data_offsets":[0,8]}})", "'shape' is missing, expected an array"},
      {R"({"t":{"dtype":"F32","shape":2,"data_offsets":[0,8]}})", "'shape' is integer"},
      {R"({"t":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", "'shape' holds"},
      {R"({"t":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})", "'shape' holds"},
      {R"({"t":{"dtype":"F32","shape":["2"],"data_offsets":[0,8]}})", "'shape' holds"},
      {R"({"t":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,8]}})",
       "'shape' holds"},
      {R"({"t":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,8],"data_offsets":[0,8]}})",
       "'shape' has 9 dimensions, expected at most 8"},
      {R"({"t":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}})",
       "more elements than 64 bits can count"},
      {R"({"t":{"dtype":"F32","shape":[4611686018427387906],"data_offsets":[0,8]}})",
       "more elements than 64 bits can count"},
      {R"({"t":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})",
       "spans 8 bytes, expected 12 bytes (4 bytes less) for 'shape' [3] of F32"},
      {R"({"t":{"dtype":"F32","shape":[2]}})", "'data_offsets' is not an array of two integers"},
      {R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[8]}})", "'data_offsets' is not an array"},
      {R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}})",
       "'data_offsets' is not an array"},
      {R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}})", "'data_offsets' holds"},
      {R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8.0]}})", "'data_offsets' holds"},
      {R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})",
       "'data_offsets' [8, 0] ends before it begins"},
      {R"({"t":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})",
       "'data_offsets' [0, 16] passes the end of the data at 8: the file is truncated"},
      {R"({"t":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
       "begin at 4, expected 0: the bytes between belong to no tensor"},
      {R"({"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
       "the data has 8 bytes, expected 4 bytes (4 bytes more) for its tensors"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
       R"("b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
       "tensor 'b': 'data_offsets' begin at 4, expected 8: it overlaps 'a'"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
       R"("a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
       "the key 'a' is there twice"},
      {R"({"t":{"dtype":"F32","dtype":"I32","shape":[2],"data_offsets":[0,8]}})",
       "the key 'dtype' is there twice"},
      {R"({"__metadata__":[],"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
       "'__metadata__' is array, expected an object"},
      {R"({"__metadata__":{"k":1},"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
       "'__metadata__' entry 'k' is integer, expected a string"},
      {R"({"t":{"dtype":"F32","shape":[[[[[[[[[2]]]]]]]]],"data_offsets":[0,8]}})",
       "nested deeper than 8 levels"},
      {R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]})", "invalid JSON"},
      {"", "invalid JSON"},
      {R"({})", "the data has 8 bytes, expected 0 bytes (8 bytes more) for its tensors"},
  };
  for (const BadHeader& bad : cases) {
    const auto header = Parse(WithHeader(bad.json, 8));
    ASSERT_FALSE(header.ok()) << bad.json;
    EXPECT_NE(header.error().message.find(bad.message), std::string::npos)
        << bad.json << " -> " << header.error().message;
    EXPECT_EQ(header.error().message.find("'m.safetensors': "), 0u) << header.error().message;
  }
  EXPECT_EQ(Parse(WithHeader(cases[5].json, 8)).error().code, Code::kUnsupported);
  EXPECT_TRUE(
      Parse(WithHeader(R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}   )", 8)).ok());
  EXPECT_TRUE(Parse(WithHeader("{}", 0)).ok());
}

TEST(Safetensors, HeaderLengthsBeyondTheFileAreRefusedBeforeReading) {
  for (const uint64_t length : {uint64_t{43}, uint64_t{100} << 20, uint64_t{1} << 40,
                                uint64_t{INT64_MAX}, UINT64_MAX, UINT64_MAX - 7}) {
    const auto header = Parse(Length(length) + std::string(42, ' '));
    ASSERT_FALSE(header.ok());
    EXPECT_NE(header.error().message.find("the header is longer than the 42 bytes that follow"),
              std::string::npos)
        << header.error().message;
  }
}

// A file of any size whose header claims all of it; reading more than the length is a failure.
class HugeFile final : public File {
 public:
  explicit HugeFile(uint64_t length) : length_(length) {}
  const std::string& path() const override { return path_; }
  uint64_t size() const override { return length_ + 8; }
  Result<size_t> ReadSome(uint64_t offset, std::span<std::byte> out) override {
    if (offset + out.size() > 8) return Error{Code::kIo, "read beyond the length"};
    for (size_t i = 0; i < out.size(); ++i) {
      out[i] = static_cast<std::byte>(length_ >> (8 * (offset + i)) & 0xFF);
    }
    return out.size();
  }

 private:
  const std::string path_ = "huge";
  const uint64_t length_;
};

TEST(Safetensors, HeadersBeyondTheCeilingAreRefusedBeforeReading) {
  HugeFile file(kMaxSafetensorsHeaderBytes + 1);
  const auto header = ReadSafetensorsHeader(file);
  ASSERT_FALSE(header.ok());
  EXPECT_NE(header.error().message.find(
                "the header has 100.0 MiB, expected 100.0 MiB (1 byte more) at most"),
            std::string::npos)
      << header.error().message;
}

}  // namespace
}  // namespace mach::io
