#include "smoother/factors.hpp"

#include <Eigen/Geometry>
#include <algorithm>
#include <cmath>

#include "skew.hpp"

namespace gps_denied::smoother {
namespace {

constexpr double kTurn = 6.283185307179586;

Matrix3 exp_rotation(const Vector3& v) {
  const double angle = v.norm();
  const Matrix3 k = skew(v);
  if (angle < 1e-8) {
    return Matrix3::Identity() + k + 0.5 * k * k;
  }
  return Matrix3::Identity() + std::sin(angle) / angle * k + (1.0 - std::cos(angle)) / (angle * angle) * k * k;
}

Vector3 log_rotation(const Matrix3& r) {
  Eigen::Quaterniond q(r);
  q.normalize();
  const double sign = q.w() < 0.0 ? -1.0 : 1.0;
  const Vector3 axis = sign * q.vec();
  const double norm = axis.norm();
  if (norm < 1e-12) {
    return 2.0 * axis;
  }
  return axis * (2.0 * std::atan2(norm, sign * q.w()) / norm);
}

// The camera under the mount's error, and how it turns in ENU with the mount.
struct Camera {
  Matrix3 rotation;
  Matrix3 by_mount;
};

Camera camera_of(const Matrix3& body, const Slow& slow, const Matrix3& nominal) {
  const Vector3 mount = slow.segment<3>(kMount);
  return {body * exp_rotation(mount) * nominal, body * (Matrix3::Identity() + 0.5 * skew(mount))};
}

// Yaw of the image's upward axis and its gradient by the camera's rotation in ENU.
struct Yaw {
  double angle;
  Eigen::RowVector3d gradient;
};

Yaw yaw_of(const Matrix3& camera) {
  const Vector3 up = -camera.col(1);
  const double flat = std::max(up.x() * up.x() + up.y() * up.y(), 1e-6);
  return {std::atan2(up.y(), up.x()), {-up.z() * up.x() / flat, -up.z() * up.y() / flat, 1.0}};
}

}  // namespace

Linear<4> keyframe_error(const Pose& pose, const Vector3& velocity, const Slow& slow0, const Slow& slow1,
                         const Slow& decay, const Sensed& sensed, double earth_radius_m) {
  const int rows =
      kSlow + (sensed.rotation_body_to_enu ? 3 : 0) + (sensed.baro_up_m ? 1 : 0) + (sensed.airspeed_mps ? 2 : 0);
  Linear<4> out{Eigen::VectorXd(rows),
                {Eigen::MatrixXd::Zero(rows, 6), Eigen::MatrixXd::Zero(rows, 3), Eigen::MatrixXd::Zero(rows, kSlow),
                 Eigen::MatrixXd::Zero(rows, kSlow)}};
  auto& [error, by] = out;
  const Matrix3& r = pose.rotation;
  const Vector3& p = pose.position;
  error.head<kSlow>() = slow1 - decay.cwiseProduct(slow0);
  by[2].topRows<kSlow>().diagonal() = -decay;
  by[3].topRows<kSlow>().diagonal().setOnes();
  int at = kSlow;
  if (sensed.rotation_body_to_enu) {
    error.segment<3>(at) = log_rotation(*sensed.rotation_body_to_enu * r.transpose()) - slow1.segment<3>(kAutopilot);
    by[0].block<3, 3>(at, 0) = -r;
    by[3].block<3, 3>(at, kAutopilot) = -Matrix3::Identity();
    at += 3;
  }
  if (sensed.baro_up_m) {
    const double bulge = (p.x() * p.x() + p.y() * p.y()) / (2.0 * earth_radius_m);
    error(at) = p.z() + bulge + slow1(kBaro) - *sensed.baro_up_m;
    by[0].block<1, 3>(at, 3) = Eigen::RowVector3d(p.x() / earth_radius_m, p.y() / earth_radius_m, 1.0) * r;
    by[3](at, kBaro) = 1.0;
    at += 1;
  }
  if (sensed.airspeed_mps) {
    Vector3 air = velocity;
    air.head<2>() -= slow1.segment<2>(kWind) + slow1.segment<2>(kGust);
    const double speed = std::max(air.norm(), 1.0);
    const Vector3 ahead = air / speed;
    const Vector3 right = r.col(1);
    const double scale = 1.0 + slow1(kAirspeed);
    error(at) = scale * speed - *sensed.airspeed_mps;
    error(at + 1) = right.dot(air);
    by[1].row(at) = scale * ahead.transpose();
    by[1].row(at + 1) = right.transpose();
    for (const int where : {kWind, kGust}) {
      by[3].block<1, 2>(at, where) = -scale * ahead.head<2>().transpose();
      by[3].block<1, 2>(at + 1, where) = -right.head<2>().transpose();
    }
    by[3](at, kAirspeed) = speed;
    by[0].block<1, 3>(at + 1, 0) = Vector3::UnitY().cross(r.transpose() * air).transpose();
  }
  return out;
}

Linear<2> fix_error(const Pose& pose, const Slow& slow, const Vector3& position, const Matrix3& rotation,
                    const Matrix3& nominal) {
  const Camera camera = camera_of(pose.rotation, slow, nominal);
  Linear<2> out{Eigen::VectorXd(6), {Eigen::MatrixXd::Zero(6, 6), Eigen::MatrixXd::Zero(6, kSlow)}};
  out.error.head<3>() = pose.position + slow.segment<3>(kMap) - position;
  out.error.tail<3>() = log_rotation(camera.rotation * rotation.transpose());
  out.by[0].block<3, 3>(0, 3) = pose.rotation;
  out.by[1].block<3, 3>(0, kMap) = Matrix3::Identity();
  out.by[0].block<3, 3>(3, 0) = pose.rotation;
  out.by[1].block<3, 3>(3, kMount) = camera.by_mount;
  return out;
}

Linear<3> odometry_error(const Pose& pose0, const Pose& pose1, const Slow& slow, const Vector3& displacement,
                         double yaw_change, double yaw_prior, const Matrix3& nominal) {
  const Camera camera0 = camera_of(pose0.rotation, slow, nominal);
  const Camera camera1 = camera_of(pose1.rotation, slow, nominal);
  const Yaw yaw0 = yaw_of(camera0.rotation);
  const Yaw yaw1 = yaw_of(camera1.rotation);
  const double off_yaw = std::remainder(yaw0.angle - yaw_prior, kTurn);
  const Vector3 turned = Eigen::AngleAxisd(off_yaw, Vector3::UnitZ()) * displacement;
  const double scale = 1.0 + slow(kOdometry);
  const Vector3 between = pose1.position - pose0.position;
  Linear<3> out{Eigen::VectorXd(4),
                {Eigen::MatrixXd::Zero(4, 6), Eigen::MatrixXd::Zero(4, 6), Eigen::MatrixXd::Zero(4, kSlow)}};
  // The scale is on the side of the state: on the noisy side it would shrink to make the noise small.
  out.error.head<3>() = scale * between - turned;
  out.error(3) = std::remainder(yaw1.angle - yaw0.angle - yaw_change, kTurn);
  const Vector3 sideways(-turned.y(), turned.x(), 0.0);
  const Eigen::RowVector3d turn0 = yaw0.gradient * pose0.rotation;
  const Eigen::RowVector3d turn1 = yaw1.gradient * pose1.rotation;
  const Eigen::RowVector3d mount0 = yaw0.gradient * camera0.by_mount;
  out.by[0].block<3, 3>(0, 3) = -scale * pose0.rotation;
  out.by[1].block<3, 3>(0, 3) = scale * pose1.rotation;
  out.by[0].block<3, 3>(0, 0) = -sideways * turn0;
  out.by[2].block<3, 3>(0, kMount) = -sideways * mount0;
  out.by[2].block<3, 1>(0, kOdometry) = between;
  out.by[0].block<1, 3>(3, 0) = -turn0;
  out.by[1].block<1, 3>(3, 0) = turn1;
  out.by[2].block<1, 3>(3, kMount) = yaw1.gradient * camera1.by_mount - mount0;
  return out;
}

}  // namespace gps_denied::smoother
