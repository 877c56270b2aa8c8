#include <array>

#include "kernels/scalar.h"
#include "kernels/table.h"

namespace mach::kernels {
namespace {

struct IsaRow {
  Isa isa;
  std::string_view name;
};
constexpr std::array<IsaRow, 5> kIsas = {{{Isa::kAvx512Vnni, "avx512_vnni"},
                                          {Isa::kAvx512, "avx512"},
                                          {Isa::kAvx2, "avx2"},
                                          {Isa::kNeon, "neon"},
                                          {Isa::kScalar, "scalar"}}};

const KernelTable& ScalarTable() {
  static const KernelTable table = [] {
    KernelTable t;
    t.isa = Isa::kScalar;
    FillScalarMatmul(t);
    FillScalarVector(t);
    FillScalarAttention(t);
    FillScalarDeltaRule(t);
    return t;
  }();
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

std::vector<Isa> AvailableIsas() { return {Isa::kScalar}; }

Result<const KernelTable*> SelectKernels(std::optional<Isa> forced) {
  std::string have;
  for (const Isa isa : AvailableIsas()) {
    if (!forced || *forced == isa) return &ScalarTable();
    have += (have.empty() ? "" : ", ") + std::string(IsaName(isa));
  }
  return Error{Code::kUnsupported, "kernels for " + std::string(IsaName(*forced)) +
                                       ": this machine has " + have + "; choose one of these"};
}

}  // namespace mach::kernels
