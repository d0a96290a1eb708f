#include "plane/bindings.hpp"

#include <pybind11/eigen.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <stdexcept>

#include "plane/motion.hpp"
#include "plane/pose.hpp"

namespace py = pybind11;

namespace gps_denied::plane {
namespace {

using Numbers = py::array_t<double, py::array::c_style>;
using Flags = py::array_t<bool, py::array::c_style>;

void check(const py::array& values, py::ssize_t rows, py::ssize_t columns) {
  const bool fits = columns == 0 ? values.ndim() == 1 : values.ndim() == 2 && values.shape(1) == columns;
  if (!fits || values.shape(0) != rows) {
    throw std::invalid_argument("what is told of points or tracks must be of all of them");
  }
}

py::tuple pose_step(const Eigen::Vector3d& position, const Eigen::Matrix3d& rotation, const Numbers& bearings,
                    const Numbers& ground, double noise, double limit) {
  const py::ssize_t count = bearings.ndim() > 0 ? bearings.shape(0) : 0;
  check(bearings, count, 2);
  check(ground, count, 3);
  const PoseEquations found =
      pose_equations(position, rotation, bearings.data(), ground.data(), static_cast<std::size_t>(count), noise, limit);
  return py::make_tuple(found.information, found.gradient, found.agreeing);
}

py::tuple motion_step(const Eigen::Vector3d& translation, const Eigen::Matrix3d& rotation0,
                      const Eigen::Matrix3d& rotation1, const Eigen::Vector2d& slope, const Numbers& first,
                      const Numbers& second, const Numbers& relief, const Numbers& shapes, const Flags& selected,
                      const Numbers& weight, double focal_px, double sigma_floor_px, double independent,
                      bool first_step) {
  const py::ssize_t count = first.ndim() > 0 ? first.shape(0) : 0;
  check(first, count, 2);
  check(second, count, 2);
  check(relief, count, 0);
  check(shapes, count, shapes.ndim() == 2 ? shapes.shape(1) : 0);
  check(selected, count, 0);
  check(weight, count, 0);
  if (shapes.ndim() != 2) {
    throw std::invalid_argument("expected shapes (N, K)");
  }
  Numbers distance(count);
  Numbers weighed(count);
  std::copy_n(weight.data(), count, weighed.mutable_data());
  const Tracks tracks{first.data(),
                      second.data(),
                      relief.data(),
                      shapes.data(),
                      reinterpret_cast<const std::uint8_t*>(selected.data()),
                      static_cast<std::size_t>(count),
                      static_cast<int>(shapes.shape(1))};
  const MotionEquations found =
      motion_equations({translation, rotation0, rotation1, slope}, tracks, {focal_px, sigma_floor_px, independent},
                       first_step, distance.mutable_data(), weighed.mutable_data());
  return py::make_tuple(found.information, found.gradient, distance, weighed, found.sigma_px);
}

}  // namespace

void bind(py::module_& m) {
  m.def("pose_equations", &pose_step, py::arg("position"), py::arg("rotation"), py::arg("bearings"), py::arg("ground"),
        py::arg("noise"), py::arg("limit"));
  m.def("motion_equations", &motion_step, py::arg("translation"), py::arg("rotation0"), py::arg("rotation1"),
        py::arg("slope"), py::arg("first"), py::arg("second"), py::arg("relief"), py::arg("shapes"),
        py::arg("selected"), py::arg("weight"), py::arg("focal_px"), py::arg("sigma_floor_px"), py::arg("independent"),
        py::arg("first_step"));
}

}  // namespace gps_denied::plane
