// Python face of the filter: its enums and structs, numpy arrays; messages are made in Python.
#include "eskf/bindings.hpp"

#include <pybind11/eigen.h>
#include <pybind11/stl.h>

#include "eskf/lanes.hpp"

namespace py = pybind11;

namespace gps_denied::eskf {

namespace {

py::tuple numbers(const Vec6& v, int used) {
  py::tuple out(used);
  for (int i = 0; i < used; ++i) out[i] = v(i);
  return out;
}

Quat quaternion(const std::array<double, 4>& q) { return {q[0], q[1], q[2], q[3]}; }

Config read_config(const py::dict& d) {
  Config c{};
#define GPS_DENIED_READ(name) c.name = py::cast<double>(d[#name]);
#include "eskf/config_fields.inc"
#undef GPS_DENIED_READ
  return c;
}

std::array<double, 4> numbers_of(const Quat& q) { return {q.w(), q.x(), q.y(), q.z()}; }

// Covariance (3, 3) of the camera's attitude in ENU, body and mount together.
Mat3 camera_covariance(const State& s) {
  const Mat3 r = s.attitude.toRotationMatrix();
  const auto block = [&](int a, int b) { return Mat3(s.covariance.block<3, 3>(a, b)); };
  const Mat3 cross = block(kAttitude, kMount) * r.transpose();
  return block(kAttitude, kAttitude) + r * block(kMount, kMount) * r.transpose() + cross + cross.transpose();
}

// Variance of the height above the ground that fixes see.
double height_variance(const State& s) {
  const int height[2] = {kPosition + 2, kMapOffset + 2};
  return s.covariance(height[0], height[0]) + s.covariance(height[1], height[1]) +
         2.0 * s.covariance(height[0], height[1]);
}

using CoreCovariance = Eigen::Matrix<double, kCore, kCore>;

class Filter {
 public:
  Filter(const py::dict& config, const std::array<double, 4>& mount, bool subsets)
      : lanes_(read_config(config), quaternion(mount), subsets) {}

  // None when all went well, which it does a hundred times a second; else the record.
  std::optional<AidSourceStatus> imu(std::int64_t t_ns, const std::array<double, 3>& f,
                                     const std::array<double, 3>& w) {
    Event e = event(t_ns, Source::imu);
    e.a = Vec3(f[0], f[1], f[2]);
    e.b = Vec3(w[0], w[1], w[2]);
    const AidSourceStatus a = lanes_.insert(e);
    if (a.accepted) return std::nullopt;
    return a;
  }

  AidSourceStatus scalar(std::int64_t t_ns, Source source, double value) {
    Event e = event(t_ns, source);
    e.a.x() = value;
    return lanes_.insert(e);
  }

  AidSourceStatus attitude(std::int64_t t_ns, const std::array<double, 4>& body_to_enu) {
    Event e = event(t_ns, Source::attitude);
    e.q = quaternion(body_to_enu);
    return lanes_.insert(e);
  }

  AidSourceStatus origin(std::int64_t t_ns, const Vec3& position, double sigma_horizontal, double sigma_vertical,
                         const std::optional<Vec3>& velocity) {
    Event e = event(t_ns, Source::origin);
    e.origin = std::make_shared<const Origin>(
        Origin{position, velocity.value_or(Vec3::Zero()), sigma_horizontal, sigma_vertical, velocity.has_value()});
    return lanes_.insert(e);
  }

  AidSourceStatus clone(std::int64_t t_ns) { return lanes_.insert(event(t_ns, Source::clone)); }

  AidSourceStatus odometry(std::int64_t t0_ns, std::int64_t t1_ns, const Vec3& displacement, double yaw_change,
                           double yaw_prior, const Eigen::Matrix4d& covariance) {
    Event e = event(t1_ns, Source::odometry);
    e.odometry = std::make_shared<const Odometry>(Odometry{t0_ns, displacement, yaw_change, yaw_prior, covariance});
    return lanes_.insert(e);
  }

  AidSourceStatus fix(std::int64_t t_ns, const Vec3& position, const std::array<double, 4>& camera_to_enu,
                      const Mat6& covariance, FixMode mode) {
    Event e = event(t_ns, Source::fix);
    e.fix = std::make_shared<const Fix>(Fix{position, quaternion(camera_to_enu), covariance});
    e.mode = mode;
    return lanes_.insert(e);
  }

  AidSourceStatus test(std::int64_t t_ns, const Vec3& position, const std::array<double, 4>& camera_to_enu,
                       const Mat6& covariance) const {
    return lanes_.all().test(t_ns, Fix{position, quaternion(camera_to_enu), covariance});
  }

  std::optional<State> at(std::int64_t t_ns) const { return lanes_.at(Lane::all, t_ns); }
  std::optional<State> lane(Lane which, std::int64_t t_ns) const { return lanes_.at(which, t_ns); }
  void renew(std::int64_t t_ns, bool keep) { lanes_.renew(t_ns, keep); }
  std::optional<std::int64_t> lane_since_ns(Lane which) const { return lanes_.since_ns(which); }
  bool seed(const State& state) { return lanes_.all().seed(state); }
  std::optional<std::int64_t> newest_ns() const {
    if (!lanes_.all().started()) return std::nullopt;
    return lanes_.all().newest().t_ns;
  }
  bool position_known() const { return lanes_.all().position_known(); }
  int rebases() const { return lanes_.all().rebases(); }

 private:
  static Event event(std::int64_t t_ns, Source source) {
    Event e;
    e.t_ns = t_ns;
    e.source = source;
    return e;
  }

  Lanes lanes_;
};

void bind_enums(py::module_& module) {
  py::enum_<Source> source(module, "EskfSource");
  source.value("imu", Source::imu).value("origin", Source::origin).value("baro", Source::baro);
  source.value("airspeed", Source::airspeed).value("rangefinder", Source::rangefinder);
  source.value("attitude", Source::attitude).value("clone", Source::clone);
  source.value("odometry", Source::odometry).value("fix", Source::fix);
  py::enum_<FixMode>(module, "EskfFixMode")
      .value("update", FixMode::update)
      .value("place", FixMode::place)
      .value("relocate", FixMode::relocate)
      .value("relocate_early", FixMode::relocate_early);
  py::enum_<Lane>(module, "EskfLane")
      .value("all", Lane::all)
      .value("no_odometry", Lane::no_odometry)
      .value("no_air", Lane::no_air)
      .value("no_map_a", Lane::no_map_a)
      .value("no_map_b", Lane::no_map_b);
  py::enum_<Reason> reason(module, "EskfReason");
#define GPS_DENIED_REASON(name) reason.value(#name, Reason::name);
#include "eskf/reasons.inc"
#undef GPS_DENIED_REASON
}

void bind_aid(py::module_& module) {
  py::class_<AidSourceStatus>(module, "EskfAid")
      .def_readonly("t_ns", &AidSourceStatus::t_ns)
      .def_readonly("source", &AidSourceStatus::source)
      .def_property_readonly("observation", [](const AidSourceStatus& a) { return numbers(a.observation, a.used); })
      .def_property_readonly("observation_variance",
                             [](const AidSourceStatus& a) { return numbers(a.observation_variance, a.used); })
      .def_property_readonly("innovation", [](const AidSourceStatus& a) { return numbers(a.innovation, a.used); })
      .def_property_readonly("innovation_variance",
                             [](const AidSourceStatus& a) { return numbers(a.innovation_variance, a.used); })
      .def_readonly("test_ratio", &AidSourceStatus::test_ratio)
      .def_readonly("accepted", &AidSourceStatus::accepted)
      .def_readonly("reason", &AidSourceStatus::reason);
}

// Rotations as quaternions (w, x, y, z) to set, and as matrices to read; the covariance is the core's.
void bind_state(py::module_& module) {
  py::class_<State>(module, "EskfState")
      .def(py::init<>())
      .def_readwrite("t_ns", &State::t_ns)
      .def_readwrite("position", &State::position)
      .def_readwrite("velocity", &State::velocity)
      .def_property(
          "attitude", [](const State& s) { return numbers_of(s.attitude); },
          [](State& s, const std::array<double, 4>& q) { s.attitude = quaternion(q).normalized(); })
      .def_property(
          "mount", [](const State& s) { return numbers_of(s.mount); },
          [](State& s, const std::array<double, 4>& q) { s.mount = quaternion(q).normalized(); })
      .def_property_readonly("rotation_body_to_enu", [](const State& s) { return Mat3(s.attitude.toRotationMatrix()); })
      .def_property_readonly("rotation_camera_to_body", [](const State& s) { return Mat3(s.mount.toRotationMatrix()); })
      .def_readwrite("gyro_bias", &State::gyro_bias)
      .def_readwrite("accel_bias", &State::accel_bias)
      .def_readwrite("wind", &State::wind)
      .def_readwrite("gust", &State::gust)
      .def_readwrite("autopilot_bias", &State::autopilot_bias)
      .def_readwrite("baro_bias", &State::baro_bias)
      .def_readwrite("airspeed_scale", &State::airspeed_scale)
      .def_readwrite("map_offset", &State::map_offset)
      .def_readwrite("odometry_scale", &State::odometry_scale)
      .def_property_readonly("accel_noise", [](const State& s) { return s.imu_noise.accel; })
      .def_property_readonly("gyro_noise", [](const State& s) { return s.imu_noise.gyro; })
      .def_property_readonly("gust_scale", &State::gust_scale)
      .def_property_readonly("gyro_drift_scale", [](const State& s) { return s.gyro_drift.scale; })
      .def_property_readonly("autopilot_scale", [](const State& s) { return s.autopilot.scale; })
      .def_readonly("travelled", &State::travelled)
      .def_readonly("position_known", &State::position_known)
      .def_property_readonly("healthy", [](const State& s) { return healthy(s); })
      .def_property_readonly("camera_covariance", &camera_covariance)
      .def_property_readonly("height_variance", &height_variance)
      .def_property(
          "covariance", [](const State& s) { return Eigen::MatrixXd(s.covariance.topLeftCorner<kCore, kCore>()); },
          [](State& s, const CoreCovariance& c) {
            s.covariance.topLeftCorner<kCore, kCore>() = 0.5 * (c + c.transpose());
          });
  py::dict layout;
#define GPS_DENIED_BLOCK(name, start, size) layout[name] = py::make_tuple(static_cast<int>(start), size);
#include "eskf/layout.inc"
#undef GPS_DENIED_BLOCK
  module.attr("eskf_layout") = layout;
  module.attr("eskf_core_size") = static_cast<int>(kCore);
}

}  // namespace

void bind(py::module_& module) {
  bind_enums(module);
  bind_aid(module);
  bind_state(module);
  py::class_<Filter>(module, "EskfFilter")
      .def(py::init<const py::dict&, const std::array<double, 4>&, bool>(), py::arg("config"), py::arg("mount"),
           py::arg("subsets") = false)
      .def("imu", &Filter::imu)
      .def("scalar", &Filter::scalar)
      .def("attitude", &Filter::attitude)
      .def("origin", &Filter::origin)
      .def("clone", &Filter::clone)
      .def("odometry", &Filter::odometry)
      .def("fix", &Filter::fix)
      .def("test", &Filter::test)
      .def("at", &Filter::at)
      .def("lane", &Filter::lane)
      .def("lane_since_ns", &Filter::lane_since_ns)
      .def("renew", &Filter::renew)
      .def("seed", &Filter::seed)
      .def("newest_ns", &Filter::newest_ns)
      .def("position_known", &Filter::position_known)
      .def("rebases", &Filter::rebases);
}

}  // namespace gps_denied::eskf
