// A ring between one producing and one consuming thread that never makes the producer wait: when it is full, the newest
// record takes the place of the oldest. No Python in it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>

namespace gps_denied::ring {

// What a pop gives: a view into the ring's memory, good until the next pop. `sequence` counts the pushes from 0;
// numbers that are skipped were lost.
struct Record {
  std::uint64_t sequence = 0;
  std::int64_t t_ns = 0;
  std::uint16_t kind = 0;
  const char* data = nullptr;
  std::size_t size = 0;
};

// `slots` (a power of two) positions; buffers of `slot_bytes` are allocated once, one for each position, one that the
// producer fills and one that the consumer reads. A position is one 64-bit word: which buffer, whether it is full, and
// the sequence of its record. The producer exchanges words (wait-free), the consumer takes one by compare-and-exchange
// (lock-free): whoever comes second sees it and counts the record as lost, and no buffer is ever in two hands.
class Ring {
 public:
  // std::invalid_argument unless `slots` is a power of two from 2 to 2^18 and `slot_bytes` is positive. `checked` finds
  // a second producing thread.
  Ring(std::size_t slots, std::size_t slot_bytes, bool checked);

  // Producer. False when the record is larger than a slot: it is lost, and its sequence number with it. Throws
  // std::logic_error only when `checked` and called from another thread than the first time.
  bool push(std::uint16_t kind, std::int64_t t_ns, const char* data, std::size_t size);

  // Consumer: the oldest record that is still there; false when there is none.
  bool pop(Record& out);

  // How many records were pushed, lost ones included. Any thread.
  std::uint64_t produced() const { return head_.load(std::memory_order_acquire); }
  // How many sequence numbers the consumer has passed, lost ones included. Consumer.
  std::uint64_t passed() const { return tail_; }
  std::size_t slots() const { return slots_; }

 private:
  struct Head {
    std::int64_t t_ns;
    std::uint32_t size;
    std::uint16_t kind;
  };

  char* buffer(std::uint32_t handle) { return memory_.get() + handle * slot_bytes_; }

  const std::size_t slots_;
  const std::size_t slot_bytes_;
  const bool checked_;
  std::unique_ptr<char[]> memory_;
  std::unique_ptr<Head[]> heads_;
  std::unique_ptr<std::atomic<std::uint64_t>[]> words_;
  std::atomic<std::thread::id> producer_{};
  std::uint32_t filling_;  // the producer's own buffer
  alignas(64) std::atomic<std::uint64_t> head_{0};
  alignas(64) std::uint64_t tail_ = 0;
  std::uint32_t reading_;  // the consumer's own buffer
};

}  // namespace gps_denied::ring
