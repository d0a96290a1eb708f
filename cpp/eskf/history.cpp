#include "eskf/history.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace gps_denied::eskf {

namespace {

constexpr int kBackwardCount = 25;  // successive IMU samples before a clock that went back is believed
constexpr int kForwardCount = 5;

template <typename A, typename B>
bool before(const A& a, const B& b) {
  return std::tie(a.t_ns, a.source, a.sequence) < std::tie(b.t_ns, b.source, b.sequence);
}

std::int64_t nanoseconds(double seconds) { return static_cast<std::int64_t>(seconds * 1e9); }

template <typename Matrix>
bool positive_definite(const Matrix& m) {
  if (!m.allFinite()) return false;
  return Eigen::LLT<Matrix>(m).info() == Eigen::Success;
}

// Why the numbers of an event cannot be used, or none.
Reason bad_value(const Event& e) {
  if (!e.a.allFinite() || !e.b.allFinite() || !e.q.coeffs().allFinite()) return Reason::not_finite;
  if (std::abs(e.q.norm() - 1.0) > 0.01) return Reason::not_unit_quaternion;
  if (e.source == Source::imu && (e.a.norm() > 400.0 || e.b.norm() > 60.0)) return Reason::beyond_imu_range;
  if (e.odometry) {
    const Odometry& o = *e.odometry;
    if (!o.displacement.allFinite() || !std::isfinite(o.yaw_change + o.yaw_prior)) return Reason::not_finite;
    if (!positive_definite(o.covariance)) return Reason::covariance_not_positive;
    if (o.t0_ns >= e.t_ns) return Reason::frames_out_of_order;
  }
  if (e.fix) {
    if (!e.fix->position.allFinite() || !e.fix->camera_to_enu.coeffs().allFinite()) return Reason::not_finite;
    if (!positive_definite(e.fix->covariance)) return Reason::covariance_not_positive;
  }
  if (e.origin) {
    const Origin& o = *e.origin;
    if (!o.position.allFinite() || !o.velocity.allFinite()) return Reason::not_finite;
    if (!(o.sigma_horizontal > 0.0 && o.sigma_vertical > 0.0)) return Reason::sigma_not_positive;
  }
  return Reason::none;
}

}  // namespace

DelayedHistory::DelayedHistory(const Config& config, const Quat& mount) : config_(config), mount_(mount) {}

std::int64_t DelayedHistory::oldest_ns() const { return snapshots_.empty() ? state_.t_ns : snapshots_.front().t_ns; }

Reason DelayedHistory::refuse(std::int64_t t_ns, Source source) {
  const int k = static_cast<int>(source);
  const auto strange = [&] {
    const std::int64_t since = t_ns - strange_ns_[k];
    strange_[k] = strange_[k] > 0 && since > 0 && since <= nanoseconds(config_.clock_jump_s) ? strange_[k] + 1 : 1;
    strange_ns_[k] = t_ns;
    return strange_[k];
  };
  if (source == Source::imu && any_imu_) {
    if (t_ns == newest_imu_ns_) return Reason::repeated_stamp;
    if (t_ns < newest_imu_ns_ - nanoseconds(config_.imu_late_s)) {
      if (strange() < kBackwardCount) return Reason::clock_backwards;
      reset_clock(t_ns);
      return Reason::none;
    }
  }
  if (any_ && t_ns > newest_ns_ + nanoseconds(config_.clock_jump_s)) {
    if (strange() < kForwardCount) return Reason::clock_ahead;
    if (t_ns - newest_ns_ > nanoseconds(config_.clock_outage_s)) reset_clock(t_ns);
    return Reason::none;
  }
  if (started_ && t_ns < oldest_ns()) return Reason::older_than_history;
  return Reason::none;
}

void DelayedHistory::reset_clock(std::int64_t t_ns) {
  ++rebases_;
  events_.clear();
  snapshots_.clear();
  newest_ns_ = newest_imu_ns_ = t_ns;
  if (!started_) return;
  drop_clones(state_);
  state_.t_ns = state_.imu_t_ns = t_ns;
  state_.rejected_since_ns.fill(0);
  // Nobody knows how long the clock was away.
  for (int i = 0; i < 3; ++i) {
    state_.covariance(kPosition + i, kPosition + i) += 100.0 * 100.0;
    state_.covariance(kVelocity + i, kVelocity + i) += 5.0 * 5.0;
    state_.covariance(kAttitude + i, kAttitude + i) += 0.15 * 0.15;
  }
  Event mark;
  mark.t_ns = t_ns;
  mark.sequence = sequence_++;
  snapshots_.push_back({t_ns, Source::imu, mark.sequence, state_});
}

AidSourceStatus DelayedHistory::insert(Event event) {
  AidSourceStatus aid;
  aid.t_ns = event.t_ns;
  aid.source = event.source;
  aid.reason = bad_value(event);
  if (aid.reason == Reason::none) aid.reason = refuse(event.t_ns, event.source);
  if (aid.reason != Reason::none) return aid;
  event.q.normalize();
  strange_[static_cast<int>(event.source)] = 0;
  if (event.source == Source::imu) {
    strange_.fill(0);  // while the IMU runs, no other source can pull the clock ahead
    newest_imu_ns_ = any_imu_ ? std::max(newest_imu_ns_, event.t_ns) : event.t_ns;
    any_imu_ = true;
  }
  newest_ns_ = any_ ? std::max(newest_ns_, event.t_ns) : event.t_ns;
  any_ = true;
  event.sequence = sequence_++;
  if (!started_) {
    const bool relative = event.odometry || event.fix || event.source == Source::clone;
    aid.accepted = !relative;
    aid.reason = relative ? Reason::not_started : try_start(event) ? Reason::started : Reason::kept_for_start;
    return aid;
  }
  append(std::move(event), aid);
  return aid;
}

bool DelayedHistory::try_start(const Event& event) {
  const auto same = [&](const Event& e) { return e.source == event.source; };
  waiting_.erase(std::remove_if(waiting_.begin(), waiting_.end(), same), waiting_.end());
  waiting_.push_back(event);
  const auto find = [&](Source source) {
    const auto it = std::find_if(waiting_.begin(), waiting_.end(), [&](const Event& e) { return e.source == source; });
    return it == waiting_.end() ? nullptr : &*it;
  };
  const Event* attitude = find(Source::attitude);
  const Event* imu = find(Source::imu);
  if (attitude == nullptr || imu == nullptr) return false;
  if (std::abs(attitude->t_ns - imu->t_ns) > nanoseconds(config_.clock_jump_s)) return false;
  const Event* airspeed = find(Source::airspeed);
  const Event* baro = find(Source::baro);
  const bool flying = airspeed != nullptr && airspeed->a.x() >= config_.airspeed_min_mps;
  const std::int64_t t_ns = std::max(attitude->t_ns, imu->t_ns);
  state_ = start(config_, mount_, t_ns, attitude->q, flying ? airspeed->a.x() : config_.initial_speed_mps,
                 baro != nullptr ? baro->a.x() : 0.0);
  if (baro == nullptr) {  // nobody has measured the height yet: the first barometer value sets it
    state_.covariance(kPosition + 2, kPosition + 2) =
        config_.unknown_position_sigma_m * config_.unknown_position_sigma_m;
  }
  state_.accel = imu->a;
  state_.gyro = imu->b;
  started_ = true;
  snapshots_.push_back({t_ns, Source::imu, 0, state_});
  const Event* origin = find(Source::origin);
  for (const Event* event_at_start : {origin, baro}) {
    if (event_at_start == nullptr) continue;
    Event copy = *event_at_start;
    copy.t_ns = t_ns;
    copy.sequence = sequence_++;
    AidSourceStatus ignored;
    append(std::move(copy), ignored);
  }
  waiting_.clear();
  return true;
}

void DelayedHistory::apply(State& s, const Event& e, AidSourceStatus& aid) const {
  aid.t_ns = e.t_ns;
  aid.source = e.source;
  if (e.source == Source::imu) {
    fuse_imu(config_, s, e.t_ns, e.a, e.b);
    aid.accepted = true;
    aid.reason = Reason::propagated;
    return;
  }
  advance(config_, s, e.t_ns);
  switch (e.source) {
    case Source::origin:
      fuse_origin(config_, s, *e.origin, aid);
      break;
    case Source::baro:
      fuse_baro(config_, s, e.a.x(), aid);
      break;
    case Source::airspeed:
      fuse_airspeed(config_, s, e.a.x(), aid);
      break;
    case Source::rangefinder:
      fuse_rangefinder(config_, s, e.a.x(), aid);
      break;
    case Source::attitude:
      fuse_attitude(config_, s, e.q, aid);
      break;
    case Source::odometry:
      remember(s);
      if (e.odometry) fuse_odometry(config_, s, *e.odometry, !e.decided, e.refused, aid);
      break;
    case Source::fix:
      // Before and after: always at the same point, whoever asked for it first; a relocation forgets all clones.
      remember(s);
      if (e.fix) fuse_fix(config_, s, *e.fix, e.mode, aid);
      remember(s);
      break;
    default:
      remember(s);
  }
}

void DelayedHistory::append(Event&& event, AidSourceStatus& aid) {
  const bool last = events_.empty() ? before(snapshots_.back(), event) : before(events_.back(), event);
  if (last && event.t_ns >= state_.t_ns) {
    events_.push_back(std::move(event));
    Event& e = events_.back();
    apply(state_, e, aid);
    e.refused = e.source == Source::odometry && !aid.accepted;
    e.decided = true;
    snapshot(e);
    trim();
    return;
  }
  if (!before(snapshots_.front(), event)) {
    aid.accepted = false;
    aid.reason = Reason::older_than_history;
    return;
  }
  const auto at = std::upper_bound(events_.begin(), events_.end(), event,
                                   [](const Event& a, const Event& b) { return before(a, b); });
  const std::uint64_t wanted = event.sequence;
  const auto inserted = events_.insert(at, std::move(event));
  replay_from(static_cast<std::size_t>(inserted - events_.begin()), aid, wanted);
}

void DelayedHistory::replay_from(std::size_t index, AidSourceStatus& aid, std::uint64_t wanted) {
  while (!before(snapshots_.back(), events_[index])) snapshots_.pop_back();
  state_ = snapshots_.back().state;
  const Snapshot& base = snapshots_.back();
  const auto first = std::upper_bound(events_.begin(), events_.end(), base,
                                      [](const Snapshot& a, const Event& b) { return before(a, b); });
  for (auto it = first; it != events_.end(); ++it) {
    AidSourceStatus own;
    apply(state_, *it, own);
    if (!it->decided) {
      it->refused = it->source == Source::odometry && !own.accepted;
      it->decided = true;
    }
    if (it->sequence == wanted) aid = own;
    snapshot(*it);
  }
  trim();
}

void DelayedHistory::snapshot(const Event& last) {
  if (last.t_ns - snapshots_.back().t_ns < nanoseconds(config_.snapshot_s)) return;
  snapshots_.push_back({last.t_ns, last.source, last.sequence, state_});
}

void DelayedHistory::trim() {
  const std::int64_t keep_from = state_.t_ns - nanoseconds(config_.history_s);
  while (snapshots_.size() > 1 && snapshots_[1].t_ns <= keep_from) snapshots_.pop_front();
  while (!events_.empty() && !before(snapshots_.front(), events_.front())) events_.pop_front();
}

std::optional<State> DelayedHistory::at(std::int64_t t_ns) const {
  if (!started_) return std::nullopt;
  if (t_ns >= state_.t_ns) {
    State s = state_;
    advance(config_, s, t_ns);
    return s;
  }
  auto snapshot = snapshots_.end();
  while (snapshot != snapshots_.begin() && (snapshot - 1)->t_ns > t_ns) --snapshot;
  if (snapshot == snapshots_.begin()) return std::nullopt;
  --snapshot;
  State s = snapshot->state;
  const auto first = std::upper_bound(events_.begin(), events_.end(), *snapshot,
                                      [](const Snapshot& a, const Event& b) { return before(a, b); });
  for (auto it = first; it != events_.end() && it->t_ns <= t_ns; ++it) {
    AidSourceStatus ignored;
    apply(s, *it, ignored);
  }
  advance(config_, s, t_ns);
  return s;
}

bool DelayedHistory::seed(const State& given) {
  const std::optional<State> own = at(given.t_ns);
  if (!own || given.t_ns > newest_ns_ + nanoseconds(config_.clock_jump_s)) return false;
  State s = given;
  s.imu_t_ns = own->imu_t_ns;
  s.accel = own->accel;
  s.gyro = own->gyro;
  s.rejected_since_ns = own->rejected_since_ns;
  s.position_known = true;
  s.travelled = own->travelled;
  s.imu_noise = own->imu_noise;
  s.gusts = own->gusts;
  s.gusts_seen = own->gusts_seen;
  s.odometry_mean = own->odometry_mean;
  s.autopilot = own->autopilot;
  s.attitude_mean = own->attitude_mean;
  drop_clones(s);
  if (!healthy(s)) return false;
  while (!events_.empty() && events_.front().t_ns <= s.t_ns) events_.pop_front();
  snapshots_.clear();
  snapshots_.push_back({s.t_ns, Source::count, sequence_, s});
  state_ = s;
  if (events_.empty()) return true;
  AidSourceStatus ignored;
  replay_from(0, ignored, sequence_);
  return true;
}

AidSourceStatus DelayedHistory::test(std::int64_t t_ns, const Fix& fix) const {
  AidSourceStatus aid;
  aid.t_ns = t_ns;
  aid.source = Source::fix;
  Event event;
  event.fix = std::make_shared<const Fix>(fix);
  aid.reason = bad_value(event);
  if (aid.reason != Reason::none) return aid;
  const std::optional<State> s = at(t_ns);
  if (!s) {
    aid.reason = started_ ? Reason::older_than_history : Reason::not_started;
    return aid;
  }
  test_fix(config_, *s, fix, aid);
  return aid;
}

}  // namespace gps_denied::eskf
