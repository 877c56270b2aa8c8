#include "experts/prefill_forecast.h"

#include <gtest/gtest.h>

namespace mach::experts {
namespace {

// Four layers of ten experts; layers 0 and 2 have none.
Catalog MakeSparseCatalog() {
  Catalog catalog;
  catalog.layers = 4;
  catalog.experts = 10;
  catalog.records.resize(catalog.keys());
  for (const size_t layer : {1, 3}) {
    for (size_t e = 0; e < 10; ++e) catalog.records[layer * 10 + e].bytes = 1;
  }
  return catalog;
}

TEST(PrefillForecast, ALayerThatNeedsNearlyAllIsFollowedByTheNext) {
  PrefillForecast forecast(MakeSparseCatalog());
  EXPECT_EQ(forecast.OnPass(64), std::nullopt) << "nothing is known yet";
  EXPECT_EQ(forecast.OnDemand(1, 8), std::nullopt);
  EXPECT_EQ(forecast.OnDemand(1, 9), 3u);
  EXPECT_EQ(forecast.OnDemand(3, 10), std::nullopt) << "it is the last one";
}

TEST(PrefillForecast, APassBeginsWithTheFirstLayerWhereOneOfItsSizeNeededAll) {
  PrefillForecast forecast(MakeSparseCatalog());
  forecast.OnPass(64);
  forecast.OnDemand(1, 10);
  EXPECT_EQ(forecast.OnPass(63), std::nullopt) << "fewer rows may need less";
  EXPECT_EQ(forecast.OnPass(64), 1u);
  EXPECT_EQ(forecast.OnPass(100), 1u);
  forecast.OnDemand(1, 10);
  EXPECT_EQ(forecast.OnPass(64), 1u) << "the fewest rows count";
  // One that needs less is no example.
  forecast.OnPass(80);
  forecast.OnDemand(1, 5);
  EXPECT_EQ(forecast.OnPass(80), std::nullopt);
  EXPECT_EQ(forecast.OnPass(81), 1u);
}

}  // namespace
}  // namespace mach::experts
