#include "imaging/bindings.hpp"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <stdexcept>

#include "imaging/orientation.hpp"

namespace py = pybind11;

namespace gps_denied::imaging {
namespace {

using Plane = py::array_t<float, py::array::c_style>;
using Mask = py::array_t<std::uint8_t, py::array::c_style>;

void check(const py::array& plane, py::ssize_t rows, py::ssize_t columns) {
  if (plane.ndim() != 2 || plane.shape(0) != rows || plane.shape(1) != columns) {
    throw std::invalid_argument("planes of one field must have one size");
  }
}

py::tuple harmonics_of(const Plane& gx, const Plane& gy, const std::optional<Mask>& inner, int harmonics) {
  if (gx.ndim() != 2 || harmonics < 1 || harmonics > 2) {
    throw std::invalid_argument("expected planes (H, W) and one or two harmonics");
  }
  const py::ssize_t rows = gx.shape(0);
  const py::ssize_t columns = gx.shape(1);
  check(gy, rows, columns);
  if (inner) {
    check(*inner, rows, columns);
  }
  Plane channels({static_cast<py::ssize_t>(2 * harmonics), rows, columns});
  Plane power({rows, columns});
  const float* const x = gx.data();
  const float* const y = gy.data();
  const std::uint8_t* const mask = inner ? inner->data() : nullptr;
  float* const out = channels.mutable_data();
  float* const square = power.mutable_data();
  const auto count = static_cast<std::size_t>(rows * columns);
  {
    const py::gil_scoped_release free;
    orientation_harmonics(x, y, mask, count, harmonics, out, square);
  }
  return py::make_tuple(channels, power);
}

void normalise(Plane& field, const Plane& energy, float floor) {
  if (field.ndim() != 3) {
    throw std::invalid_argument("expected a field (C, H, W)");
  }
  check(energy, field.shape(1), field.shape(2));
  float* const values = field.mutable_data();
  const float* const divisor = energy.data();
  const auto planes = static_cast<int>(field.shape(0));
  const auto count = static_cast<std::size_t>(energy.size());
  const py::gil_scoped_release free;
  normalise_planes(values, planes, divisor, count, floor);
}

}  // namespace

void bind(py::module_& m) {
  m.def("orientation_harmonics", &harmonics_of, py::arg("gx").noconvert(), py::arg("gy").noconvert(),
        py::arg("inner").none(true), py::arg("harmonics"));
  m.def("normalise_planes", &normalise, py::arg("field").noconvert(), py::arg("energy").noconvert(), py::arg("floor"));
}

}  // namespace gps_denied::imaging
