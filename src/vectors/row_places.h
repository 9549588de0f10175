// Where each row is.  Readers look while one writer changes it.
#pragma once

#include "vectors/graph/row_map.h"

namespace hearth::vectors {

using RowPlaces = RowMap;
constexpr Slot no_place = no_slot;

}  // namespace hearth::vectors
