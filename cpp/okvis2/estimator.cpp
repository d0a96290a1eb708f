#include "okvis2/estimator.hpp"

#include <glog/logging.h>

#include <okvis/Frontend.hpp>
#include <okvis/MultiFrame.hpp>
#include <okvis/Parameters.hpp>
#include <okvis/ViSlamBackend.hpp>
#include <okvis/cameras/EquidistantDistortion.hpp>
#include <okvis/cameras/PinholeCamera.hpp>
#include <okvis/cameras/RadialTangentialDistortion.hpp>
#include <okvis/cameras/RadialTangentialDistortion8.hpp>
#include <opencv2/core.hpp>
#include <set>
#include <stdexcept>
#include <utility>

namespace gps_denied::okvis2 {
namespace {

using okvis::kinematics::Transformation;
using System = okvis::cameras::NCameraSystem;

constexpr std::int64_t kImpulseNs = 4'000'000;  // in which the first picture's velocity is reached from rest
constexpr std::int64_t kMarginNs = 1'000'000;
constexpr double kAccelRangeMps2 = 160.0;
constexpr double kGyroRangeRadps = 35.0;
constexpr double kMatchingThresholdBits = 80.0;  // of 384 that two descriptors of one point may differ by
constexpr double kOverlapMin = 0.6;              // with the keyframes, under which a picture becomes one
constexpr std::size_t kKeypointsMin = 15;
constexpr std::size_t kPosesMax = 3;

Eigen::Vector3d eigen(const Vector3& v) { return {v[0], v[1], v[2]}; }

Vector3 plain(const Eigen::Vector3d& v) { return {v.x(), v.y(), v.z()}; }

okvis::Time stamp(std::int64_t t_ns) {
  okvis::Time t;
  t.fromNSec(static_cast<std::uint64_t>(t_ns));
  return t;
}

template <class Distortion>
std::shared_ptr<const okvis::cameras::CameraBase> pinhole(const Camera& c, const Distortion& distortion) {
  auto made = std::make_shared<okvis::cameras::PinholeCamera<Distortion>>(c.width_px, c.height_px, c.fx_px, c.fy_px,
                                                                          c.cx_px, c.cy_px, distortion);
  made->initialiseUndistortMaps();
  made->initialiseCameraAwarenessMaps();
  return made;
}

struct Optics {
  std::shared_ptr<const okvis::cameras::CameraBase> geometry;
  System::DistortionType distortion = System::NoDistortion;
};

Optics optics_of(const Camera& c) {
  std::vector<double> k = c.distortion;
  if (c.distortion_model == "fisheye" && k.size() == 4) {
    return {pinhole(c, okvis::cameras::EquidistantDistortion(k[0], k[1], k[2], k[3])), System::Equidistant};
  }
  if (c.distortion_model == "none" || (c.distortion_model == "brown" && k.size() == 4)) {
    k.resize(4, 0.0);
    return {pinhole(c, okvis::cameras::RadialTangentialDistortion(k[0], k[1], k[2], k[3])), System::RadialTangential};
  }
  if (c.distortion_model == "brown" && k.size() == 5) {
    const okvis::cameras::RadialTangentialDistortion8 distortion(k[0], k[1], k[2], k[3], k[4], 0.0, 0.0, 0.0);
    return {pinhole(c, distortion), System::RadialTangential8};
  }
  throw std::invalid_argument("unknown distortion model or number of coefficients");
}

System system_of(const Optics& optics, const Matrix3& rotation_camera_to_body) {
  const Eigen::Map<const Eigen::Matrix<double, 3, 3, Eigen::RowMajor>> rotation(rotation_camera_to_body.data());
  const Eigen::Quaterniond turn(Eigen::Matrix3d{rotation});
  System::CameraType type;
  type.isColour = false;
  System made;
  made.addCamera(std::make_shared<const Transformation>(Eigen::Vector3d::Zero(), turn.normalized()), optics.geometry,
                 optics.distortion, true, type);
  return made;
}

okvis::ViParameters parameters_of(const ImuNoise& noise, const Settings& settings) {
  okvis::ViParameters p{};
  p.camera.sync_cameras = {0};
  p.imu.use = true;
  p.imu.T_BS = Transformation::Identity();
  p.imu.a_max = kAccelRangeMps2;
  p.imu.g_max = kGyroRangeRadps;
  p.imu.sigma_g_c = noise.gyro_radps_rthz;
  p.imu.sigma_a_c = noise.accel_mps2_rthz;
  p.imu.sigma_gw_c = noise.gyro_walk_radps_rts;
  p.imu.sigma_aw_c = noise.accel_walk_mps2_rts;
  p.imu.sigma_bg = noise.gyro_bias_sigma_radps;
  p.imu.sigma_ba = noise.accel_bias_sigma_mps2;
  p.imu.g0.setZero();
  p.imu.a0.setZero();
  p.imu.g = noise.gravity_mps2;
  p.frontend.detection_threshold = settings.keypoint_distance_px;
  p.frontend.absolute_threshold = settings.corner_strength_min;
  p.frontend.matching_threshold = kMatchingThresholdBits;
  p.frontend.max_num_keypoints = settings.keypoints_max;
  p.frontend.keyframe_overlap = kOverlapMin;
  p.frontend.num_matching_threads = 1;
  p.estimator.num_keyframes = settings.keyframes;
  p.estimator.num_imu_frames = settings.imu_frames;
  p.estimator.realtime_max_iterations = settings.iterations_max;
  p.estimator.realtime_num_threads = 1;
  return p;
}

okvis::ImuMeasurement measurement(std::int64_t t_ns, const Eigen::Vector3d& accel, const Eigen::Vector3d& gyro) {
  okvis::ImuSensorReadings readings;
  readings.accelerometers = accel;
  readings.gyroscopes = gyro;
  return {stamp(t_ns), readings};
}

}  // namespace

struct Estimator::Impl {
  Optics optics;
  okvis::ViParameters parameters;
  okvis::Frontend frontend;
  std::unique_ptr<okvis::ViSlamBackend> backend;
  std::int64_t last_ns = 0;
  Eigen::Vector3d up_body = Eigen::Vector3d::Zero();
  Eigen::Vector3d velocity_body_mps = Eigen::Vector3d::Zero();
  double parallax_min_rad;
  cv::Mat blank;  // stands in for a picture whose keypoints are known: a keyframe stays for minutes
  bool first_interval = false;
  bool started = false;

  Impl(const Camera& camera, okvis::ViParameters given, double parallax_min, const std::string& vocabulary_folder)
      : optics(optics_of(camera)),
        parameters(std::move(given)),
        frontend(1, vocabulary_folder),
        parallax_min_rad(parallax_min),
        blank(cv::Mat::zeros(camera.height_px, camera.width_px, CV_8UC1)) {
    frontend.setBriskDetectionOctaves(0);
    frontend.setBriskDetectionThreshold(parameters.frontend.detection_threshold);
    frontend.setBriskDetectionAbsoluteThreshold(parameters.frontend.absolute_threshold);
    frontend.setBriskMatchingThreshold(parameters.frontend.matching_threshold);
    frontend.setBriskDetectionMaximumKeypoints(static_cast<std::size_t>(parameters.frontend.max_num_keypoints));
    frontend.setKeyframeInsertionOverlapThreshold(static_cast<float>(parameters.frontend.keyframe_overlap));
  }

  // Nothing is known any more. A new backend: the spread of the gyroscope's bias is told to it at its making only.
  void reset(const InitialState& initial) {
    started = false;
    parameters.nCameraSystem = system_of(optics, initial.rotation_camera_to_body);
    parameters.imu.sigma_bg = initial.gyro_bias_sigma_radps;
    up_body = eigen(initial.up_body).normalized();
    velocity_body_mps = eigen(initial.velocity_body_mps);
    frontend.clear();
    backend = std::make_unique<okvis::ViSlamBackend>();
    backend->addImu(parameters.imu);
    backend->addCamera(parameters.camera);
    backend->setDetectorUniformityRadius(parameters.frontend.detection_threshold);
  }

  okvis::MultiFramePtr detect(std::int64_t t_ns, const std::uint8_t* grey, const Transformation& body_to_world) {
    const cv::Mat seen(blank.rows, blank.cols, CV_8UC1, const_cast<std::uint8_t*>(grey));
    auto frame = std::make_shared<okvis::MultiFrame>(parameters.nCameraSystem, stamp(t_ns), 0);
    frame->setImage(0, seen);
    frontend.detectAndDescribe(0, frame, body_to_world * *parameters.nCameraSystem.T_SC(0), nullptr);
    frame->setImage(0, blank);
    return frame;
  }

  // OKVIS2 begins at rest, to 0.3 m/s: the velocity that the first picture had is given to it as a short push.
  okvis::ImuMeasurementDeque imu_measurements(std::int64_t t_ns, const std::vector<ImuSample>& imu) const {
    okvis::ImuMeasurementDeque out;
    const std::int64_t from_ns = first_interval ? last_ns + kImpulseNs + 1 : 0;
    if (first_interval) {
      const Eigen::Vector3d hover = up_body * parameters.imu.g;
      const Eigen::Vector3d push = velocity_body_mps * (2e9 / static_cast<double>(kImpulseNs));
      const Eigen::Vector3d rate = imu.empty() ? Eigen::Vector3d::Zero() : eigen(imu.front().gyro_radps);
      out.push_back(measurement(last_ns - kMarginNs, hover, rate));
      out.push_back(measurement(last_ns, hover, rate));
      out.push_back(measurement(last_ns + kImpulseNs / 2, hover + push, rate));
      out.push_back(measurement(last_ns + kImpulseNs, hover, rate));
    }
    for (const ImuSample& s : imu) {
      if (s.t_ns >= from_ns) {
        out.push_back(measurement(s.t_ns, eigen(s.accel_mps2), eigen(s.gyro_radps)));
      }
    }
    if (!out.empty() && out.back().timeStamp <= stamp(t_ns)) {  // what has not come yet: as the newest sample
      const okvis::ImuSensorReadings held = out.back().measurement;
      out.push_back(measurement(t_ns + kMarginNs, held.accelerometers, held.gyroscopes));
    }
    return out;
  }

  Pose pose_of(okvis::StateId id) const {
    const Transformation body_to_world(backend->pose(id).r(), backend->pose(id).q());
    const Transformation camera_to_world = body_to_world * *parameters.nCameraSystem.T_SC(0);
    Pose out;
    Eigen::Map<Eigen::Matrix<double, 3, 3, Eigen::RowMajor>>(out.rotation_camera_to_world.data()) = camera_to_world.C();
    out.position_world_m = plain(camera_to_world.r());
    return out;
  }

  void fill(const okvis::MultiFramePtr& frame, FrameResult& result) const {
    const okvis::StateId id(frame->id());
    for (std::size_t age = 0; age < kPosesMax && age < backend->imuFrames().size(); ++age) {
      result.poses.push_back(pose_of(backend->stateIdByAge(age)));
    }
    for (std::size_t k = 0; k < frame->numKeypoints(0); ++k) {
      const okvis::LandmarkId landmark(frame->landmarkId(0, k));
      okvis::MapPoint2 point;
      if (!landmark.isInitialised() || !backend->isLandmarkAdded(landmark) || !backend->getLandmark(landmark, point) ||
          point.quality < parallax_min_rad || std::abs(point.point[3]) < 1e-9) {
        continue;
      }
      Eigen::Vector2d pixel;
      frame->getKeypoint(0, k, pixel);
      result.landmarks_world_m.push_back(plain(point.point.head<3>() / point.point[3]));
      result.keypoints_px.push_back({pixel.x(), pixel.y()});
    }
  }
};

Estimator::Estimator(const Camera& camera, const ImuNoise& noise, const Settings& settings,
                     const std::string& vocabulary_folder) {
  FLAGS_minloglevel = google::GLOG_ERROR;
  FLAGS_logtostderr = true;
  impl_ = std::make_unique<Impl>(camera, parameters_of(noise, settings), settings.parallax_min_rad, vocabulary_folder);
}

Estimator::~Estimator() = default;

bool Estimator::start(std::int64_t t_ns, const std::uint8_t* grey, const InitialState& initial) {
  Impl& p = *impl_;
  p.reset(initial);
  const Eigen::Quaterniond upright = Eigen::Quaterniond::FromTwoVectors(p.up_body, Eigen::Vector3d::UnitZ());
  const okvis::MultiFramePtr frame = p.detect(t_ns, grey, Transformation(Eigen::Vector3d::Zero(), upright));
  if (frame->numKeypoints() < kKeypointsMin) {
    return false;
  }
  const Eigen::Vector3d hover = p.up_body * p.parameters.imu.g;
  okvis::ImuMeasurementDeque still;
  still.push_back(measurement(t_ns - kMarginNs, hover, Eigen::Vector3d::Zero()));
  still.push_back(measurement(t_ns + kMarginNs, hover, Eigen::Vector3d::Zero()));
  if (!p.backend->addStates(frame, still, true)) {
    return false;
  }
  bool keyframe = true;
  p.frontend.dataAssociationAndInitialization(*p.backend, p.parameters, frame, &keyframe);
  p.backend->setKeyframe(okvis::StateId(frame->id()), true);
  p.last_ns = t_ns;
  p.first_interval = true;
  p.started = true;
  return true;
}

FrameResult Estimator::add(std::int64_t t_ns, const std::uint8_t* grey, std::vector<ImuSample> imu) {
  Impl& p = *impl_;
  if (!p.started || t_ns <= p.last_ns) {
    throw std::logic_error("add a picture after start, and in order of time");
  }
  FrameResult result;
  const okvis::ImuMeasurementDeque deque = p.imu_measurements(t_ns, imu);
  if (deque.empty() || deque.front().timeStamp > stamp(p.last_ns)) {
    return result;
  }
  const okvis::StateId newest = p.backend->currentStateId();
  const Transformation guess(p.backend->pose(newest).r(), p.backend->pose(newest).q());
  Transformation body_to_world = guess;
  okvis::SpeedAndBias speed = p.backend->speedAndBias(newest);
  okvis::ceres::ImuError::propagation(deque, p.parameters.imu, body_to_world, speed, stamp(p.last_ns), stamp(t_ns));
  const okvis::MultiFramePtr frame = p.detect(t_ns, grey, body_to_world);
  if (!p.backend->addStates(frame, deque, false)) {
    return result;
  }
  p.last_ns = t_ns;
  p.first_interval = false;
  bool keyframe = false;
  p.frontend.dataAssociationAndInitialization(*p.backend, p.parameters, frame, &keyframe);
  p.backend->setKeyframe(okvis::StateId(frame->id()), keyframe);
  std::vector<okvis::StateId> updated;
  // Until two baselines have been seen the IMU alone leads. Points would count as known after an optimisation, and the
  // frontend would hold the camera where it began, to wait for parallax there: an aircraft does not wait.
  if (p.frontend.isInitialized()) {
    p.backend->optimiseRealtimeGraph(p.parameters.estimator.realtime_max_iterations, updated, 1, false, false, true);
  }
  result.added = true;
  result.initialised = p.frontend.isInitialized();
  p.fill(frame, result);
  std::set<okvis::StateId> affected;
  p.backend->applyStrategy(static_cast<std::size_t>(p.parameters.estimator.num_keyframes), 0,
                           static_cast<std::size_t>(p.parameters.estimator.num_imu_frames), affected, true);
  return result;
}

}  // namespace gps_denied::okvis2
