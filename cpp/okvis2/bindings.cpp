// The Python face of an installed OKVIS2: gps_denied_onboard._okvis2, a module of its own, there only where CMake found
// the library.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "okvis2/estimator.hpp"

namespace py = pybind11;

namespace gps_denied::okvis2 {
namespace {

using Picture = py::array_t<std::uint8_t, py::array::c_style>;

// Holds an estimator and the size of the pictures that it takes.
class PyEstimator {
 public:
  PyEstimator(const Camera& camera, const ImuNoise& noise, const Settings& settings,
              const std::string& vocabulary_folder)
      : estimator_(camera, noise, settings, vocabulary_folder),
        width_px_(camera.width_px),
        height_px_(camera.height_px) {}

  bool start(std::int64_t t_ns, const Picture& grey, const InitialState& initial) {
    const std::uint8_t* const pixels = checked(grey);
    const py::gil_scoped_release free;
    return estimator_.start(t_ns, pixels, initial);
  }

  FrameResult add(std::int64_t t_ns, const Picture& grey, std::vector<ImuSample> imu) {
    const std::uint8_t* const pixels = checked(grey);
    const py::gil_scoped_release free;
    return estimator_.add(t_ns, pixels, std::move(imu));
  }

 private:
  const std::uint8_t* checked(const Picture& grey) const {
    if (grey.ndim() != 2 || grey.shape(0) != height_px_ || grey.shape(1) != width_px_) {
      throw std::invalid_argument("expected a grey picture of the camera's size");
    }
    return grey.data();
  }

  Estimator estimator_;
  int width_px_;
  int height_px_;
};

}  // namespace

PYBIND11_MODULE(_okvis2, m) {
  m.doc() = "OKVIS2 as installed on this machine.";
  py::class_<Camera>(m, "Camera")
      .def(py::init([](int width_px, int height_px, double fx_px, double fy_px, double cx_px, double cy_px,
                       const std::string& distortion_model, const std::vector<double>& distortion) {
             return Camera{width_px, height_px, fx_px, fy_px, cx_px, cy_px, distortion_model, distortion};
           }),
           py::kw_only(), py::arg("width_px"), py::arg("height_px"), py::arg("fx_px"), py::arg("fy_px"),
           py::arg("cx_px"), py::arg("cy_px"), py::arg("distortion_model"), py::arg("distortion"));
  py::class_<ImuNoise>(m, "ImuNoise")
      .def(py::init([](double gyro, double accel, double gyro_walk, double accel_walk, double gyro_bias,
                       double accel_bias, double gravity) {
             return ImuNoise{gyro, accel, gyro_walk, accel_walk, gyro_bias, accel_bias, gravity};
           }),
           py::kw_only(), py::arg("gyro_radps_rthz"), py::arg("accel_mps2_rthz"), py::arg("gyro_walk_radps_rts"),
           py::arg("accel_walk_mps2_rts"), py::arg("gyro_bias_sigma_radps"), py::arg("accel_bias_sigma_mps2"),
           py::arg("gravity_mps2"));
  py::class_<Settings>(m, "Settings")
      .def(py::init([](int keypoints, double distance, double strength, int keyframes, int imu_frames, int iterations,
                       double parallax) {
             return Settings{keypoints, distance, strength, keyframes, imu_frames, iterations, parallax};
           }),
           py::kw_only(), py::arg("keypoints_max"), py::arg("keypoint_distance_px"), py::arg("corner_strength_min"),
           py::arg("keyframes"), py::arg("imu_frames"), py::arg("iterations_max"), py::arg("parallax_min_rad"));
  py::class_<ImuSample>(m, "ImuSample")
      .def(py::init([](std::int64_t t_ns, const Vector3& accel, const Vector3& gyro) {
             return ImuSample{t_ns, accel, gyro};
           }),
           py::arg("t_ns"), py::arg("accel_mps2"), py::arg("gyro_radps"));
  py::class_<InitialState>(m, "InitialState")
      .def(py::init([](const Matrix3& mount, const Vector3& up, const Vector3& velocity, double gyro_bias_sigma) {
             return InitialState{mount, up, velocity, gyro_bias_sigma};
           }),
           py::kw_only(), py::arg("rotation_camera_to_body"), py::arg("up_body"), py::arg("velocity_body_mps"),
           py::arg("gyro_bias_sigma_radps"));
  py::class_<Pose>(m, "Pose")
      .def_readonly("rotation_camera_to_world", &Pose::rotation_camera_to_world)
      .def_readonly("position_world_m", &Pose::position_world_m);
  py::class_<FrameResult>(m, "FrameResult")
      .def_readonly("added", &FrameResult::added)
      .def_readonly("initialised", &FrameResult::initialised)
      .def_readonly("poses", &FrameResult::poses)
      .def_readonly("landmarks_world_m", &FrameResult::landmarks_world_m)
      .def_readonly("keypoints_px", &FrameResult::keypoints_px);
  py::class_<PyEstimator>(m, "Estimator")
      .def(py::init<const Camera&, const ImuNoise&, const Settings&, const std::string&>(), py::arg("camera"),
           py::arg("noise"), py::arg("settings"), py::arg("vocabulary_folder"))
      .def("start", &PyEstimator::start, py::arg("t_ns"), py::arg("grey").noconvert(), py::arg("initial"))
      .def("add", &PyEstimator::add, py::arg("t_ns"), py::arg("grey").noconvert(), py::arg("imu"));
}

}  // namespace gps_denied::okvis2
