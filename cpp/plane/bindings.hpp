#pragma once

#include <pybind11/pybind11.h>

namespace gps_denied::plane {

void bind(pybind11::module_& m);

}  // namespace gps_denied::plane
