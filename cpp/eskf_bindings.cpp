// Python face of the filter: plain tuples and numpy arrays; messages are made in Python.
#include "eskf_bindings.hpp"

#include <pybind11/eigen.h>
#include <pybind11/stl.h>

#include "eskf_history.hpp"

namespace py = pybind11;

namespace gps_denied::eskf {

namespace {

py::tuple numbers(const Vec6& v, int used) {
  py::tuple out(used);
  for (int i = 0; i < used; ++i) out[i] = v(i);
  return out;
}

// (t_ns, source, observation, variance, innovation, innovation variance, test ratio, accepted, reason)
py::tuple record(const Aid& a) {
  return py::make_tuple(a.t_ns, static_cast<int>(a.source), numbers(a.observation, a.used),
                        numbers(a.observation_variance, a.used), numbers(a.innovation, a.used),
                        numbers(a.innovation_variance, a.used), a.test_ratio, a.accepted, a.reason);
}

Quat quaternion(const std::array<double, 4>& q) { return {q[0], q[1], q[2], q[3]}; }

Config read_config(const py::dict& d) {
  Config c{};
#define GPS_DENIED_READ(name) c.name = py::cast<double>(d[#name]);
#include "eskf_config_fields.inc"
#undef GPS_DENIED_READ
  return c;
}

py::object describe(const std::optional<State>& found) {
  if (!found) return py::none();
  const State& s = *found;
  py::dict out;
  const Mat3 r = s.attitude.toRotationMatrix();
  out["position"] = s.position;
  out["velocity"] = s.velocity;
  out["rotation"] = r;
  out["mount"] = Mat3(s.mount.toRotationMatrix());
  out["covariance"] = Eigen::MatrixXd(s.covariance.topLeftCorner<9, 9>());
  const auto block = [&](int a, int b) { return Mat3(s.covariance.block<3, 3>(a, b)); };
  const Mat3 cross = block(kAttitude, kMount) * r.transpose();
  out["camera_covariance"] =
      Mat3(block(kAttitude, kAttitude) + r * block(kMount, kMount) * r.transpose() + cross + cross.transpose());
  out["travelled"] = s.travelled;
  out["wind"] = s.wind;
  out["position_known"] = s.position_known;
  out["healthy"] = healthy(s);
  out["gyro_bias"] = s.gyro_bias;
  out["accel_bias"] = s.accel_bias;
  out["autopilot_bias"] = s.autopilot_bias;
  out["baro_bias"] = s.baro_bias;
  out["airspeed_scale"] = s.airspeed_scale;
  out["map_offset"] = s.map_offset;
  out["odometry_scale"] = s.odometry_scale;
  out["gust"] = s.gust;
  out["sigma"] = Eigen::VectorXd(s.covariance.diagonal().head<kCore>().cwiseMax(0.0).cwiseSqrt());
  const int height[2] = {kPosition + 2, kMapOffset + 2};
  out["height_variance"] = s.covariance(height[0], height[0]) + s.covariance(height[1], height[1]) +
                           2.0 * s.covariance(height[0], height[1]);
  return out;
}

using CoreCovariance = Eigen::Matrix<double, kCore, kCore>;

template <typename T>
T entry(const py::dict& d, const char* name) {
  return py::cast<T>(d[name]);
}

// The inverse of describe, with quaternions for the rotations and the covariance of the whole core.
State read_state(std::int64_t t_ns, const py::dict& d, const CoreCovariance& covariance) {
  State s;
  s.t_ns = t_ns;
  s.position = entry<Vec3>(d, "position");
  s.velocity = entry<Vec3>(d, "velocity");
  s.attitude = quaternion(entry<std::array<double, 4>>(d, "attitude")).normalized();
  s.mount = quaternion(entry<std::array<double, 4>>(d, "mount")).normalized();
  s.gyro_bias = entry<Vec3>(d, "gyro_bias");
  s.accel_bias = entry<Vec3>(d, "accel_bias");
  s.wind = entry<Vec2>(d, "wind");
  s.autopilot_bias = entry<Vec3>(d, "autopilot_bias");
  s.baro_bias = entry<double>(d, "baro_bias");
  s.airspeed_scale = entry<double>(d, "airspeed_scale");
  s.map_offset = entry<Vec3>(d, "map_offset");
  s.odometry_scale = entry<double>(d, "odometry_scale");
  s.gust = entry<Vec2>(d, "gust");
  s.covariance.topLeftCorner<kCore, kCore>() = 0.5 * (covariance + covariance.transpose());
  return s;
}

class Filter {
 public:
  Filter(const py::dict& config, const std::array<double, 4>& mount) : history_(read_config(config), quaternion(mount)) {}

  // None when all went well, which it does a hundred times a second; else the record.
  py::object imu(std::int64_t t_ns, const std::array<double, 3>& f, const std::array<double, 3>& w) {
    const Aid a = history_.imu(t_ns, Vec3(f[0], f[1], f[2]), Vec3(w[0], w[1], w[2]));
    if (a.accepted) return py::none();
    return record(a);
  }

  py::tuple scalar(std::int64_t t_ns, int source, double value) {
    Event e = event(t_ns, static_cast<Source>(source));
    e.a.x() = value;
    return record(history_.insert(std::move(e)));
  }

  py::tuple attitude(std::int64_t t_ns, const std::array<double, 4>& body_to_enu) {
    Event e = event(t_ns, Source::attitude);
    e.q = quaternion(body_to_enu);
    return record(history_.insert(std::move(e)));
  }

  py::tuple origin(std::int64_t t_ns, const Vec3& position, double sigma_horizontal, double sigma_vertical,
                   const std::optional<Vec3>& velocity) {
    Event e = event(t_ns, Source::origin);
    e.origin = std::make_shared<const Origin>(
        Origin{position, velocity.value_or(Vec3::Zero()), sigma_horizontal, sigma_vertical, velocity.has_value()});
    return record(history_.insert(std::move(e)));
  }

  py::tuple clone(std::int64_t t_ns) { return record(history_.insert(event(t_ns, Source::clone))); }

  py::tuple odometry(std::int64_t t0_ns, std::int64_t t1_ns, const Vec3& displacement, double yaw_change,
                     double yaw_prior, const Eigen::Matrix4d& covariance) {
    Event e = event(t1_ns, Source::odometry);
    e.odometry = std::make_shared<const Odometry>(Odometry{t0_ns, displacement, yaw_change, yaw_prior, covariance});
    return record(history_.insert(std::move(e)));
  }

  py::tuple fix(std::int64_t t_ns, const Vec3& position, const std::array<double, 4>& camera_to_enu,
                const Mat6& covariance, int mode) {
    Event e = event(t_ns, Source::fix);
    e.fix = std::make_shared<const Fix>(Fix{position, quaternion(camera_to_enu), covariance});
    e.mode = static_cast<FixMode>(mode);
    return record(history_.insert(std::move(e)));
  }

  py::tuple test(std::int64_t t_ns, const Vec3& position, const std::array<double, 4>& camera_to_enu,
                 const Mat6& covariance) const {
    return record(history_.test(t_ns, Fix{position, quaternion(camera_to_enu), covariance}));
  }

  py::object at(std::int64_t t_ns) const { return describe(history_.at(t_ns)); }
  py::object core_covariance(std::int64_t t_ns) const {
    const std::optional<State> s = history_.at(t_ns);
    if (!s) return py::none();
    return py::cast(Eigen::MatrixXd(s->covariance.topLeftCorner<kCore, kCore>()));
  }
  bool seed(std::int64_t t_ns, const py::dict& state, const CoreCovariance& covariance) {
    return history_.seed(read_state(t_ns, state, covariance));
  }
  py::object newest_ns() const {
    if (!history_.started()) return py::none();
    return py::int_(history_.newest().t_ns);
  }
  bool position_known() const { return history_.position_known(); }
  int rebases() const { return history_.rebases(); }

 private:
  static Event event(std::int64_t t_ns, Source source) {
    Event e;
    e.t_ns = t_ns;
    e.source = source;
    return e;
  }

  History history_;
};

}  // namespace

void bind(py::module_& module) {
  py::class_<Filter>(module, "EskfFilter")
      .def(py::init<const py::dict&, const std::array<double, 4>&>(), py::arg("config"), py::arg("mount"))
      .def("imu", &Filter::imu)
      .def("scalar", &Filter::scalar)
      .def("attitude", &Filter::attitude)
      .def("origin", &Filter::origin)
      .def("clone", &Filter::clone)
      .def("odometry", &Filter::odometry)
      .def("fix", &Filter::fix)
      .def("test", &Filter::test)
      .def("at", &Filter::at)
      .def("core_covariance", &Filter::core_covariance)
      .def("seed", &Filter::seed)
      .def("newest_ns", &Filter::newest_ns)
      .def("position_known", &Filter::position_known)
      .def("rebases", &Filter::rebases);
}

}  // namespace gps_denied::eskf
