#pragma once

#include <pybind11/pybind11.h>

namespace gps_denied::ring {
void bind(pybind11::module_& module);
}
