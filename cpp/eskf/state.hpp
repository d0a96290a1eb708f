// State of the error-state Kalman filter: nominal values, layout of the error, covariance.
//
// Frames: local ENU, body FRD, camera OpenCV. Attitude error is a rotation vector in ENU, left perturbation:
// R_true = exp(theta) R. Formulas: Sola, "Quaternion kinematics for the error-state Kalman filter" (2017), 5 and 7;
// stochastic cloning: Roumeliotis and Burdick (2002).
#pragma once

#include <Eigen/Dense>
#include <algorithm>
#include <array>
#include <cstdint>

namespace gps_denied::eskf {

using Vec2 = Eigen::Vector2d;
using Vec3 = Eigen::Vector3d;
using Vec6 = Eigen::Matrix<double, 6, 1>;
using Mat3 = Eigen::Matrix3d;
using Mat6 = Eigen::Matrix<double, 6, 6>;
using Quat = Eigen::Quaterniond;

// Where each part of the error lies.
constexpr int kPosition = 0;        // 3, m
constexpr int kVelocity = 3;        // 3, m/s
constexpr int kAttitude = 6;        // 3, rad, ENU
constexpr int kGyroBias = 9;        // 3, rad/s, body
constexpr int kAccelBias = 12;      // 3, m/s2, body
constexpr int kWind = 15;           // 2, m/s, east and north
constexpr int kMount = 17;          // 3, rad, body: camera_to_body_true = exp(m) camera_to_body
constexpr int kAutopilotBias = 20;  // 3, rad, ENU: error of the autopilot's attitude
constexpr int kBaroBias = 23;       // 1, m
constexpr int kAirspeedScale = 24;  // 1
constexpr int kMapOffset = 25;      // 3, m: the map lies this far from where it should (up: its ground)
constexpr int kOdometryScale = 28;  // 1: measured displacement = (1 + s) true
constexpr int kGust = 29;           // 2, m/s, east and north: what comes on top of the wind for some seconds
constexpr int kCore = 31;
constexpr int kCloneCount = 3;
constexpr int kCloneSize = 6;  // position, attitude
constexpr int kMax = kCore + kCloneCount * kCloneSize;

using Covariance = Eigen::Matrix<double, kMax, kMax>;
using Error = Eigen::Matrix<double, kMax, 1>;

// In the order in which measurements of one time are taken.
enum class Source : int { imu, origin, baro, airspeed, rangefinder, attitude, clone, odometry, fix, count };
constexpr int kSources = static_cast<int>(Source::count);

// What was done with a measurement, and why; the sentences are in Python (fusion/reasons.py), by the same names.
enum class Reason : int {
#define GPS_DENIED_REASON(name) name,
#include "eskf/reasons.inc"
#undef GPS_DENIED_REASON
};

struct Clone {
  std::int64_t t_ns = 0;
  Vec3 position = Vec3::Zero();
  Quat attitude = Quat::Identity();
};

// How much stronger a noise is than configured, as a factor on its variance, learned from its source's innovations.
struct LearnedNoise {
  double scale = 1.0;
  double nis = 1.0;       // mean of chi-square a degree of freedom, refused measurements included
  std::int64_t t_ns = 0;  // 0: none yet
};

struct ImuSample {
  std::int64_t t_ns = 0;
  Vec3 accel = Vec3::Zero(), gyro = Vec3::Zero();
};

// What the IMU's samples leave open of the motion between them, as noise densities squared by body axis: see
// learn_imu_noise. Where it is more than the configured noise, it holds instead.
struct ImuNoise {
  std::array<ImuSample, 4> last{};  // newest first; t_ns 0: none
  Vec3 accel = Vec3::Zero();        // (m/s2)^2/Hz
  Vec3 gyro = Vec3::Zero();         // (rad/s)^2/Hz
};

// How much faster than configured the gyroscope's bias drifts: a bias that warms goes one way, from span to span, where
// that of a walk goes any way. See learn_gyro_drift.
struct GyroDrift {
  std::int64_t t_ns = 0;       // when the span began; 0: none
  Vec3 bias = Vec3::Zero();    // then, rad/s
  Vec3 change = Vec3::Zero();  // over the span before
  double square = 0.0;         // mean of the product of successive changes of an axis, (rad/s)^2
  double scale = 1.0;          // on the variance of the bias's walk
};

struct State {
  std::int64_t t_ns = 0;
  std::int64_t imu_t_ns = 0;
  Vec3 accel = Vec3::Zero();  // last IMU sample, held
  Vec3 gyro = Vec3::Zero();
  Vec3 position = Vec3::Zero();
  Vec3 velocity = Vec3::Zero();
  Quat attitude = Quat::Identity();  // body to ENU
  Vec3 gyro_bias = Vec3::Zero();
  Vec3 accel_bias = Vec3::Zero();
  Vec2 wind = Vec2::Zero();
  Quat mount = Quat::Identity();  // camera to body
  Vec3 autopilot_bias = Vec3::Zero();
  double baro_bias = 0.0;
  double airspeed_scale = 0.0;
  Vec3 map_offset = Vec3::Zero();
  double odometry_scale = 0.0;
  Vec2 gust = Vec2::Zero();
  Vec3 travelled = Vec3::Zero();         // integral of the velocity; no correction of the position ever moves it
  Vec3 origin_travelled = Vec3::Zero();  // that, where the take-off place was told
  bool position_known = false;
  bool map_seen = false;  // a map fix was fused: attitude and heading are no mere copy of the autopilot's
  ImuNoise imu_noise;
  GyroDrift gyro_drift;
  LearnedNoise gusts;                 // of gusts and of the wind's walk, by the airspeed's innovations
  LearnedNoise gusts_seen;            // the same by the odometry's; `nis` is of the mean innovation
  Vec2 odometry_mean = Vec2::Zero();  // mean of the odometry's horizontal innovations, each over its sigma
  LearnedNoise autopilot;             // of the autopilot's attitude error; `nis` is of the mean innovation
  Vec3 attitude_mean = Vec3::Zero();  // mean of the attitude's innovations, each over its sigma
  Quat steady = Quat::Identity();     // the autopilot's attitude since when it has been off the state's alike,
  Vec3 steady_off = Vec3::Zero();     // by this, rad, ENU,
  std::int64_t steady_ns = 0;         // from then on
  Vec2 refused_m = Vec2::Zero();      // what successive refused odometry steps of one direction add up to
  int refused_steps = 0;
  int clones = 0;
  std::array<Clone, kCloneCount> clone;
  std::array<std::int64_t, kSources> rejected_since_ns{};  // 0: the last one was accepted
  Covariance covariance = Covariance::Zero();

  int size() const { return kCore + clones * kCloneSize; }
  double gust_scale() const { return std::max(gusts.scale, gusts_seen.scale); }
};

// All numbers of the filter; defaults live in Python (fusion/config.py), which sets every one.
struct Config {
#define GPS_DENIED_READ(name) double name;
#include "eskf/config_fields.inc"
#undef GPS_DENIED_READ
};

// One measurement and what was done with it; `used` says how many numbers of each array count.
struct AidSourceStatus {
  std::int64_t t_ns = 0;
  Source source = Source::imu;
  int used = 0;
  Vec6 observation = Vec6::Zero(), observation_variance = Vec6::Zero();
  Vec6 innovation = Vec6::Zero(), innovation_variance = Vec6::Zero();
  double test_ratio = 0.0;
  bool accepted = false;
  Reason reason = Reason::none;
};

}  // namespace gps_denied::eskf
