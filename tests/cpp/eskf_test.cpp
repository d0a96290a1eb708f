// The filter against one that was written apart in numpy (eskf_reference.py): predict, update, delayed replay.
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "eskf/history.hpp"
#include "eskf_reference.inc"

using namespace gps_denied::eskf;

namespace {

constexpr std::int64_t kStepNs = 10'000'000;

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "eskf: %s\n", what);
  std::exit(1);
}

// Largest difference, as a part of what the numbers are by themselves.
template <typename A, typename B>
bool close(const A& a, const B& b, double relative) {
  return (a - b).norm() <= relative * (1.0 + b.norm());
}

Config config() {
  Config c{};
  const double* next = kConfig;
#define GPS_DENIED_READ(name) c.name = *next++;
#include "eskf/config_fields.inc"
#undef GPS_DENIED_READ
  return c;
}

void compare(const State& s, const double* position, const double* velocity, const double* rotation,
             const double* covariance, const char* what) {
  check(close(s.position, Eigen::Map<const Vec3>(position), 1e-9), what);
  check(close(s.velocity, Eigen::Map<const Vec3>(velocity), 1e-9), what);
  check(close(s.attitude.toRotationMatrix(), Eigen::Map<const Mat3>(rotation), 1e-9), what);
  using Core = Eigen::Matrix<double, kCore, kCore>;
  const Eigen::Map<const Core> expected(covariance);
  // Each entry over the two sigmas that it belongs to: the position's are a million times the biases'.
  const Eigen::Matrix<double, kCore, 1> sigma = expected.diagonal().cwiseSqrt();
  const Core difference = s.covariance.topLeftCorner<kCore, kCore>() - expected;
  check(
      (sigma.cwiseInverse().asDiagonal() * difference * sigma.cwiseInverse().asDiagonal()).cwiseAbs().maxCoeff() < 1e-6,
      what);
}

Event imu(std::int64_t t_ns) {
  Event e;
  e.t_ns = t_ns;
  e.a = Vec3(kAccel[0], kAccel[1], kAccel[2]);
  e.b = Vec3(kGyro[0], kGyro[1], kGyro[2]);
  return e;
}

Event baro(std::int64_t t_ns) {
  Event e;
  e.t_ns = t_ns;
  e.source = Source::baro;
  e.a.x() = kBaroUp;
  return e;
}

DelayedHistory started() {
  DelayedHistory history(config(), Quat::Identity());
  Event attitude;
  attitude.source = Source::attitude;
  attitude.q = Quat(Mat3(Eigen::Map<const Mat3>(kRotation)));
  history.insert(attitude);
  check(history.insert(imu(0)).reason == Reason::started, "it starts with attitude and IMU");
  return history;
}

void predicts_as_numpy() {
  DelayedHistory history = started();
  for (int k = 1; k <= kSteps; ++k) history.insert(imu(k * kStepNs));
  compare(history.newest(), kPredictedPosition, kPredictedVelocity, kPredictedRotation, kPredictedCovariance,
          "predict");
}

void updates_as_numpy() {
  DelayedHistory history = started();
  for (int k = 1; k <= kSteps; ++k) history.insert(imu(k * kStepNs));
  const AidSourceStatus aid = history.insert(baro(kSteps * kStepNs));
  check(aid.accepted && aid.reason == Reason::fused, "the barometer is fused");
  compare(history.newest(), kUpdatedPosition, kUpdatedVelocity, kUpdatedRotation, kUpdatedCovariance, "update");
}

void replays_a_late_measurement_as_numpy_fuses_it_in_time() {
  DelayedHistory history = started(), in_time = started();
  for (int k = 1; k <= kSteps; ++k) {
    history.insert(imu(k * kStepNs));
    in_time.insert(imu(k * kStepNs));
    if (k == kLateStep) in_time.insert(baro(k * kStepNs));
  }
  history.insert(baro(kLateStep * kStepNs));
  compare(history.newest(), kReplayedPosition, kReplayedVelocity, kReplayedRotation, kReplayedCovariance, "replay");
  check(history.newest().position == in_time.newest().position, "late and in time give the same bits");
  check(history.newest().covariance == in_time.newest().covariance, "late and in time give the same bits");
}

}  // namespace

int main() {
  predicts_as_numpy();
  updates_as_numpy();
  replays_a_late_measurement_as_numpy_fuses_it_in_time();
  return 0;
}
