// The filter, and beside it the same filter without one of its sources each: solution separation as in ARAIM
// (Blanch et al., "Baseline advanced RAIM user algorithm and possible improvements", 2015, III).
//
// All lanes get the same events but those of the source that they do without. A lane without the map cannot be kept for
// ever: there are two, each begun anew from the filter in turn, so that one of them always has not seen the map for at
// least half of the renewal time.
#pragma once

#include <array>

#include "eskf/history.hpp"

namespace gps_denied::eskf {

enum class Lane : int { all, no_odometry, no_air, no_map_a, no_map_b, count };
constexpr int kLanes = static_cast<int>(Lane::count);

class Lanes {
 public:
  // `subsets` false: the filter alone.
  Lanes(const Config& config, const Quat& mount, bool subsets);

  // The record is that of the filter with all sources.
  AidSourceStatus insert(const Event& event);

  // The state of a lane; nothing where there is none.
  std::optional<State> at(Lane lane, std::int64_t t_ns) const;

  // Begins the older lane without the map anew from the filter; `keep` false: both.
  void renew(std::int64_t t_ns, bool keep);
  // Since when a lane has not seen the map; nothing for the others.
  std::optional<std::int64_t> since_ns(Lane lane) const;

  DelayedHistory& all() { return lanes_[0]; }
  const DelayedHistory& all() const { return lanes_[0]; }

 private:
  std::vector<DelayedHistory> lanes_;
  std::array<std::int64_t, 2> since_ns_{};
};

}  // namespace gps_denied::eskf
