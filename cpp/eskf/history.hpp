// The filter over time: events sorted by their own time, snapshots, and replay from where a late one belongs.
//
// The state is a pure function of the sorted events, so a late measurement gives the very bits that it would have
// given in time. Nothing older than the history is kept or accepted.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "eskf/filter.hpp"

namespace gps_denied::eskf {

struct Event {
  std::int64_t t_ns = 0;
  Source source = Source::imu;
  std::uint64_t sequence = 0;
  Vec3 a = Vec3::Zero();  // IMU: specific force; scalar sensors: value in x
  Vec3 b = Vec3::Zero();  // IMU: rate
  Quat q = Quat::Identity();
  std::shared_ptr<const Odometry> odometry;
  std::shared_ptr<const Fix> fix;
  std::shared_ptr<const Origin> origin;
  FixMode mode = FixMode::update;
  bool decided = false;  // an odometry step that passed its gate once stays in
  bool refused = false;  // and one that did not stays out
};

class DelayedHistory {
 public:
  DelayedHistory(const Config& config, const Quat& mount);

  // Takes the event where its time belongs. The record tells what happened to it; events without a state yet wait.
  AidSourceStatus insert(Event event);

  // The state at t_ns: propagated when that is after the last event, replayed when it is within the history.
  std::optional<State> at(std::int64_t t_ns) const;
  AidSourceStatus test(std::int64_t t_ns, const Fix& fix) const;

  // Puts a state that somebody else estimated (its nominal values and the core of its covariance) at its time t_ns in
  // place of the filter's own, forgets what was before and replays what came after. False when t_ns is not within
  // the history or the state is not sound.
  bool seed(const State& given);

  bool started() const { return started_; }
  const State& newest() const { return state_; }
  std::int64_t oldest_ns() const;
  bool position_known() const { return started_ && state_.position_known; }
  int rebases() const { return rebases_; }

 private:
  struct Snapshot {
    std::int64_t t_ns;
    Source source;
    std::uint64_t sequence;
    State state;
  };

  Reason refuse(std::int64_t t_ns, Source source);
  void reset_clock(std::int64_t t_ns);
  bool try_start(const Event& event);
  void apply(State& state, const Event& event, AidSourceStatus& aid) const;
  void append(Event&& event, AidSourceStatus& aid);
  void replay_from(std::size_t index, AidSourceStatus& aid, std::uint64_t wanted);
  void snapshot(const Event& last);
  void trim();

  Config config_;
  Quat mount_;
  State state_;
  bool started_ = false;
  std::uint64_t sequence_ = 0;
  std::int64_t newest_ns_ = 0;  // newest time that any source was accepted at
  std::int64_t newest_imu_ns_ = 0;
  bool any_ = false, any_imu_ = false;
  int rebases_ = 0;
  std::array<int, kSources> strange_{};  // successive samples of a source at a strange time
  std::array<std::int64_t, kSources> strange_ns_{};
  std::deque<Event> events_;
  std::deque<Snapshot> snapshots_;
  std::vector<Event> waiting_;  // before the start: the last one of each source
};

}  // namespace gps_denied::eskf
