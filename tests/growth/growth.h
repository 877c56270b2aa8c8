// Whether work is in proportion to its input: processor time for n, 2n and 4n parts.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace mach::growth {

// Inputs that their bytes alone bound have at most so many parts here; those that end in tables of
// keys have fewer, since a table that leaves a processor's caches takes more time for each.
inline constexpr size_t kManyParts = size_t{1} << 17;
inline constexpr size_t kManyKeys = size_t{1} << 12;

// What is measured; its input is made before. False: it did not do what the row is about.
using Work = std::function<bool()>;
using MakeWork = std::function<Work(size_t n)>;

// Texts of n parts.
struct Input {
  std::string_view name;
  std::string (*make)(size_t n);
  size_t most = kManyParts;
};

// Fails where twice the parts take more than 2.6 times the processor time of this thread (the
// square of them: 4 times), from n to 2n or from 2n to 4n. n grows until 4n parts take some
// milliseconds, or are `most`. Times are the least of several attempts, the sizes in turns, so that
// what else the machine does counts for little; and what seems to grow too fast must do so for
// larger n as well, which the square of n does, and work that outgrows a cache does not.
void ExpectLinear(std::string_view name, size_t most, const MakeWork& make);

// The part n times, or with `@` replaced by the number of each.
std::string Times(size_t n, std::string_view part);
std::string Numbered(size_t n, std::string_view part, std::string_view separator = ",");

}  // namespace mach::growth
