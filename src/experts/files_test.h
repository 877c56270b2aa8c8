// Layer files of made-up experts, for tests.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <xxhash.h>

#include "base/aligned_memory.h"
#include "experts/catalog.h"

namespace mach::experts {

// Byte i of an expert's record.
inline std::byte TestByte(ExpertKey key, size_t i) {
  return static_cast<std::byte>((key * 31 + i * 2654435761u) >> 5);
}

// Experts of one page each, in a file that is not there.
inline Catalog PageCatalog(size_t layers, size_t experts) {
  Catalog c = {.slot_bytes = kPageBytes, .layers = layers, .experts = experts, .files = {"f"}};
  c.records.assign(c.keys(), {.bytes = kPageBytes});
  return c;
}

// A directory with one file a layer, removed at the end. Records are `bytes` long in strides of
// whole pages; layers in `dense` have none.
class TestFiles {
 public:
  TestFiles(size_t layers, size_t experts, size_t bytes, std::vector<size_t> dense = {})
      : dir_(std::string(MACH_BINARY_DIR) + "/test_experts_" + TestName()) {
    std::filesystem::remove_all(dir_);
    std::filesystem::create_directories(dir_);
    catalog_.slot_bytes = RoundUp(bytes, kPageBytes);
    catalog_.layers = layers;
    catalog_.experts = experts;
    catalog_.records.resize(catalog_.keys());
    std::vector<char> record(catalog_.slot_bytes);
    for (size_t layer = 0; layer < layers; ++layer) {
      if (std::find(dense.begin(), dense.end(), layer) != dense.end()) continue;
      catalog_.files.push_back(dir_ + "/layer-" + std::to_string(layer) + ".bin");
      std::ofstream out(catalog_.files.back(), std::ios::binary);
      for (size_t e = 0; e < experts; ++e) {
        const auto key = static_cast<ExpertKey>(layer * experts + e);
        for (size_t i = 0; i < bytes; ++i) record[i] = static_cast<char>(TestByte(key, i));
        catalog_.records[key] = {.file = static_cast<uint32_t>(catalog_.files.size() - 1),
                                 .offset = e * catalog_.slot_bytes,
                                 .bytes = bytes,
                                 .xxh3 = XXH3_64bits(record.data(), bytes)};
        out.write(record.data(), static_cast<std::streamsize>(record.size()));
      }
    }
  }
  ~TestFiles() { std::filesystem::remove_all(dir_); }
  TestFiles(const TestFiles&) = delete;
  TestFiles& operator=(const TestFiles&) = delete;

  const Catalog& catalog() const { return catalog_; }
  // Changes one byte of a record on disk.
  void Damage(LayerId layer, ExpertId expert) const {
    const ExpertRecord& r = catalog_.Record(layer, expert);
    std::fstream file(catalog_.files[r.file], std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(static_cast<std::streamoff>(r.offset));
    const int old = file.get();
    file.seekp(static_cast<std::streamoff>(r.offset));
    file.put(static_cast<char>(old ^ 0x40));
  }
  void Truncate(size_t file, size_t bytes) const {
    std::filesystem::resize_file(catalog_.files[file], bytes);
  }

 private:
  static std::string TestName() {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    std::string name = std::string(info->test_suite_name()) + "_" + info->name();
    std::replace(name.begin(), name.end(), '/', '_');
    return name;
  }
  const std::string dir_;
  Catalog catalog_;
};

}  // namespace mach::experts
