#include <array>

#include "kernels/scalar.h"
#include "kernels/table.h"
#include "kernels/targets.h"

namespace mach::kernels {
namespace {

struct IsaRow {
  Isa isa;
  std::string_view name;
  int64_t target;  // Highway's; 0 needs nothing
};
// Best first.
constexpr std::array<IsaRow, 5> kIsas = {{{Isa::kAvx512Vnni, "avx512_vnni", HWY_AVX3_DL},
                                          {Isa::kAvx512, "avx512", HWY_AVX3},
                                          {Isa::kAvx2, "avx2", HWY_AVX2},
                                          {Isa::kNeon, "neon", HWY_NEON},
                                          {Isa::kScalar, "scalar", 0}}};

template <class Group>
void Take(const Group* of_isa, const Group& scalar, KernelTable& table) {
  static_cast<Group&>(table) = of_isa != nullptr ? *of_isa : scalar;
}

KernelTable MakeTable(Isa isa) {
  KernelTable table;
  table.isa = isa;
  Take(MatmulI8For(isa), kScalarMatmulI8, table);
  Take(MatmulF32For(isa), kScalarMatmulF32, table);
  Take(VectorKernelsFor(isa), kScalarVector, table);
  Take(AttentionFor(isa), kScalarAttention, table);
  Take(DeltaRuleFor(isa), kScalarDeltaRule, table);
  return table;
}

}  // namespace

std::string_view IsaName(Isa isa) {
  for (const IsaRow& row : kIsas) {
    if (row.isa == isa) return row.name;
  }
  return "?";
}

std::optional<Isa> IsaFromName(std::string_view name) {
  for (const IsaRow& row : kIsas) {
    if (row.name == name) return row.isa;
  }
  return std::nullopt;
}

std::vector<Isa> AvailableIsas() {
  const int64_t supported = HWY_SUPPORTED_TARGETS;  // arm64: a constant
  std::vector<Isa> isas;
  for (const IsaRow& row : kIsas) {
    // A target of another architecture is never supported, so each one here was compiled.
    if (row.target == 0 || (supported & row.target) != 0) isas.push_back(row.isa);
  }
  return isas;
}

Result<const KernelTable*> SelectKernels(std::optional<Isa> forced) {
  static const std::array<KernelTable, kIsas.size()> kTables = [] {
    std::array<KernelTable, kIsas.size()> tables;
    for (size_t i = 0; i < tables.size(); ++i) tables[i] = MakeTable(kIsas[i].isa);
    return tables;
  }();
  std::string have;
  for (const Isa isa : AvailableIsas()) {
    if (!forced || *forced == isa) {
      for (const KernelTable& table : kTables) {
        if (table.isa == isa) return &table;
      }
    }
    have += (have.empty() ? "" : ", ") + std::string(IsaName(isa));
  }
  return Error{Code::kUnsupported, "kernels for " + std::string(IsaName(*forced)) +
                                       ": this machine has " + have + "; choose one of these"};
}

}  // namespace mach::kernels
