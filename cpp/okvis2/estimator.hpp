// An installed OKVIS2 (BSD-3) as an estimator of the camera's motion: pictures with their IMU samples in, poses out.
//
// W is OKVIS2's own world: gravity points to -z, yaw and origin are those of the first picture. One call does the whole
// work of one picture, on the calling thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace gps_denied::okvis2 {

using Vector3 = std::array<double, 3>;
using Matrix3 = std::array<double, 9>;  // row-major

struct Camera {
  int width_px = 0;
  int height_px = 0;
  double fx_px = 0.0;
  double fy_px = 0.0;
  double cx_px = 0.0;
  double cy_px = 0.0;
  std::string distortion_model;  // "none", "brown" or "fisheye"
  std::vector<double> distortion;
};

// Densities are per root hertz, walks per root second.
struct ImuNoise {
  double gyro_radps_rthz = 0.0;
  double accel_mps2_rthz = 0.0;
  double gyro_walk_radps_rts = 0.0;
  double accel_walk_mps2_rts = 0.0;
  double gyro_bias_sigma_radps = 0.0;
  double accel_bias_sigma_mps2 = 0.0;
  double gravity_mps2 = 0.0;
};

struct Settings {
  int keypoints_max = 0;
  double keypoint_distance_px = 0.0;
  double corner_strength_min = 0.0;
  int keyframes = 0;
  int imu_frames = 0;
  int iterations_max = 0;
  double parallax_min_rad = 0.0;  // of a landmark, under which it is left out
};

// Specific force and angular rate in the body's axes (x forward, y right, z down).
struct ImuSample {
  std::int64_t t_ns = 0;
  Vector3 accel_mps2{};
  Vector3 gyro_radps{};
};

// At the first picture, in the body's axes (x forward, y right, z down): boresight, upward direction, velocity, and the
// standard deviation of the bias that the gyroscope's samples still have.
struct InitialState {
  Matrix3 rotation_camera_to_body{};
  Vector3 up_body{};
  Vector3 velocity_body_mps{};
  double gyro_bias_sigma_radps = 0.0;
};

// Of the camera in W.
struct Pose {
  Matrix3 rotation_camera_to_world{};
  Vector3 position_world_m{};
};

struct FrameResult {
  bool added = false;                               // false: the estimator refused the picture
  bool initialised = false;                         // false: poses are the IMU's alone as yet
  std::vector<Pose> poses;                          // newest picture first, at most three
  std::vector<Vector3> landmarks_world_m;           // that the newest picture shows, in W
  std::vector<std::array<double, 2>> keypoints_px;  // where that picture has them
};

class Estimator {
 public:
  // `vocabulary_folder` holds OKVIS2's small_voc.yml.gz. Throws std::invalid_argument for what it cannot work with.
  Estimator(const Camera& camera, const ImuNoise& noise, const Settings& settings,
            const std::string& vocabulary_folder);
  ~Estimator();
  Estimator(const Estimator&) = delete;
  Estimator& operator=(const Estimator&) = delete;

  // Forget everything and begin at a picture (8 bit, row-major, of the camera's size). False where it shows too little.
  bool start(std::int64_t t_ns, const std::uint8_t* grey, const InitialState& initial);

  // The next picture; `imu` in order of time, from before the last picture to this one or beyond.
  FrameResult add(std::int64_t t_ns, const std::uint8_t* grey, std::vector<ImuSample> imu);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gps_denied::okvis2
