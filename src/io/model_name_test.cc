#include "io/model_name.h"

#include <filesystem>

#include <gtest/gtest.h>

namespace mach::io {
namespace {

TEST(ModelName, IsThatOfTheDirectory) {
  EXPECT_EQ(ModelName("models/mach-tiny"), "mach-tiny");
  EXPECT_EQ(ModelName("/models/mach-tiny//"), "mach-tiny");
  EXPECT_EQ(ModelName("/models/mach-tiny/."), "mach-tiny");
  EXPECT_EQ(ModelName("/models/other/../mach-tiny"), "mach-tiny");
  EXPECT_EQ(ModelName("/"), "model");
  const std::string here = std::filesystem::current_path().filename().string();
  EXPECT_EQ(ModelName("."), here);
  EXPECT_EQ(ModelName("./"), here);
}

TEST(ModelName, OfASnapshotIsTheRepositorys) {
  const std::string hub = "/home/u/.cache/huggingface/hub/";
  EXPECT_EQ(ModelName(hub + "models--Qwen--Qwen3-30B-A3B/snapshots/0123abc"), "Qwen3-30B-A3B");
  EXPECT_EQ(ModelName(hub + "models--gpt2/snapshots/0123abc/"), "gpt2");
  EXPECT_EQ(ModelName(hub + "models--/snapshots/0123abc"), "0123abc");
  EXPECT_EQ(ModelName(hub + "other/snapshots/0123abc"), "0123abc");
}

}  // namespace
}  // namespace mach::io
