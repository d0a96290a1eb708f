// What the orientation field needs for each pixel; every operation is rounded to float as IEEE 754 says, so the bytes
// are the same on every machine.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gps_denied::imaging {

// cos 2t, sin 2t and, with `harmonics` 2, cos 4t, sin 4t of the gradient's direction, times its magnitude, into
// `channels` (2 * harmonics planes of `count`); its squared magnitude into `power`. `inner` (or null) is 0 where the
// gradient counts as none.
void orientation_harmonics(const float* gx, const float* gy, const std::uint8_t* inner, std::size_t count,
                           int harmonics, float* channels, float* power);

// Each of `planes` planes of `count` divided by the root of `energy` + `floor`.
void normalise_planes(float* field, int planes, const float* energy, std::size_t count, float floor);

}  // namespace gps_denied::imaging
