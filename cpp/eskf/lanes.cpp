#include "eskf/lanes.hpp"

namespace gps_denied::eskf {

namespace {

bool sees(Lane lane, const Event& event) {
  switch (lane) {
    case Lane::no_odometry:
      return event.source != Source::odometry && event.source != Source::clone;
    case Lane::no_air:
      return event.source != Source::airspeed;
    case Lane::no_map_a:
    case Lane::no_map_b:
      return event.source != Source::fix || event.mode == FixMode::place;
    default:
      return true;
  }
}

int map_lane(Lane lane) { return static_cast<int>(lane) - static_cast<int>(Lane::no_map_a); }

}  // namespace

Lanes::Lanes(const Config& config, const Quat& mount, bool subsets)
    : lanes_(subsets ? kLanes : 1, DelayedHistory(config, mount)) {}

AidSourceStatus Lanes::insert(const Event& event) {
  const AidSourceStatus aid = lanes_[0].insert(event);
  for (std::size_t i = 1; i < lanes_.size(); ++i) {
    if (sees(static_cast<Lane>(i), event)) lanes_[i].insert(event);
  }
  return aid;
}

std::optional<State> Lanes::at(Lane lane, std::int64_t t_ns) const {
  const auto i = static_cast<std::size_t>(lane);
  if (i >= lanes_.size()) return std::nullopt;
  return lanes_[i].at(t_ns);
}

void Lanes::renew(std::int64_t t_ns, bool keep) {
  if (lanes_.size() == 1) return;
  const int older = since_ns_[0] <= since_ns_[1] ? 0 : 1;
  for (int k = 0; k < 2; ++k) {
    if (keep && k != older) continue;
    lanes_[static_cast<std::size_t>(Lane::no_map_a) + static_cast<std::size_t>(k)] = lanes_[0];
    since_ns_[static_cast<std::size_t>(k)] = t_ns;
  }
}

std::optional<std::int64_t> Lanes::since_ns(Lane lane) const {
  const int k = map_lane(lane);
  if (k < 0 || k > 1 || lanes_.size() == 1) return std::nullopt;
  return since_ns_[static_cast<std::size_t>(k)];
}

}  // namespace gps_denied::eskf
