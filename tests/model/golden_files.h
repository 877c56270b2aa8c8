// Reads what tests/goldens holds.
#pragma once

#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "io/file.h"
#include "io/safetensors.h"
#include "json/parse.h"

namespace mach::test {

inline std::string SourcePath(const std::string& path) {
  return std::string(MACH_SOURCE_DIR) + "/" + path;
}

// A safetensors file of reference outputs.
class GoldenFile {
 public:
  explicit GoldenFile(const std::string& path) {
    auto file = io::PosixFileSystem().Open(SourcePath(path));
    EXPECT_TRUE(file.ok()) << file.error().message;
    file_ = *std::move(file);
    auto header = io::ReadSafetensorsHeader(*file_);
    EXPECT_TRUE(header.ok()) << header.error().message;
    header_ = *std::move(header);
  }

  bool Has(const std::string& name) const { return Find(name) != nullptr; }
  std::vector<float> Floats(const std::string& name) const {
    return Read<float>(name, tensor::DType::kF32);
  }
  std::vector<int32_t> Ints(const std::string& name) const {
    return Read<int32_t>(name, tensor::DType::kI32);
  }

 private:
  const io::TensorEntry* Find(const std::string& name) const {
    for (const auto& t : header_.tensors) {
      if (t.name == name) return &t;
    }
    return nullptr;
  }
  template <class T>
  std::vector<T> Read(const std::string& name, tensor::DType dtype) const {
    const io::TensorEntry* t = Find(name);
    EXPECT_NE(t, nullptr) << name;
    EXPECT_EQ(t->dtype, dtype) << name;
    std::vector<T> values(t->bytes / sizeof(T));
    EXPECT_TRUE(io::ReadExactly(*file_, t->offset, std::as_writable_bytes(std::span(values))).ok());
    return values;
  }
  std::unique_ptr<io::File> file_;
  io::SafetensorsHeader header_;
};

inline std::string ReadText(const std::string& path) {
  auto text = io::ReadSmallFile(io::PosixFileSystem(), SourcePath(path), size_t{64} << 20);
  EXPECT_TRUE(text.ok()) << text.error().message;
  return *std::move(text);
}

inline json::Value GoldenJson(const std::string& path) {
  auto value = json::ParseLarge(ReadText(path));
  EXPECT_TRUE(value.ok()) << value.error().message;
  return *std::move(value);
}

inline std::vector<int32_t> TokenIds(const json::Value& array) {
  std::vector<int32_t> ids;
  for (const json::Value& v : array.AsArray()) ids.push_back(static_cast<int32_t>(v.AsInt()));
  return ids;
}

}  // namespace mach::test
