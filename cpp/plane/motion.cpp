#include "plane/motion.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "skew.hpp"

namespace gps_denied::plane {
namespace {

constexpr double kBehind_px = 1e6;    // a track that the motion puts nowhere
constexpr double kRayleigh = 1.1774;  // median of a Rayleigh distribution over its sigma
constexpr double kCoarse = 20.0;      // floors of sigma
constexpr double kTukey = 4.5;        // sigmas

using Rows = Eigen::Matrix<double, 2, kMotion + 1>;

// Predicted bearing in the second picture; into `rows` its derivatives by the motion and, last, by the ground's height.
Eigen::Vector2d predicted(const Motion& motion, const Eigen::Vector3d& normal, const double* first, double relief,
                          Rows* rows) {
  const Eigen::Vector3d ray = motion.rotation0 * Eigen::Vector3d(first[0], first[1], 1.0);
  const double down = ray.dot(normal);
  const Eigen::Vector3d from_second = -ray * ((1.0 - relief) / down) - motion.translation;
  const Eigen::Vector3d seen = motion.rotation1.transpose() * from_second;
  const Eigen::Vector2d at = seen.head<2>() / seen.z();
  if (rows != nullptr) {
    Eigen::Matrix<double, 3, kMotion + 1> d;
    d.leftCols<3>() = -Eigen::Matrix3d::Identity();
    d.middleCols<3>(3) = skew(from_second);
    // Common tilt: the ray turns as e x a, the second camera with it.
    const Eigen::Matrix<double, 3, 2> turned = skew(-ray).leftCols<2>();
    d.middleCols<2>(6) =
        (1.0 - relief) * (-turned / down + ray * (normal.transpose() * turned) / (down * down)) + d.middleCols<2>(3);
    d.middleCols<2>(8) = -(1.0 - relief) / (down * down) * (ray * ray.head<2>().transpose());
    d.col(kMotion) = ray / down;
    d = (motion.rotation1.transpose() * d).eval();
    *rows = (d.topRows<2>() - at * d.row(2)) / seen.z();
  }
  return at;
}

double median(std::vector<double>& values) {
  if (values.empty()) {
    return std::nan("");
  }
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) {
    return *middle;
  }
  return 0.5 * (*middle + *std::max_element(values.begin(), middle));
}

}  // namespace

MotionEquations motion_equations(const Motion& motion, const Tracks& tracks, const Scale& scale, bool first_step,
                                 double* distance_px, double* weight) {
  const Eigen::Vector3d normal(-motion.slope.x(), -motion.slope.y(), 1.0);
  std::vector<double> of_selected;
  for (std::size_t k = 0; k < tracks.count; ++k) {
    const Eigen::Vector2d at = predicted(motion, normal, tracks.first + 2 * k, tracks.relief[k], nullptr);
    const double off_px = std::hypot(at.x() - tracks.second[2 * k], at.y() - tracks.second[2 * k + 1]) * scale.focal_px;
    distance_px[k] = std::isfinite(off_px) ? off_px : kBehind_px;
    if (tracks.selected[k] != 0) {
      of_selected.push_back(distance_px[k]);
    }
  }
  MotionEquations out;
  // The scale is that of the seed's inliers throughout: re-estimated from the survivors it would shrink.
  out.sigma_px = std::max(median(of_selected) / kRayleigh, scale.sigma_floor_px);
  double sum = 0.0;
  for (std::size_t k = 0; k < tracks.count; ++k) {
    if (!first_step || out.sigma_px < kCoarse * scale.sigma_floor_px) {
      const double t = std::min(distance_px[k] / (kTukey * out.sigma_px), 1.0);
      weight[k] = (1.0 - t * t) * (1.0 - t * t);
    }
    sum += weight[k];
  }
  const double share = std::min(1.0, scale.independent / std::max(sum, 1.0));
  const double focal = scale.focal_px / out.sigma_px;
  const int size = kMotion + tracks.hills;
  out.information = Eigen::MatrixXd::Zero(size, size);
  out.gradient = Eigen::VectorXd::Zero(size);
  Rows rows;
  Eigen::Matrix<double, 2, Eigen::Dynamic> whole(2, size);
  for (std::size_t k = 0; k < tracks.count; ++k) {
    if (!(weight[k] > 0.0)) {
      continue;
    }
    const Eigen::Vector2d residual = predicted(motion, normal, tracks.first + 2 * k, tracks.relief[k], &rows) -
                                     Eigen::Map<const Eigen::Vector2d>(tracks.second + 2 * k);
    if (!rows.allFinite() || !residual.allFinite()) {
      continue;
    }
    const Eigen::Map<const Eigen::RowVectorXd> shapes(tracks.shapes + k * static_cast<std::size_t>(tracks.hills),
                                                      tracks.hills);
    whole.leftCols<kMotion>() = rows.leftCols<kMotion>();
    whole.rightCols(tracks.hills) = rows.col(kMotion) * shapes;
    const double information = weight[k] * focal * focal * share;
    for (int row = 0; row < 2; ++row) {
      out.information.selfadjointView<Eigen::Lower>().rankUpdate(whole.row(row).transpose(), information);
      out.gradient += information * residual[row] * whole.row(row).transpose();
    }
  }
  out.information.triangularView<Eigen::StrictlyUpper>() = out.information.transpose();
  return out;
}

}  // namespace gps_denied::plane
