#include "experts/pass_rules.h"

#include <gtest/gtest.h>

#include "experts/files_test.h"

namespace mach::experts {
namespace {

constexpr size_t kDepth = 9;

TEST(PassRules, TheKindOfAPass) {
  const StreamingOptions transient = {.transient_prefill = true};
  const StreamingOptions through_bank = {.transient_prefill = false};
  const ExpertPass token = {.rows = 1};
  const ExpertPass draft = {.rows = 16, .draft = true};
  const ExpertPass chunk = {.rows = kTransientRows};
  EXPECT_EQ(KindOf(token, transient, false), PassKind::kDecode);
  EXPECT_EQ(KindOf({.rows = kTransientRows - 1}, transient, false), PassKind::kDecode);
  EXPECT_EQ(KindOf(draft, transient, false), PassKind::kDraft);
  EXPECT_EQ(KindOf(chunk, transient, false), PassKind::kPrefill);
  EXPECT_EQ(KindOf({.rows = kTransientRows, .draft = true}, transient, false), PassKind::kPrefill);
  EXPECT_EQ(KindOf(chunk, through_bank, false), PassKind::kDecode);
  EXPECT_EQ(KindOf({.rows = 64, .draft = true}, through_bank, false), PassKind::kDraft);
  for (const ExpertPass& pass : {token, draft, chunk}) {
    EXPECT_EQ(KindOf(pass, transient, true), PassKind::kDecode) << "nothing can be displaced";
  }
}

// Two layers of eight experts, a bank of two slots and two staged ones.
class PassRulesTest : public testing::Test {
 protected:
  PassRulesTest() {
    auto bank = Bank::Create(catalog_, {.slots = 2, .staging_slots = 2, .eviction = Eviction::kLru},
                             ledger_, counters_);
    EXPECT_TRUE(bank.ok());
    bank_ = *std::move(bank);
  }

  PassRules Rules(PassKind kind, const StreamingOptions& options = {}) {
    return MakePassRules(catalog_, options, {.bank_slots = 2, .window = 3}, kDepth,
                         counters_)[static_cast<size_t>(kind)];
  }
  // Evictable residents.
  void Fill(std::initializer_list<ExpertKey> keys) {
    for (const ExpertKey key : keys) bank_->slots().Landed(*bank_->Claim(key));
  }
  // What became of a claim.
  std::string What(std::optional<uint32_t> slot) const {
    if (!slot) return "none";
    return bank_->slots()[*slot].resident ? "resident" : "staged";
  }
  std::string Demand(PassKind kind, ExpertKey key, bool certain = true) {
    return What(Rules(kind).ClaimDemand(*bank_, key, certain));
  }
  std::string Prefetch(PassKind kind, ExpertKey key) {
    return What(Rules(kind).ClaimPrefetch(*bank_, key));
  }
  uint64_t evictions() const { return counters_.evictions.Get(); }

  const Catalog catalog_ = PageCatalog(2, 8);
  MemoryLedger ledger_{size_t{8} << 20};
  BankCounters counters_;
  std::unique_ptr<Bank> bank_;
};

TEST_F(PassRulesTest, DecodingEvicts) {
  Fill({0, 1});
  EXPECT_EQ(Demand(PassKind::kDecode, 2), "resident");
  EXPECT_EQ(evictions(), 1u);
  EXPECT_EQ(Demand(PassKind::kDecode, 3), "resident");
  EXPECT_EQ(Demand(PassKind::kDecode, 4), "none") << "both are being read";
  EXPECT_EQ(bank_->slots().staged(), 0u);
}

TEST_F(PassRulesTest, ADraftEvictsOnlyWhereStagingIsFull) {
  Fill({0});
  EXPECT_EQ(Demand(PassKind::kDraft, 2, false), "resident") << "there is room";
  EXPECT_EQ(Demand(PassKind::kDraft, 3, false), "staged");
  EXPECT_EQ(evictions(), 0u);
  EXPECT_EQ(Demand(PassKind::kDraft, 4, true), "resident") << "as when it decodes";
  EXPECT_EQ(evictions(), 1u);
  EXPECT_EQ(Demand(PassKind::kDraft, 5, false), "staged");
  EXPECT_EQ(Demand(PassKind::kDraft, 6, false), "none");
  bank_->slots().Landed(*bank_->slots().Find(4));
  EXPECT_EQ(Demand(PassKind::kDraft, 6, false), "resident");
  EXPECT_EQ(evictions(), 2u);
}

TEST_F(PassRulesTest, PrefillFillsTheSharesOfLayersAndEvictsNothing) {
  for (const bool demand : {true, false}) {
    const auto claim = [&](ExpertKey key) {
      return demand ? Demand(PassKind::kPrefill, key) : Prefetch(PassKind::kPrefill, key);
    };
    EXPECT_EQ(claim(0), "resident");
    EXPECT_EQ(claim(1), "staged") << "layer 0 has its share";
    EXPECT_EQ(claim(8), "resident");
    EXPECT_EQ(claim(9), "staged");
    EXPECT_EQ(claim(10), "none");
    EXPECT_EQ(evictions(), 0u);
    for (const ExpertKey key : {0u, 1u, 8u, 9u}) {
      bank_->slots().Discard(*bank_->slots().Find(key));
    }
  }
}

TEST_F(PassRulesTest, PredictionsAreStaged) {
  for (const PassKind kind : {PassKind::kDecode, PassKind::kDraft}) {
    EXPECT_EQ(Prefetch(kind, 3), "staged") << "though the bank is empty";
    EXPECT_EQ(Prefetch(kind, 4), "staged");
    EXPECT_EQ(Prefetch(kind, 5), "none");
    for (const ExpertKey key : {3u, 4u}) bank_->slots().Discard(*bank_->slots().Find(key));
  }
}

TEST_F(PassRulesTest, ReadsUnderWay) {
  for (const PassKind kind : {PassKind::kDecode, PassKind::kDraft}) {
    const PassRules rules = Rules(kind, {.in_flight_bytes = 16 * kPageBytes});
    EXPECT_EQ(rules.kind, kind);
    EXPECT_EQ(rules.reads.demand, 3u);
    EXPECT_EQ(rules.reads.prefetch, 3u);
    EXPECT_EQ(rules.reads.total, kDepth);
    EXPECT_FALSE(rules.reads.prefetch_beside_demand);
    EXPECT_EQ(rules.reads.hold_last_after, 4u);
    EXPECT_EQ(rules.part, SIZE_MAX);
  }
  // A quarter of 17 pages is more than four of them.
  EXPECT_EQ(Rules(PassKind::kDecode, {.in_flight_bytes = 17 * kPageBytes}).reads.hold_last_after,
            5u);

  const PassRules prefill = Rules(PassKind::kPrefill);
  EXPECT_EQ(prefill.kind, PassKind::kPrefill);
  EXPECT_EQ(prefill.reads.demand, kDepth);
  EXPECT_EQ(prefill.reads.prefetch, kDepth);
  EXPECT_EQ(prefill.reads.total, kDepth);
  EXPECT_TRUE(prefill.reads.prefetch_beside_demand);
  EXPECT_EQ(prefill.reads.hold_last_after, SIZE_MAX);
  EXPECT_EQ(prefill.part, 3u);
}

TEST_F(PassRulesTest, WhatIsLearntAndCounted) {
  const PassRules decode = Rules(PassKind::kDecode);
  const PassRules draft = Rules(PassKind::kDraft);
  const PassRules prefill = Rules(PassKind::kPrefill);
  for (const PassRules* rules : {&decode, &draft}) {
    EXPECT_TRUE(rules->learns && rules->hits_first && rules->uses_predictions &&
                rules->times_misses);
    EXPECT_EQ(rules->hits, &counters_.hits);
    EXPECT_EQ(rules->misses, &counters_.misses);
    EXPECT_EQ(rules->prefetch, &counters_.prefetch);
  }
  EXPECT_FALSE(decode.holds_staged);
  EXPECT_TRUE(draft.holds_staged);
  EXPECT_FALSE(prefill.learns || prefill.hits_first || prefill.uses_predictions ||
               prefill.times_misses || prefill.holds_staged);
  EXPECT_EQ(prefill.hits, &counters_.transient_hits);
  EXPECT_EQ(prefill.misses, &counters_.transient_misses);
  EXPECT_EQ(prefill.prefetch, &counters_.read_ahead);
}

}  // namespace
}  // namespace mach::experts
