// Start, propagation and cloning.
#include <algorithm>
#include <cmath>

#include "eskf/filter.hpp"
#include "skew.hpp"

namespace gps_denied::eskf {

namespace {

constexpr double kStepMax = 0.05;    // s
constexpr double kDriftSpan = 5.0;   // s, over which a drift of the gyroscope's bias is seen
constexpr double kDriftHeld = 20.0;  // s, over which it is to be followed
constexpr double kDriftRises = 0.3;  // share of a span: warming lasts for minutes, and a turn hides it
constexpr double kDriftFalls = 0.08;
constexpr double kDriftScaleMax = 64.0;  // BMI088 to MPU-6000: 0.015 to 0.16 degrees/s a kelvin

struct Decay {
  int index;
  double sigma, time_s;
};

// P <- F P F^T + Q for one step, F applied to rows and then to columns; clones only see the rows.
// `accel_noise` and `gyro_noise`: densities squared, by body axis.
void propagate_covariance(const Config& c, State& s, const Mat3& rotation, const Vec3& force_enu, double dt,
                          const Vec3& accel_noise, const Vec3& gyro_noise) {
  const int n = s.size();
  auto p = s.covariance.topLeftCorner(n, n);
  const Mat3 va = -skew(force_enu) * dt;
  const Mat3 turn = -rotation * dt;
  const double autopilot = std::sqrt(s.autopilot.scale);
  const double tilt_rad = c.autopilot_tilt_sigma_rad * autopilot, yaw_rad = c.autopilot_yaw_sigma_rad * autopilot;
  const double gust_mps = c.gust_sigma_mps * std::sqrt(s.gust_scale());
  const std::array<Decay, 11> decays = {{{kAutopilotBias, tilt_rad, c.autopilot_tilt_time_s},
                                         {kAutopilotBias + 1, tilt_rad, c.autopilot_tilt_time_s},
                                         {kAutopilotBias + 2, yaw_rad, c.autopilot_yaw_time_s},
                                         {kBaroBias, c.baro_bias_sigma_m, c.baro_bias_time_s},
                                         {kAirspeedScale, c.airspeed_scale_sigma, c.airspeed_scale_time_s},
                                         {kMapOffset, c.map_sigma_m, c.map_time_s},
                                         {kMapOffset + 1, c.map_sigma_m, c.map_time_s},
                                         {kMapOffset + 2, c.map_vertical_sigma_m, c.map_vertical_time_s},
                                         {kOdometryScale, c.odometry_scale_sigma, c.odometry_scale_time_s},
                                         {kGust, gust_mps, c.gust_time_s},
                                         {kGust + 1, gust_mps, c.gust_time_s}}};
  const auto columns = [&](auto&& m) {
    m.template middleCols<3>(kPosition) += dt * m.template middleCols<3>(kVelocity);
    m.template middleCols<3>(kVelocity) +=
        m.template middleCols<3>(kAttitude) * va.transpose() + m.template middleCols<3>(kAccelBias) * turn.transpose();
    m.template middleCols<3>(kAttitude) += m.template middleCols<3>(kGyroBias) * turn.transpose();
    for (const Decay& d : decays) m.col(d.index) *= std::exp(-dt / d.time_s);
  };
  // Columns first, then the transposed result's columns: the same code twice, column-major both times.
  columns(p);
  Covariance flipped;
  flipped.topLeftCorner(n, n) = p.transpose();
  columns(flipped.topLeftCorner(n, n));
  p = flipped.topLeftCorner(n, n);
  const auto add = [&](int index, int count, double variance) {
    for (int i = index; i < index + count; ++i) p(i, i) += variance;
  };
  p.template block<3, 3>(kVelocity, kVelocity) += rotation * (accel_noise * dt).asDiagonal() * rotation.transpose();
  p.template block<3, 3>(kAttitude, kAttitude) += rotation * (gyro_noise * dt).asDiagonal() * rotation.transpose();
  add(kGyroBias, 3, c.gyro_bias_walk_radps_rts * c.gyro_bias_walk_radps_rts * s.gyro_drift.scale * dt);
  add(kAccelBias, 3, c.accel_bias_walk_mps2_rts * c.accel_bias_walk_mps2_rts * dt);
  add(kWind, 2, c.wind_walk_mps_rts * c.wind_walk_mps_rts * s.gust_scale() * dt);
  add(kMount, 3, c.mount_walk_rad_rts * c.mount_walk_rad_rts * dt);
  for (const Decay& d : decays) add(d.index, 1, d.sigma * d.sigma * (1.0 - std::exp(-2.0 * dt / d.time_s)));
}

// Nominal state and covariance over one step in which specific force and rate are constant.
void step(const Config& c, State& s, const Vec3& force, const Vec3& rate, double dt, bool gap) {
  const Quat middle = s.attitude * exp_quaternion(rate * (0.5 * dt));
  const Mat3 rotation = middle.toRotationMatrix();
  const Vec3 force_enu = rotation * force;
  const Vec3 acceleration = force_enu - Vec3(0.0, 0.0, c.gravity_mps2);
  const Vec3 moved = s.velocity * dt + acceleration * (0.5 * dt * dt);
  s.position += moved;
  s.travelled += moved;
  s.velocity += acceleration * dt;
  s.attitude = (s.attitude * exp_quaternion(rate * dt)).normalized();
  const double tilt_decay = std::exp(-dt / c.autopilot_tilt_time_s);
  s.autopilot_bias.head<2>() *= tilt_decay;
  s.autopilot_bias.z() *= std::exp(-dt / c.autopilot_yaw_time_s);
  s.baro_bias *= std::exp(-dt / c.baro_bias_time_s);
  s.airspeed_scale *= std::exp(-dt / c.airspeed_scale_time_s);
  s.map_offset.head<2>() *= std::exp(-dt / c.map_time_s);
  s.map_offset.z() *= std::exp(-dt / c.map_vertical_time_s);
  s.odometry_scale *= std::exp(-dt / c.odometry_scale_time_s);
  s.gust *= std::exp(-dt / c.gust_time_s);
  Vec3 accel_noise = Vec3::Constant(std::pow(gap ? c.gap_accel_noise_mps2_rthz : c.accel_noise_mps2_rthz, 2));
  Vec3 gyro_noise = Vec3::Constant(std::pow(gap ? c.gap_gyro_noise_radps_rthz : c.gyro_noise_radps_rthz, 2));
  if (!gap) {
    accel_noise = accel_noise.cwiseMax(s.imu_noise.accel);
    gyro_noise = gyro_noise.cwiseMax(s.imu_noise.gyro);
  }
  propagate_covariance(c, s, rotation, force_enu, dt, accel_noise, gyro_noise);
}

// Changes of a walk are independent of one another, those of a ramp all alike: the mean product of successive ones is
// none of the walk's variance and all of the ramp's, however fast the walk is taken to be.
void learn_gyro_drift(const Config& c, State& s) {
  GyroDrift& drift = s.gyro_drift;
  const double span = static_cast<double>(s.t_ns - drift.t_ns) * 1e-9;
  if (drift.t_ns != 0 && span < kDriftSpan) return;
  const Vec3 change = s.gyro_bias - drift.bias;
  if (drift.t_ns != 0 && span < 2.0 * kDriftSpan) {
    const double seen = change.dot(drift.change) / 3.0;
    drift.square += (seen > drift.square ? kDriftRises : kDriftFalls) * (seen - drift.square);
    // A ramp r goes r kDriftHeld while a walk of variance r^2 kDriftHeld a second does.
    const double ramp = drift.square / (kDriftSpan * kDriftSpan) * kDriftHeld;
    const double walk = c.gyro_bias_walk_radps_rts * c.gyro_bias_walk_radps_rts;
    drift.scale = std::clamp(1.0 + ramp / std::max(walk, 1e-18), 1.0, kDriftScaleMax);
    drift.change = change;
  } else {
    drift.change.setZero();
  }
  drift.t_ns = s.t_ns;
  drift.bias = s.gyro_bias;
}

void steps(const Config& c, State& s, std::int64_t t_ns, bool gap) {
  while (s.t_ns < t_ns) {
    const std::int64_t to = std::min(t_ns, s.t_ns + static_cast<std::int64_t>(kStepMax * 1e9));
    const double dt = static_cast<double>(to - s.t_ns) * 1e-9;
    if (gap) {
      // Nothing is known of the motion: straight on, with noise for all that a manoeuvre could do.
      step(c, s, s.attitude.inverse() * Vec3(0.0, 0.0, c.gravity_mps2), Vec3::Zero(), dt, true);
    } else {
      step(c, s, s.accel - s.accel_bias, s.gyro - s.gyro_bias, dt, false);
    }
    s.t_ns = to;
  }
  learn_gyro_drift(c, s);
}

// An autopilot sends single samples, and a shaken aircraft moves between them. What a step of an integral is wrong by
// is then, from sample to sample, independent: it shows undiminished in differences of the fourth order, in which a
// motion that the samples resolve (5 Hz at 100 Hz: a thousandth) is gone. Of independent errors those have 1 + 16 + 36
// + 16 + 1 times the variance; each sample is held for a step, so an integral walks by variance times step, a density.
void learn_imu_noise(const Config& c, ImuNoise& noise, const ImuSample& now) {
  auto& last = noise.last;
  const double step = static_cast<double>(now.t_ns - last[0].t_ns) * 1e-9;
  bool whole = last.back().t_ns != 0;
  for (std::size_t i = 0; i < last.size(); ++i) {
    const double apart = static_cast<double>((i == 0 ? now.t_ns : last[i - 1].t_ns) - last[i].t_ns) * 1e-9;
    whole = whole && apart > 0.0 && apart <= c.imu_hold_s;
  }
  if (whole) {
    const double share = 1.0 - std::exp(-step / c.imu_noise_learning_s);
    const Vec3 accel = now.accel - 4.0 * last[0].accel + 6.0 * last[1].accel - 4.0 * last[2].accel + last[3].accel;
    const Vec3 gyro = now.gyro - 4.0 * last[0].gyro + 6.0 * last[1].gyro - 4.0 * last[2].gyro + last[3].gyro;
    noise.accel += share * (step / 70.0 * accel.cwiseAbs2() - noise.accel);
    noise.gyro += share * (step / 70.0 * gyro.cwiseAbs2() - noise.gyro);
  }
  std::rotate(last.begin(), last.end() - 1, last.end());
  last[0] = now;
}

}  // namespace

Quat exp_quaternion(const Vec3& v) {
  const double angle = v.norm();
  if (angle < 1e-9) return Quat(1.0, 0.5 * v.x(), 0.5 * v.y(), 0.5 * v.z()).normalized();
  const Vec3 axis = v * (std::sin(0.5 * angle) / angle);
  return Quat(std::cos(0.5 * angle), axis.x(), axis.y(), axis.z());
}

Vec3 log_quaternion(const Quat& q) {
  const double sign = q.w() < 0.0 ? -1.0 : 1.0;
  const Vec3 v = sign * q.vec();
  const double n = v.norm();
  if (n < 1e-12) return 2.0 * v;
  return v * (2.0 * std::atan2(n, sign * q.w()) / n);
}

// The attitude is a copy of the autopilot's: attitude error = -(autopilot's error) to its white noise and more.
void copy_attitude(const Config& c, State& s, const Quat& body_to_enu) {
  s.attitude = body_to_enu;
  s.autopilot_bias.setZero();
  const double tilt = c.autopilot_tilt_sigma_rad, yaw = c.autopilot_yaw_sigma_rad;
  const Vec3 sigma(tilt, tilt, yaw);
  for (int i = 0; i < 3; ++i) {
    for (const int index : {kAttitude + i, kAutopilotBias + i}) {
      s.covariance.row(index).setZero();
      s.covariance.col(index).setZero();
    }
  }
  for (int i = 0; i < 3; ++i) {
    const double v = sigma(i) * sigma(i);
    s.covariance(kAutopilotBias + i, kAutopilotBias + i) = v;
    s.covariance(kAttitude + i, kAttitude + i) = v + c.initial_tilt_sigma_rad * c.initial_tilt_sigma_rad;
    s.covariance(kAttitude + i, kAutopilotBias + i) = -v;
    s.covariance(kAutopilotBias + i, kAttitude + i) = -v;
  }
}

State start(const Config& c, const Quat& mount, std::int64_t t_ns, const Quat& attitude, double speed_mps,
            double up_m) {
  State s;
  s.t_ns = t_ns;
  s.imu_t_ns = t_ns;
  s.mount = mount;
  s.accel = attitude.inverse() * Vec3(0.0, 0.0, c.gravity_mps2);
  s.velocity = attitude * Vec3(speed_mps, 0.0, 0.0);
  s.velocity.z() = 0.0;
  s.position.z() = up_m;
  const auto set = [&](int index, int count, double sigma) {
    for (int i = index; i < index + count; ++i) s.covariance(i, i) = sigma * sigma;
  };
  set(kPosition, 2, c.unknown_position_sigma_m);
  set(kPosition + 2, 1, 10.0 * c.baro_bias_sigma_m);
  set(kVelocity, 2, c.initial_speed_sigma_mps);
  set(kVelocity + 2, 1, 3.0);
  set(kGyroBias, 3, c.gyro_bias_sigma_radps);
  set(kAccelBias, 3, c.accel_bias_sigma_mps2);
  set(kWind, 2, c.wind_sigma_mps);
  set(kMount, 3, c.mount_sigma_rad);
  set(kBaroBias, 1, c.baro_bias_sigma_m);
  set(kAirspeedScale, 1, c.airspeed_scale_sigma);
  set(kMapOffset, 2, c.map_sigma_m);
  set(kMapOffset + 2, 1, c.map_vertical_sigma_m);
  set(kOdometryScale, 1, c.odometry_scale_sigma);
  set(kGust, 2, c.gust_sigma_mps);
  copy_attitude(c, s, attitude);
  return s;
}

void advance(const Config& c, State& s, std::int64_t t_ns) {
  const std::int64_t held_until = s.imu_t_ns + static_cast<std::int64_t>(c.imu_hold_s * 1e9);
  if (s.t_ns < held_until) steps(c, s, std::min(t_ns, held_until), false);
  steps(c, s, t_ns, true);
}

void fuse_imu(const Config& c, State& s, std::int64_t t_ns, const Vec3& accel, const Vec3& gyro) {
  learn_imu_noise(c, s.imu_noise, {t_ns, accel, gyro});
  // A sample is the mean over the time before it, as long as that is an ordinary step.
  if (static_cast<double>(t_ns - s.imu_t_ns) * 1e-9 > c.imu_hold_s) advance(c, s, t_ns);
  s.accel = accel;
  s.gyro = gyro;
  s.imu_t_ns = t_ns;
  steps(c, s, t_ns, false);
}

void remember(State& s) {
  for (int i = 0; i < s.clones; ++i) {
    if (s.clone[i].t_ns == s.t_ns) return;
  }
  auto& p = s.covariance;
  if (s.clones == kCloneCount) {
    const int keep = (kCloneCount - 1) * kCloneSize;
    const Eigen::Matrix<double, kMax, keep> right = p.template rightCols<keep>();
    p.template middleCols<keep>(kCore) = right;
    const Eigen::Matrix<double, keep, kMax> bottom = p.template bottomRows<keep>();
    p.template middleRows<keep>(kCore) = bottom;
    std::rotate(s.clone.begin(), s.clone.begin() + 1, s.clone.end());
    --s.clones;
  }
  const int at = s.size();
  s.clone[s.clones++] = {s.t_ns, s.position, s.attitude};
  p.middleRows<3>(at) = p.middleRows<3>(kPosition).eval();
  p.middleRows<3>(at + 3) = p.middleRows<3>(kAttitude).eval();
  p.middleCols<3>(at) = p.middleCols<3>(kPosition).eval();
  p.middleCols<3>(at + 3) = p.middleCols<3>(kAttitude).eval();
}

void drop_clones(State& s) { s.clones = 0; }

}  // namespace gps_denied::eskf
