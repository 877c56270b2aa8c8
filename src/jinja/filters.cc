#include "jinja/filters.h"

namespace mach::jinja {

const Filter* FindFilter(std::string_view name) {
  for (const std::span<const Filter> table :
       {TextFilters(), NumberFilters(), SequenceFilters(), SelectionFilters(), JsonFilters()}) {
    for (const Filter& filter : table) {
      if (filter.name == name) return &filter;
    }
  }
  return nullptr;
}

}  // namespace mach::jinja
