#include "plane/pose.hpp"

#include <algorithm>
#include <cmath>

#include "skew.hpp"

namespace gps_denied::plane {

constexpr double kInFront = 1e-3;  // m: what lies nearer, or behind, counts as lying here
constexpr double kAgreeing = 0.1;

PoseEquations pose_equations(const Eigen::Vector3d& position, const Eigen::Matrix3d& rotation_camera_to_enu,
                             const double* bearings, const double* ground, std::size_t count, double noise,
                             double limit) {
  PoseEquations out;
  const Eigen::Matrix3d to_camera = rotation_camera_to_enu.transpose();
  for (std::size_t k = 0; k < count; ++k) {
    const Eigen::Vector3d relative = Eigen::Map<const Eigen::Vector3d>(ground + 3 * k) - position;
    const Eigen::Vector3d seen = to_camera * relative;
    const double z = std::max(seen.z(), kInFront);
    const Eigen::Vector2d residual(seen.x() / z - bearings[2 * k], seen.y() / z - bearings[2 * k + 1]);
    const double off = residual.norm() / limit;
    if (!(off < 1.0)) {
      continue;
    }
    const double weight = (1.0 - off * off) * (1.0 - off * off);
    out.agreeing += weight > kAgreeing;
    // c = R^T (g - p); R -> exp(e) R gives c -> R^T exp(-e) (g - p), so dc/de = R^T [g - p]x.
    Eigen::Matrix<double, 2, 3> by_camera;
    by_camera << 1.0 / z, 0.0, -seen.x() / (z * z), 0.0, 1.0 / z, -seen.y() / (z * z);
    Eigen::Matrix<double, 2, 6> jacobian;
    jacobian.leftCols<3>() = -by_camera * to_camera;
    jacobian.rightCols<3>() = by_camera * (to_camera * skew(relative));
    const double information = weight / (noise * noise);
    out.information += information * (jacobian.transpose() * jacobian);
    out.gradient += information * (jacobian.transpose() * residual);
  }
  return out;
}

}  // namespace gps_denied::plane
