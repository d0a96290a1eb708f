#include "ring/ring.hpp"

#include <cstring>
#include <stdexcept>

namespace gps_denied::ring {
namespace {

// A word: sequence in the upper 43 bits, then 20 bits of buffer, then whether it is full.
constexpr unsigned kHandleBits = 20;
constexpr std::uint64_t kHandleMask = (1ULL << kHandleBits) - 1;
constexpr std::uint64_t kSequenceMask = (1ULL << (63 - kHandleBits)) - 1;
constexpr std::size_t kSlotsMax = 1U << 18;

std::uint64_t word(std::uint64_t sequence, std::uint32_t handle, bool full) {
  return (sequence & kSequenceMask) << (kHandleBits + 1) | std::uint64_t{handle} << 1 | (full ? 1U : 0U);
}
std::uint32_t handle_of(std::uint64_t w) { return static_cast<std::uint32_t>(w >> 1 & kHandleMask); }
bool holds(std::uint64_t w, std::uint64_t sequence) {
  return (w & 1U) != 0 && w >> (kHandleBits + 1) == (sequence & kSequenceMask);
}

std::size_t checked_slots(std::size_t slots) {
  if (slots < 2 || slots > kSlotsMax || (slots & (slots - 1)) != 0) {
    throw std::invalid_argument("a ring's slots must be a power of two from 2 to 262144");
  }
  return slots;
}

}  // namespace

Ring::Ring(std::size_t slots, std::size_t slot_bytes, bool checked)
    : slots_(checked_slots(slots)), slot_bytes_(slot_bytes), checked_(checked) {
  if (slot_bytes == 0 || slot_bytes > (1U << 24)) {
    throw std::invalid_argument("a ring's slot must have 1 to 16777216 bytes");
  }
  memory_ = std::make_unique<char[]>((slots + 2) * slot_bytes);  // zeroed: touched now, not in flight
  heads_ = std::make_unique<Head[]>(slots + 2);
  words_ = std::make_unique<std::atomic<std::uint64_t>[]>(slots);
  for (std::size_t i = 0; i < slots; ++i) {
    words_[i].store(word(0, static_cast<std::uint32_t>(i), false), std::memory_order_relaxed);
  }
  filling_ = static_cast<std::uint32_t>(slots);
  reading_ = static_cast<std::uint32_t>(slots + 1);
}

bool Ring::push(std::uint16_t kind, std::int64_t t_ns, const char* data, std::size_t size) {
  if (checked_) {
    std::thread::id nobody{};
    const auto me = std::this_thread::get_id();
    if (!producer_.compare_exchange_strong(nobody, me) && nobody != me) {
      throw std::logic_error("two threads produce into one ring; give each its own client");
    }
  }
  const std::uint64_t sequence = head_.load(std::memory_order_relaxed);
  const bool fits = size <= slot_bytes_;
  if (fits) {
    std::memcpy(buffer(filling_), data, size);
    heads_[filling_] = Head{t_ns, static_cast<std::uint32_t>(size), kind};
    const std::uint64_t before =
        words_[sequence & (slots_ - 1)].exchange(word(sequence, filling_, true), std::memory_order_acq_rel);
    filling_ = handle_of(before);  // empty, or full with the oldest record, which is lost hereby
  }
  head_.store(sequence + 1, std::memory_order_release);
  return fits;
}

bool Ring::pop(Record& out) {
  const std::uint64_t head = head_.load(std::memory_order_acquire);
  if (head - tail_ > slots_) {
    tail_ = head - slots_;
  }
  while (tail_ < head) {
    const std::uint64_t sequence = tail_++;
    auto& position = words_[sequence & (slots_ - 1)];
    std::uint64_t found = position.load(std::memory_order_acquire);
    if (!holds(found, sequence) ||
        !position.compare_exchange_strong(found, word(sequence, reading_, false), std::memory_order_acq_rel,
                                          std::memory_order_relaxed)) {
      continue;  // too large for a slot, or overwritten while we looked
    }
    reading_ = handle_of(found);
    const Head& head_of = heads_[reading_];
    out = Record{sequence, head_of.t_ns, head_of.kind, buffer(reading_), head_of.size};
    return true;
  }
  return false;
}

}  // namespace gps_denied::ring
