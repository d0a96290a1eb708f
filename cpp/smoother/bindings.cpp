#include "smoother/bindings.hpp"

#include <pybind11/eigen.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <utility>

#include "smoother/factors.hpp"

namespace py = pybind11;

namespace gps_denied::smoother {
namespace {

// (error, derivatives...) as gtsam's custom factors want them: column by column.
template <int Variables>
py::tuple told(Linear<Variables>&& linear) {
  py::tuple out(Variables + 1);
  out[0] = py::cast(std::move(linear.error));
  for (int k = 0; k < Variables; ++k) {
    out[static_cast<std::size_t>(k) + 1] = py::cast(std::move(linear.by[k]));
  }
  return out;
}

}  // namespace

void bind(py::module_& m) {
  m.def(
      "keyframe_error",
      [](const Matrix3& rotation, const Vector3& position, const Vector3& velocity, const Slow& slow0,
         const Slow& slow1, const Slow& decay, const std::optional<Matrix3>& attitude,
         const std::optional<double>& baro_up_m, const std::optional<double>& airspeed_mps, double earth_radius_m) {
        return told(keyframe_error({rotation, position}, velocity, slow0, slow1, decay,
                                   {attitude, baro_up_m, airspeed_mps}, earth_radius_m));
      },
      py::arg("rotation"), py::arg("position"), py::arg("velocity"), py::arg("slow0"), py::arg("slow1"),
      py::arg("decay"), py::arg("attitude").none(true), py::arg("baro_up_m").none(true),
      py::arg("airspeed_mps").none(true), py::arg("earth_radius_m"));
  m.def(
      "fix_error",
      [](const Matrix3& body, const Vector3& at, const Slow& slow, const Vector3& position, const Matrix3& rotation,
         const Matrix3& nominal) { return told(fix_error({body, at}, slow, position, rotation, nominal)); },
      py::arg("body"), py::arg("at"), py::arg("slow"), py::arg("position"), py::arg("rotation"), py::arg("nominal"));
  m.def(
      "odometry_error",
      [](const Matrix3& body0, const Vector3& at0, const Matrix3& body1, const Vector3& at1, const Slow& slow,
         const Vector3& displacement, double yaw_change, double yaw_prior, const Matrix3& nominal) {
        return told(odometry_error({body0, at0}, {body1, at1}, slow, displacement, yaw_change, yaw_prior, nominal));
      },
      py::arg("body0"), py::arg("at0"), py::arg("body1"), py::arg("at1"), py::arg("slow"), py::arg("displacement"),
      py::arg("yaw_change"), py::arg("yaw_prior"), py::arg("nominal"));
}

}  // namespace gps_denied::smoother
