// Measurements: innovation, gate, update.
#include <algorithm>
#include <cmath>

#include "eskf/filter.hpp"

namespace gps_denied::eskf {

namespace {

constexpr double kEarthRadius = 6371008.8;  // m, for the drop of the sea's surface below the tangent plane
constexpr double kTwoPi = 6.283185307179586;
constexpr double kGustsForget = 0.1, kAttitudeForgets = 0.25;  // see learn

double wrap(double angle) { return std::remainder(angle, kTwoPi); }

template <int M>
struct Measurement {
  Eigen::Matrix<double, M, 1> observation = Eigen::Matrix<double, M, 1>::Zero();
  Eigen::Matrix<double, M, 1> residual = Eigen::Matrix<double, M, 1>::Zero();
  Eigen::Matrix<double, M, kMax> jacobian = Eigen::Matrix<double, M, kMax>::Zero();
  Eigen::Matrix<double, M, M> noise = Eigen::Matrix<double, M, M>::Zero();
};

void inject(State& s, const Error& e) {
  s.position += e.segment<3>(kPosition);
  s.velocity += e.segment<3>(kVelocity);
  s.attitude = (exp_quaternion(e.segment<3>(kAttitude)) * s.attitude).normalized();
  s.gyro_bias += e.segment<3>(kGyroBias);
  s.accel_bias += e.segment<3>(kAccelBias);
  s.wind += e.segment<2>(kWind);
  s.mount = (exp_quaternion(e.segment<3>(kMount)) * s.mount).normalized();
  s.autopilot_bias += e.segment<3>(kAutopilotBias);
  s.baro_bias += e(kBaroBias);
  s.airspeed_scale += e(kAirspeedScale);
  s.map_offset += e.segment<3>(kMapOffset);
  s.odometry_scale += e(kOdometryScale);
  s.gust += e.segment<2>(kGust);
  for (int i = 0; i < s.clones; ++i) {
    const int at = kCore + i * kCloneSize;
    s.clone[i].position += e.segment<3>(at);
    s.clone[i].attitude = (exp_quaternion(e.segment<3>(at + 3)) * s.clone[i].attitude).normalized();
  }
}

// Fills the record and, where the innovation passes (or nobody asks), corrects the state. Returns whether it passed.
template <int M>
bool fuse(State& s, const Measurement<M>& m, double gate, bool decide, bool apply, AidSourceStatus& aid) {
  const int n = s.size();
  const auto p = s.covariance.topLeftCorner(n, n);
  const Eigen::Matrix<double, Eigen::Dynamic, M, 0, kMax, M> cross = p * m.jacobian.leftCols(n).transpose();
  Eigen::Matrix<double, M, M> innovation_covariance = m.jacobian.leftCols(n) * cross + m.noise;
  innovation_covariance = (0.5 * (innovation_covariance + innovation_covariance.transpose())).eval();
  aid.used = M;
  aid.observation.template head<M>() = m.observation;
  aid.observation_variance.template head<M>() = m.noise.diagonal();
  aid.innovation.template head<M>() = m.residual;
  aid.innovation_variance.template head<M>() = innovation_covariance.diagonal();
  const Eigen::LLT<Eigen::Matrix<double, M, M>> solver(innovation_covariance);
  const double chi2 = m.residual.dot(solver.solve(m.residual));
  if (solver.info() != Eigen::Success || !std::isfinite(chi2)) {
    aid.accepted = false;
    aid.reason = Reason::innovation_not_positive;
    return false;
  }
  aid.test_ratio = chi2 / gate;
  aid.accepted = !decide || aid.test_ratio <= 1.0;
  aid.reason = aid.accepted ? Reason::fused : Reason::outside_gate;
  if (!aid.accepted || !apply) return aid.accepted;
  const Eigen::Matrix<double, Eigen::Dynamic, M, 0, kMax, M> gain = solver.solve(cross.transpose()).transpose();
  Error error = Error::Zero();
  error.head(n) = gain * m.residual;
  auto out = s.covariance.topLeftCorner(n, n);
  out.template triangularView<Eigen::Lower>() -= gain * cross.transpose();
  for (int column = 0; column < n; ++column) {
    if (!(out(column, column) > 1e-16)) out(column, column) = 1e-16;
    for (int row = column + 1; row < n; ++row) out(column, row) = out(row, column);
  }
  inject(s, error);
  return true;
}

void inflate(State& s, int index, int count, double sigma) {
  for (int i = index; i < index + count; ++i) s.covariance(i, i) += sigma * sigma;
}

// As fuse, but a source that is refused for longer than the patience gets its own bias states opened, so that an
// autopilot that re-aligned itself, or a pitot that iced and cleared, is not locked out for the rest of the flight.
template <int M, typename Open>
void fuse_patiently(const Config& c, State& s, const Measurement<M>& m, double gate, AidSourceStatus& aid,
                    Open&& open) {
  std::int64_t& since = s.rejected_since_ns[static_cast<int>(aid.source)];
  if (since != 0 && static_cast<double>(s.t_ns - since) * 1e-9 > c.gate_patience_s) {
    open();
    since = s.t_ns;
  }
  const bool accepted = fuse(s, m, gate, true, true, aid);
  if (accepted)
    since = 0;
  else if (since == 0)
    since = s.t_ns;
}

// Direction of the image's upward axis on the ground, and how it changes with the camera's attitude error in ENU.
double camera_yaw(const Quat& body, const Quat& mount, Vec3& gradient) {
  const Vec3 u = body * (mount * Vec3(0.0, -1.0, 0.0));
  const double flat = std::max(u.x() * u.x() + u.y() * u.y(), 1e-6);
  gradient = Vec3(-u.z() * u.x() / flat, -u.z() * u.y() / flat, 1.0);
  return std::atan2(u.y(), u.x());
}

constexpr double kStepShare = 0.1;  // by which an attitude that is off alike may go on changing

// What a source's innovations say of a noise: while they are larger than the state expects, it is given more room, and
// less again when they fit (Mehra 1970, in the multiplicative form that keeps a variance positive). `forgets` is how
// fast it comes back, over how fast it grows.
void learn(const Config& c, std::int64_t t_ns, double nis, double time_s, double scale_max, double forgets,
           LearnedNoise& noise) {
  const double dt = noise.t_ns == 0 ? 0.0 : std::min(static_cast<double>(t_ns - noise.t_ns) * 1e-9, 1.0);
  noise.t_ns = t_ns;
  if (!(dt > 0.0)) return;
  noise.nis += (1.0 - std::exp(-dt / time_s)) * (std::min(nis, c.nis_counted_max) - noise.nis);
  double rate = 0.0;
  if (noise.nis > c.gust_nis_high) rate = (noise.nis - c.gust_nis_high) / time_s;
  if (noise.nis < 1.0) rate = forgets * (noise.nis - 1.0) / time_s;
  noise.scale = std::clamp(noise.scale * std::exp(rate * dt), 1.0, scale_max);
}

// The autopilot's attitude has little white noise and an error that wanders: an attitude that is shaken, late or frozen
// shows in innovations of one sign long before it shows in their size. So their mean is judged, over the time in which
// it is learned, against what a mean of independent ones would be.
void learn_attitude(const Config& c, State& s, const AidSourceStatus& aid) {
  const double dt = s.autopilot.t_ns == 0 ? 0.0 : std::min(static_cast<double>(s.t_ns - s.autopilot.t_ns) * 1e-9, 1.0);
  if (!(dt > 0.0)) {
    s.autopilot.t_ns = s.t_ns;
    return;
  }
  const double share = 1.0 - std::exp(-dt / c.autopilot_learning_s);
  const double limit = std::sqrt(c.gate_attitude);
  for (int i = 0; i < 3; ++i) {
    const double z = aid.innovation(i) / std::sqrt(std::max(aid.innovation_variance(i), 1e-12));
    s.attitude_mean(i) += share * (std::clamp(z, -limit, limit) - s.attitude_mean(i));
  }
  const double expected = share / (2.0 - share);  // variance of a mean that forgets, of independent ones
  learn(c, s.t_ns, s.attitude_mean.squaredNorm() / (3.0 * expected), c.autopilot_learning_s, c.autopilot_scale_max,
        kAttitudeForgets, s.autopilot);
}

// Air that changes for long (a front, a shear) is a steady acceleration, which airspeed and IMU together explain by a
// tilt: no innovation of theirs shows it. The ground in the pictures does, by steps of one sign, as noise has none.
void learn_from_odometry(const Config& c, State& s, const AidSourceStatus& aid) {
  const double dt =
      s.gusts_seen.t_ns == 0 ? 0.0 : std::min(static_cast<double>(s.t_ns - s.gusts_seen.t_ns) * 1e-9, 1.0);
  const double share = 1.0 - std::exp(-std::max(dt, 0.0) / c.gust_learning_s);
  const double limit = std::sqrt(c.nis_counted_max);
  for (int i = 0; i < 2; ++i) {
    const double z = aid.innovation(i) / std::sqrt(std::max(aid.innovation_variance(i), 1e-12));
    s.odometry_mean(i) += share * (std::clamp(z, -limit, limit) - s.odometry_mean(i));
  }
  const double expected = std::max(share / (2.0 - share), 1e-3);
  learn(c, s.t_ns, s.odometry_mean.squaredNorm() / (2.0 * expected), c.gust_learning_s, c.gust_scale_max, kGustsForget,
        s.gusts_seen);
}

void replace_position(State& s, const Vec3& position, const Vec3& sigma) {
  drop_clones(s);
  s.covariance.middleRows<3>(kPosition).setZero();
  s.covariance.middleCols<3>(kPosition).setZero();
  for (int i = 0; i < 3; ++i) s.covariance(kPosition + i, kPosition + i) = sigma(i) * sigma(i);
  s.position = position;
}

void open_horizontal(State& s, const Vec2& position, double sigma) {
  drop_clones(s);
  s.covariance.middleRows<2>(kPosition).setZero();
  s.covariance.middleCols<2>(kPosition).setZero();
  for (int i = 0; i < 2; ++i) s.covariance(kPosition + i, kPosition + i) = sigma * sigma;
  s.position.head<2>() = position;
}

Measurement<6> fix_measurement(const Config& c, const State& s, const Fix& fix) {
  Measurement<6> m;
  const Quat camera = s.attitude * s.mount;
  m.observation << fix.position, log_quaternion(fix.camera_to_enu);
  m.residual << fix.position - s.position - s.map_offset, log_quaternion(fix.camera_to_enu * camera.conjugate());
  m.jacobian.block<3, 3>(0, kPosition).setIdentity();
  m.jacobian.block<3, 3>(0, kMapOffset).setIdentity();
  m.jacobian.block<3, 3>(3, kAttitude).setIdentity();
  m.jacobian.block<3, 3>(3, kMount) = s.attitude.toRotationMatrix();
  m.noise = fix.covariance * (c.fix_sigma_scale * c.fix_sigma_scale);
  for (int i = 0; i < 3; ++i) {
    m.noise(i, i) += c.fix_floor_m * c.fix_floor_m;
    m.noise(i + 3, i + 3) += c.fix_floor_rad * c.fix_floor_rad;
  }
  return m;
}

Measurement<4> odometry_measurement(const Config& c, const State& s, const Odometry& step, int k) {
  Measurement<4> m;
  const Clone& first = s.clone[k];
  const int at = kCore + k * kCloneSize;
  Vec3 gradient0, gradient1;
  const double yaw0 = camera_yaw(first.attitude, s.mount, gradient0);
  const double yaw1 = camera_yaw(s.attitude, s.mount, gradient1);
  const double turn = wrap(yaw0 - step.yaw_prior);
  const Eigen::AngleAxisd about_up(turn, Vec3::UnitZ());
  const Vec3 moved = about_up * step.displacement;
  const Vec3 sideways = Vec3::UnitZ().cross(moved);
  m.observation << step.displacement, step.yaw_change;
  // The scale is on the side of the state: on the noisy side it would shrink to make the noise small.
  const double scale = 1.0 + s.odometry_scale;
  const Vec3 between = s.position - first.position;
  m.residual << moved - scale * between, wrap(step.yaw_change - wrap(yaw1 - yaw0));
  m.jacobian.block<3, 3>(0, kPosition) = scale * Mat3::Identity();
  m.jacobian.block<3, 3>(0, at) = -scale * Mat3::Identity();
  m.jacobian.block<3, 3>(0, at + 3) = -sideways * gradient0.transpose();
  m.jacobian.block<3, 3>(0, kMount) = -sideways * gradient0.transpose() * first.attitude.toRotationMatrix();
  m.jacobian.block<3, 1>(0, kOdometryScale) = between;
  m.jacobian.block<1, 3>(3, kAttitude) = gradient1.transpose();
  m.jacobian.block<1, 3>(3, at + 3) = -gradient0.transpose();
  m.jacobian.block<1, 3>(3, kMount) =
      gradient1.transpose() * s.attitude.toRotationMatrix() - gradient0.transpose() * first.attitude.toRotationMatrix();
  m.noise = step.covariance * (c.odometry_sigma_scale * c.odometry_sigma_scale);
  for (int i = 0; i < 2; ++i) m.noise(i, i) += c.odometry_floor_m * c.odometry_floor_m;
  m.noise(2, 2) += c.odometry_up_floor_m * c.odometry_up_floor_m;
  m.noise(3, 3) += c.odometry_yaw_floor_rad * c.odometry_yaw_floor_rad;
  return m;
}

int clone_at(const State& s, std::int64_t t_ns) {
  int k = 0;
  while (k < s.clones && s.clone[k].t_ns != t_ns) ++k;
  return k;
}

// A step that its gate refused. Several of one direction are evidence that the state's motion is wrong, or that the
// pictures move (clouds): nobody knows which, so position and velocity are opened by what the two differ. No air moves
// an aircraft by more than `refused_speed_max_mps` so soon: then it is the pictures.
void count_refused(const Config& c, State& s, const Odometry& step, const Vec2& innovation) {
  const double dt = std::max(static_cast<double>(s.t_ns - step.t0_ns) * 1e-9, 0.05);
  const bool plausible = innovation.norm() <= c.refused_speed_max_mps * dt;
  const bool same = plausible && innovation.dot(s.refused_m) > 0.0;
  s.refused_m = same ? Vec2(s.refused_m + innovation) : innovation;
  s.refused_steps = same ? s.refused_steps + 1 : plausible ? 1 : 0;
  if (s.refused_steps < static_cast<int>(c.refused_steps_min)) return;
  // The first time for all of them at once, then for each as it comes.
  const Vec2 apart = s.refused_steps == static_cast<int>(c.refused_steps_min) ? s.refused_m : innovation;
  const double sigma = std::sqrt(s.covariance(kPosition, kPosition) + s.covariance(kPosition + 1, kPosition + 1));
  // Errors of one direction add up as they are, not as their squares.
  const double growth = apart.norm() * (2.0 * sigma + apart.norm());
  const Vec2 axis = apart.normalized();
  s.covariance.block<2, 2>(kPosition, kPosition) += growth * axis * axis.transpose();
  const Vec2 speed = innovation / dt;
  s.covariance.block<2, 2>(kVelocity, kVelocity) += speed * speed.transpose();
  drop_clones(s);
  remember(s);
}

}  // namespace

void fuse_origin(const Config& c, State& s, const Origin& origin, AidSourceStatus& aid) {
  replace_position(s, origin.position, {origin.sigma_horizontal, origin.sigma_horizontal, origin.sigma_vertical});
  s.position_known = true;
  s.origin_travelled = s.travelled;
  if (origin.has_velocity) {
    Measurement<3> m;
    m.observation = origin.velocity;
    m.residual = origin.velocity - s.velocity;
    m.jacobian.block<3, 3>(0, kVelocity).setIdentity();
    m.noise.diagonal().setConstant(c.origin_velocity_sigma_mps * c.origin_velocity_sigma_mps);
    fuse(s, m, 1.0, false, true, aid);
  }
  aid.used = 3;
  aid.observation.head<3>() = origin.position;
  aid.observation_variance.head<3>() = s.covariance.diagonal().segment<3>(kPosition);
  aid.innovation.setZero();
  aid.innovation_variance.setZero();
  aid.test_ratio = 0.0;
  aid.accepted = true;
  aid.reason = Reason::position_starts;
}

void fuse_baro(const Config& c, State& s, double altitude_up_m, AidSourceStatus& aid) {
  Measurement<1> m;
  const double far = s.position_known ? 1.0 : 0.0;
  const double drop = far * s.position.head<2>().squaredNorm() / (2.0 * kEarthRadius);
  m.observation(0) = altitude_up_m;
  m.residual(0) = altitude_up_m - (s.position.z() + drop + s.baro_bias);
  m.jacobian(0, kPosition) = far * s.position.x() / kEarthRadius;
  m.jacobian(0, kPosition + 1) = far * s.position.y() / kEarthRadius;
  m.jacobian(0, kPosition + 2) = 1.0;
  m.jacobian(0, kBaroBias) = 1.0;
  m.noise(0, 0) = c.baro_noise_m * c.baro_noise_m;
  fuse_patiently(c, s, m, c.gate_baro, aid, [&] { inflate(s, kBaroBias, 1, 10.0 * c.baro_bias_sigma_m); });
}

void fuse_airspeed(const Config& c, State& s, double speed_mps, AidSourceStatus& aid) {
  Measurement<2> m;
  const Vec3 air = s.velocity - Vec3(s.wind.x() + s.gust.x(), s.wind.y() + s.gust.y(), 0.0);
  const double speed = air.norm();
  m.observation << speed_mps, 0.0;
  if (speed_mps < c.airspeed_min_mps || speed < 1.0) {
    aid.used = 1;
    aid.observation(0) = speed_mps;
    aid.accepted = false;
    aid.reason = Reason::too_slow;
    return;
  }
  const Vec3 ahead = air / speed;
  const Vec3 right = s.attitude * Vec3(0.0, 1.0, 0.0);
  const double scale = 1.0 + s.airspeed_scale;
  m.residual << speed_mps - scale * speed, -right.dot(air);
  m.jacobian.block<1, 3>(0, kVelocity) = scale * ahead.transpose();
  m.jacobian.block<1, 2>(0, kWind) = -scale * ahead.head<2>().transpose();
  m.jacobian.block<1, 2>(0, kGust) = m.jacobian.block<1, 2>(0, kWind);
  m.jacobian(0, kAirspeedScale) = speed;
  m.jacobian.block<1, 3>(1, kVelocity) = right.transpose();
  m.jacobian.block<1, 2>(1, kWind) = -right.head<2>().transpose();
  m.jacobian.block<1, 2>(1, kGust) = -right.head<2>().transpose();
  m.jacobian.block<1, 3>(1, kAttitude) = right.cross(air).transpose();
  m.noise(0, 0) = c.airspeed_noise_mps * c.airspeed_noise_mps;
  // An aircraft slips in a turn, the more the faster it turns.
  const double slip = c.sideslip_turn_m * (s.gyro - s.gyro_bias).z();
  m.noise(1, 1) = c.sideslip_noise_mps * c.sideslip_noise_mps + slip * slip;
  fuse_patiently(c, s, m, c.gate_airspeed, aid, [&] {
    inflate(s, kWind, 2, c.wind_sigma_mps);
    inflate(s, kAirspeedScale, 1, c.airspeed_scale_sigma);
  });
  learn(c, s.t_ns, aid.test_ratio * c.gate_airspeed / 2.0, c.gust_learning_s, c.gust_scale_max, kGustsForget, s.gusts);
}

void fuse_rangefinder(const Config& c, State& s, double distance_m, AidSourceStatus& aid) {
  Measurement<1> m;
  const double down = (s.attitude * Vec3(0.0, 0.0, 1.0)).z();
  m.observation(0) = distance_m;
  if (down > -0.7) {
    aid.used = 1;
    aid.observation(0) = distance_m;
    aid.accepted = false;
    aid.reason = Reason::tilted_too_far;
    return;
  }
  m.residual(0) = -down * distance_m - (s.position.z() + s.map_offset.z() - c.ground_up_m);
  m.jacobian(0, kPosition + 2) = 1.0;
  m.jacobian(0, kMapOffset + 2) = 1.0;
  const double noise = c.rangefinder_noise_m + 0.02 * distance_m;
  m.noise(0, 0) = noise * noise;
  fuse_patiently(c, s, m, c.gate_rangefinder, aid,
                 [&] { inflate(s, kMapOffset + 2, 1, 3.0 * c.map_vertical_sigma_m); });
}

// An autopilot that aligns itself, on the ground or in the first seconds of its power, moves its attitude by far, and
// goes on as the gyroscopes do; one that is frozen does not. The state's is a copy of the one before until a map fix
// has confirmed it.
bool has_realigned(const Config& c, State& s, const Quat& body_to_enu, const Vec3& off) {
  if ((off - s.steady_off).norm() > kStepShare * s.steady_off.norm() + c.autopilot_tilt_sigma_rad) {
    s.steady = body_to_enu;
    s.steady_off = off;
    s.steady_ns = s.t_ns;
  }
  if (s.map_seen || static_cast<double>(s.t_ns - s.steady_ns) * 1e-9 <= c.gate_patience_s) return false;
  const double tilts = off.head<2>().norm() / c.autopilot_tilt_sigma_rad, yaws = off.z() / c.autopilot_yaw_sigma_rad;
  const bool frozen = body_to_enu.coeffs() == s.steady.coeffs();
  return tilts * tilts + yaws * yaws > c.gate_attitude && !frozen;
}

void realign(const Config& c, State& s, const Quat& body_to_enu) {
  const double turn = log_quaternion(body_to_enu * s.attitude.conjugate()).z();
  const Vec2 carried = s.wind + s.gust, before = s.velocity.head<2>();
  s.velocity.head<2>() = carried + Eigen::Rotation2Dd(turn) * (before - carried);
  inflate(s, kVelocity, 2, 0.5 * (s.velocity.head<2>() - before).norm());
  inflate(s, kPosition, 2, std::abs(turn) * (s.travelled - s.origin_travelled).head<2>().norm());
  s.clones = 0;  // a pose that is remembered has the attitude of before
  copy_attitude(c, s, body_to_enu);
  s.autopilot = LearnedNoise{};
  s.attitude_mean.setZero();
  s.rejected_since_ns[static_cast<int>(Source::attitude)] = 0;
}

void fuse_attitude(const Config& c, State& s, const Quat& body_to_enu, AidSourceStatus& aid) {
  const Vec3 off = log_quaternion(body_to_enu * s.attitude.conjugate());
  if (has_realigned(c, s, body_to_enu, off)) {
    realign(c, s, body_to_enu);
    aid.accepted = true;
    aid.reason = Reason::realigned;
    return;
  }
  Measurement<3> m;
  m.observation = log_quaternion(body_to_enu);
  m.residual = off - s.autopilot_bias;
  m.jacobian.block<3, 3>(0, kAttitude).setIdentity();
  m.jacobian.block<3, 3>(0, kAutopilotBias).setIdentity();
  m.noise.diagonal().setConstant(c.attitude_noise_rad * c.attitude_noise_rad);
  fuse_patiently(c, s, m, c.gate_attitude, aid, [&] {
    inflate(s, kAutopilotBias, 2, 4.0 * c.autopilot_tilt_sigma_rad);
    inflate(s, kAutopilotBias + 2, 1, 4.0 * c.autopilot_yaw_sigma_rad);
    inflate(s, kAttitude, 2, 2.0 * c.autopilot_tilt_sigma_rad);
    inflate(s, kAttitude + 2, 1, 2.0 * c.autopilot_yaw_sigma_rad);
  });
  learn_attitude(c, s, aid);
}

void fuse_odometry(const Config& c, State& s, const Odometry& step, bool decide, bool refused, AidSourceStatus& aid) {
  const int k = clone_at(s, step.t0_ns);
  if (k == s.clones) {
    aid.accepted = false;
    aid.reason = Reason::no_clone;
    return;
  }
  const bool fits = fuse(s, odometry_measurement(c, s, step, k), c.gate_odometry, decide, !refused, aid);
  learn_from_odometry(c, s, aid);
  if (fits && !refused) {
    s.refused_m.setZero();
    s.refused_steps = 0;
  } else {
    aid.accepted = false;
    count_refused(c, s, step, aid.innovation.head<2>());
  }
}

void test_fix(const Config& c, const State& s, const Fix& fix, AidSourceStatus& aid) {
  State copy = s;
  fuse(copy, fix_measurement(c, copy, fix), c.gate_fix, true, false, aid);
}

void fuse_fix(const Config& c, State& s, const Fix& fix, FixMode mode, AidSourceStatus& aid) {
  if (mode != FixMode::update) {
    // The horizontal position alone: height, attitude, wind and biases are known from elsewhere.
    const double wide = 1.0e3 + 3.0 * std::sqrt(fix.covariance.diagonal().head<2>().maxCoeff());
    open_horizontal(s, (fix.position - s.map_offset).head<2>(), wide);
  }
  const bool relocates = mode == FixMode::relocate || mode == FixMode::relocate_early;
  if (relocates) {
    // The state was wrong: what it believes of its motion is open again.
    inflate(s, kVelocity, 3, c.reset_velocity_sigma_mps);
    inflate(s, kAttitude, 2, c.reset_tilt_sigma_rad);
    inflate(s, kAttitude + 2, 1, c.reset_yaw_sigma_rad);
    inflate(s, kWind, 2, c.reset_velocity_sigma_mps);
  }
  // A displacement and a tilt look alike: the first fixes of a wrong place are taken for a mount that is.
  if (mode == FixMode::relocate_early) inflate(s, kMount, 3, c.mount_sigma_rad);
  fuse(s, fix_measurement(c, s, fix), c.gate_fix, false, true, aid);
  if (aid.accepted) s.position_known = s.map_seen = true;
  if (aid.accepted && mode == FixMode::place) aid.reason = Reason::position_starts;
  if (aid.accepted && relocates) aid.reason = Reason::relocated;
}

bool healthy(const State& s) {
  const int n = s.size();
  if (!s.position.allFinite() || !s.velocity.allFinite() || !s.attitude.coeffs().allFinite()) return false;
  const auto p = s.covariance.topLeftCorner(n, n);
  return p.allFinite() && p.diagonal().minCoeff() > 0.0;
}

}  // namespace gps_denied::eskf
