// Layer files of a checkpoint's routed experts, as a sidecar would hold them.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>
#include <xxhash.h>

#include "experts/catalog.h"
#include "io/checkpoint.h"
#include "io/tensor_source.h"
#include "model/arch_registry.h"
#include "model/weights.h"

namespace mach::test {

// Written at construction, removed at the end.
class ExpertFiles {
 public:
  ExpertFiles(const std::string& checkpoint_dir, const std::string& name)
      : dir_(std::string(MACH_BINARY_DIR) + "/test_" + name) {
    std::filesystem::remove_all(dir_);
    std::filesystem::create_directories(dir_);
    auto checkpoint = io::Checkpoint::Open(io::PosixFileSystem(), checkpoint_dir);
    EXPECT_TRUE(checkpoint.ok());
    auto config = model::ParseConfig((*checkpoint)->config());
    auto source = io::TensorSource::Create(**checkpoint);
    EXPECT_TRUE(config.ok() && source.ok());
    auto layout = model::FindExpertLayout(*config, *source);
    EXPECT_TRUE(layout.ok());
    MemoryLedger ledger(size_t{1} << 30);
    auto store = model::LoadExperts(*config, *source, *layout, ledger, {});
    EXPECT_TRUE(store.ok());

    catalog_.slot_bytes = layout->record_bytes();
    catalog_.layers = config->layers.size();
    for (const auto& layer : config->layers) {
      if (const auto* moe = std::get_if<ops::MoeShape>(&layer.ffn)) {
        catalog_.experts = std::max(catalog_.experts, moe->experts);
      }
    }
    catalog_.records.resize(catalog_.keys());
    for (uint32_t layer = 0; layer < catalog_.layers; ++layer) {
      const auto* moe = std::get_if<ops::MoeShape>(&config->layers[layer].ffn);
      if (moe == nullptr) continue;
      catalog_.files.push_back(dir_ + "/layer-" + std::to_string(layer) + ".bin");
      std::ofstream out(catalog_.files.back(), std::ios::binary);
      for (uint32_t e = 0; e < moe->experts; ++e) {
        const auto record = (*store)->Record(LayerId(layer), ExpertId(e));
        catalog_.records[catalog_.Key(LayerId(layer), ExpertId(e))] = {
            .file = static_cast<uint32_t>(catalog_.files.size() - 1),
            .offset = e * record.size(),
            .bytes = record.size(),
            .xxh3 = XXH3_64bits(record.data(), record.size())};
        out.write(reinterpret_cast<const char*>(record.data()),
                  static_cast<std::streamsize>(record.size()));
      }
      EXPECT_TRUE(out.good());
    }
  }
  ~ExpertFiles() { std::filesystem::remove_all(dir_); }
  ExpertFiles(const ExpertFiles&) = delete;
  ExpertFiles& operator=(const ExpertFiles&) = delete;

  const experts::Catalog& catalog() const { return catalog_; }

 private:
  const std::string dir_;
  experts::Catalog catalog_;
};

}  // namespace mach::test
