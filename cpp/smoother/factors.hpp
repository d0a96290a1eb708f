// Errors of the smoother's own factors with their derivatives; what the variables mean stands in fusion/factors.py.
#pragma once

#include <Eigen/Core>
#include <optional>

namespace gps_denied::smoother {

constexpr int kSlow = 16;  // wind 2, autopilot 3, baro, airspeed, map 3, odometry, mount 3, gust 2
constexpr int kWind = 0;
constexpr int kAutopilot = 2;
constexpr int kBaro = 5;
constexpr int kAirspeed = 6;
constexpr int kMap = 7;
constexpr int kOdometry = 10;
constexpr int kMount = 11;
constexpr int kGust = 14;

using Slow = Eigen::Matrix<double, kSlow, 1>;
using Matrix3 = Eigen::Matrix3d;
using Vector3 = Eigen::Vector3d;

// Pose of a keyframe: body to ENU.
struct Pose {
  Matrix3 rotation;
  Vector3 position;
};

// Error and its derivatives by each variable, in the variables' order.
template <int Variables>
struct Linear {
  Eigen::VectorXd error;
  Eigen::MatrixXd by[Variables];
};

// What the autopilot measured at a keyframe; absent: nothing.
struct Sensed {
  std::optional<Matrix3> rotation_body_to_enu;
  std::optional<double> baro_up_m;
  std::optional<double> airspeed_mps;
};

// By pose 1, velocity 1, slow errors 0, slow errors 1.
Linear<4> keyframe_error(const Pose& pose, const Vector3& velocity, const Slow& slow0, const Slow& slow1,
                         const Slow& decay, const Sensed& sensed, double earth_radius_m);

// By pose, slow errors.
Linear<2> fix_error(const Pose& pose, const Slow& slow, const Vector3& position, const Matrix3& rotation,
                    const Matrix3& nominal);

// By pose 0, pose 1, slow errors 1.
Linear<3> odometry_error(const Pose& pose0, const Pose& pose1, const Slow& slow, const Vector3& displacement,
                         double yaw_change, double yaw_prior, const Matrix3& nominal);

}  // namespace gps_denied::smoother
