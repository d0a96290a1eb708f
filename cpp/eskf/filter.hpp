// Steps of the filter on one state: predict, and one function for each kind of measurement. Pure.
#pragma once

#include "eskf/state.hpp"

namespace gps_denied::eskf {

struct Odometry {
  std::int64_t t0_ns;
  Vec3 displacement;
  double yaw_change, yaw_prior;
  Eigen::Matrix4d covariance;
};

struct Fix {
  Vec3 position;
  Quat camera_to_enu;
  Mat6 covariance;
};

// How a fix is to be taken: as any measurement, as the first position, or as a correction of a wrong one.
// relocate_early: of a state that too few fixes had confirmed, or that fixes lie on one side of; its mount opens, too.
enum class FixMode : int { update, place, relocate, relocate_early };

struct Origin {
  Vec3 position, velocity;
  double sigma_horizontal, sigma_vertical;
  bool has_velocity;
};

Quat exp_quaternion(const Vec3& v);
Vec3 log_quaternion(const Quat& q);

// State before the first measurement: level of trust from the configuration, position unknown.
void copy_attitude(const Config& config, State& state, const Quat& body_to_enu);
State start(const Config& config, const Quat& mount, std::int64_t t_ns, const Quat& attitude, double speed_mps,
            double up_m);

// Propagates to t_ns (not before state.t_ns) with the held IMU sample, or without one where it is too old.
void advance(const Config& config, State& state, std::int64_t t_ns);
void fuse_imu(const Config& config, State& state, std::int64_t t_ns, const Vec3& accel, const Vec3& gyro);

// Remembers the pose of now under its time; the oldest goes where there is no room.
void remember(State& state);
void drop_clones(State& state);

// Each fuses at state.t_ns. `decide` false: take it without looking at the gate (a decision that was made before).
void fuse_origin(const Config& config, State& state, const Origin& origin, AidSourceStatus& aid);
void fuse_baro(const Config& config, State& state, double altitude_up_m, AidSourceStatus& aid);
void fuse_airspeed(const Config& config, State& state, double speed_mps, AidSourceStatus& aid);
void fuse_rangefinder(const Config& config, State& state, double distance_m, AidSourceStatus& aid);
void fuse_attitude(const Config& config, State& state, const Quat& body_to_enu, AidSourceStatus& aid);
// `refused`: it was refused before, and stays out.
void fuse_odometry(const Config& config, State& state, const Odometry& step, bool decide, bool refused,
                   AidSourceStatus& aid);
void fuse_fix(const Config& config, State& state, const Fix& fix, FixMode mode, AidSourceStatus& aid);
// Innovation of a fix against this state, which stays as it is.
void test_fix(const Config& config, const State& state, const Fix& fix, AidSourceStatus& aid);

// Finite numbers and positive variances.
bool healthy(const State& state);

}  // namespace gps_denied::eskf
