// One step of the camera's pose from points on the ground: see localisation/plane_pose.py. Sums are taken point by
// point in their order.
#pragma once

#include <Eigen/Core>
#include <cstddef>

namespace gps_denied::plane {

// Least squares in (position, rotation from the left) at a pose; `agreeing` points have a weight of more than 0.1.
struct PoseEquations {
  Eigen::Matrix<double, 6, 6> information = Eigen::Matrix<double, 6, 6>::Zero();
  Eigen::Matrix<double, 6, 1> gradient = Eigen::Matrix<double, 6, 1>::Zero();
  int agreeing = 0;
};

// Of `count` bearings (2 numbers each, normalised image) of ground points (3 each): residuals in units of `noise`,
// Tukey weights that end at `limit`.
PoseEquations pose_equations(const Eigen::Vector3d& position, const Eigen::Matrix3d& rotation_camera_to_enu,
                             const double* bearings, const double* ground, std::size_t count, double noise,
                             double limit);

}  // namespace gps_denied::plane
