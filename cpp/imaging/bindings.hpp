#pragma once

#include <pybind11/pybind11.h>

namespace gps_denied::imaging {

void bind(pybind11::module_& m);

}  // namespace gps_denied::imaging
