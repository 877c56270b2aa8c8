#include "io/xxh3.h"

#include <vector>

#include <gtest/gtest.h>
#include <xxhash.h>

namespace mach::io {
namespace {

TEST(Xxh3, IsThatOfTheLibraryAtEverySize) {
  std::vector<std::byte> data(5000);
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i * i >> 3);
  for (size_t n = 0; n <= data.size(); n += n < 300 ? 1 : 97) {
    ASSERT_EQ(Xxh3(std::span(data).first(n)), XXH3_64bits(data.data(), n)) << n << " bytes";
  }
}

}  // namespace
}  // namespace mach::io
