// One step of the motion of a camera over a plane, from bearings: see odometry/plane_motion.py. Sums are taken track
// by track in their order.
#pragma once

#include <Eigen/Core>
#include <cstddef>
#include <cstdint>

namespace gps_denied::plane {

constexpr int kMotion = 10;  // u (3), rotation of the second camera (3), tilt of both (2), slope of the ground (2)

// Camera to ENU; lengths in units of the first camera's height.
struct Motion {
  Eigen::Vector3d translation;
  Eigen::Matrix3d rotation0;
  Eigen::Matrix3d rotation1;
  Eigen::Vector2d slope;
};

// `count` bearings (2 numbers each) in both pictures, the ground's height at each over the plane, and the values of
// `hills` shapes there, by which the height may differ; `selected` tracks tell the scale.
struct Tracks {
  const double* first;
  const double* second;
  const double* relief;
  const double* shapes;
  const std::uint8_t* selected;
  std::size_t count;
  int hills;
};

struct Scale {
  double focal_px;
  double sigma_floor_px;
  double independent;  // so many tracks count as independent
};

// Least squares in motion and hills. `distance_px` and `weight` are of each track; `weight` comes in as the last step
// left it and is made anew unless `first_step` and the scale is still coarse.
struct MotionEquations {
  Eigen::MatrixXd information;
  Eigen::VectorXd gradient;
  double sigma_px = 0.0;
};
MotionEquations motion_equations(const Motion& motion, const Tracks& tracks, const Scale& scale, bool first_step,
                                 double* distance_px, double* weight);

}  // namespace gps_denied::plane
