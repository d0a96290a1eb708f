// The Python face of the native cores: gps_denied_onboard._native.
// Each core has a header without Python in it; this file only binds names.
#include <pybind11/pybind11.h>

#include "eskf/bindings.hpp"
#include "imaging/bindings.hpp"
#include "plane/bindings.hpp"
#include "ring/bindings.hpp"
#include "smoother/bindings.hpp"

PYBIND11_MODULE(_native, m) {
  m.doc() = "Native cores of gps_denied_onboard.";
  gps_denied::eskf::bind(m);
  gps_denied::imaging::bind(m);
  gps_denied::plane::bind(m);
  gps_denied::ring::bind(m);
  gps_denied::smoother::bind(m);
  m.attr("compiler") = __VERSION__;
}
