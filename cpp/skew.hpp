// Cross-product matrix.
#pragma once

#include <Eigen/Core>

namespace gps_denied {

// skew(v) * w is v x w.
inline Eigen::Matrix3d skew(const Eigen::Vector3d& v) {
  Eigen::Matrix3d out;
  out << 0.0, -v.z(), v.y(), v.z(), 0.0, -v.x(), -v.y(), v.x(), 0.0;
  return out;
}

}  // namespace gps_denied
