#include "imaging/orientation.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace gps_denied::imaging {
namespace {

constexpr float kLeast = 1e-6F;
constexpr std::size_t kBlock = 1024;  // pixels that stay in the nearest cache

}  // namespace

void orientation_harmonics(const float* gx, const float* gy, const std::uint8_t* inner, std::size_t count,
                           int harmonics, float* channels, float* power) {
  float* const cos2 = channels;
  float* const sin2 = channels + count;
  std::array<float, kBlock> x;
  std::array<float, kBlock> y;
  std::array<float, kBlock> magnitude;
  for (std::size_t start = 0; start < count; start += kBlock) {
    const std::size_t size = std::min(kBlock, count - start);
    for (std::size_t i = 0; i < size; ++i) {
      const float keep = inner == nullptr ? 1.0F : static_cast<float>(inner[start + i] != 0);
      x[i] = gx[start + i] * keep;
      y[i] = gy[start + i] * keep;
    }
    for (std::size_t i = 0; i < size; ++i) {
      const float m = std::sqrt(x[i] * x[i] + y[i] * y[i]) + kLeast;
      const float c1 = x[i] / m;
      const float s1 = y[i] / m;
      magnitude[i] = m;
      x[i] = c1 * c1 - s1 * s1;
      y[i] = 2.0F * c1 * s1;
    }
    for (std::size_t i = 0; i < size; ++i) {
      cos2[start + i] = x[i] * magnitude[i];
      sin2[start + i] = y[i] * magnitude[i];
      power[start + i] = magnitude[i] * magnitude[i];
    }
    if (harmonics < 2) {
      continue;
    }
    float* const cos4 = channels + 2 * count + start;
    float* const sin4 = channels + 3 * count + start;
    for (std::size_t i = 0; i < size; ++i) {
      cos4[i] = (x[i] * x[i] - y[i] * y[i]) * magnitude[i];
      sin4[i] = 2.0F * x[i] * y[i] * magnitude[i];
    }
  }
}

void normalise_planes(float* field, int planes, const float* energy, std::size_t count, float floor) {
  std::array<float, kBlock> root;
  for (std::size_t start = 0; start < count; start += kBlock) {
    const std::size_t size = std::min(kBlock, count - start);
    for (std::size_t i = 0; i < size; ++i) {
      root[i] = std::sqrt(energy[start + i] + floor);
    }
    for (int plane = 0; plane < planes; ++plane) {
      float* const values = field + static_cast<std::size_t>(plane) * count + start;
      for (std::size_t i = 0; i < size; ++i) {
        values[i] /= root[i];
      }
    }
  }
}

}  // namespace gps_denied::imaging
