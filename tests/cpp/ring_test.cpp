// The ring between a producer that must not wait and the recorder's writer. Built a second time under ThreadSanitizer.
#include "ring/ring.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using gps_denied::ring::Record;
using gps_denied::ring::Ring;

#define CHECK(condition)                                                   \
  do {                                                                     \
    if (!(condition)) {                                                    \
      std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      std::exit(1);                                                        \
    }                                                                      \
  } while (false)

namespace {

// A record whose bytes can be told from those of any other: its number, over and over.
std::string body(std::uint64_t number, std::size_t words) {
  std::string out(words * sizeof number, '\0');
  for (std::size_t i = 0; i < words; ++i) {
    std::memcpy(out.data() + i * sizeof number, &number, sizeof number);
  }
  return out;
}

bool is_body(const Record& record, std::uint64_t number) {
  const std::string expected = body(number, record.size / sizeof number);
  return record.size == expected.size() && std::memcmp(record.data, expected.data(), record.size) == 0;
}

void keeps_order_and_content() {
  Ring ring(8, 64, true);
  Record record;
  CHECK(!ring.pop(record));
  for (std::uint64_t n = 0; n < 100; ++n) {
    const std::string data = body(n, n % 8);
    CHECK(ring.push(static_cast<std::uint16_t>(n), -static_cast<std::int64_t>(n), data.data(), data.size()));
    if (n % 5 == 4) {
      for (std::uint64_t m = n - 4; m <= n; ++m) {
        CHECK(ring.pop(record));
        CHECK(record.sequence == m && record.kind == m && record.t_ns == -static_cast<std::int64_t>(m));
        CHECK(is_body(record, m));
      }
      CHECK(!ring.pop(record));
    }
  }
}

void drops_the_oldest() {
  Ring ring(4, 8, true);
  for (std::uint64_t n = 0; n < 10; ++n) {
    const std::string data = body(n, 1);
    CHECK(ring.push(0, 0, data.data(), data.size()));
  }
  Record record;
  for (std::uint64_t n = 6; n < 10; ++n) {
    CHECK(ring.pop(record));
    CHECK(record.sequence == n && is_body(record, n));
  }
  CHECK(!ring.pop(record));
  CHECK(ring.produced() == 10 && ring.passed() == 10);
}

void too_large_is_lost_and_counted() {
  Ring ring(4, 8, true);
  const std::string large = body(0, 2);
  const std::string small = body(1, 1);
  CHECK(!ring.push(0, 0, large.data(), large.size()));
  CHECK(ring.push(0, 0, small.data(), small.size()));
  Record record;
  CHECK(ring.pop(record));
  CHECK(record.sequence == 1);
  CHECK(!ring.pop(record));
}

template <typename Error, typename Call>
bool throws(Call call) {
  try {
    call();
  } catch (const Error&) {
    return true;
  }
  return false;
}

void refuses_what_cannot_be() {
  CHECK(throws<std::invalid_argument>([] { Ring ring(6, 8, false); }));
  CHECK(throws<std::invalid_argument>([] { Ring ring(1, 8, false); }));
  CHECK(throws<std::invalid_argument>([] { Ring ring(8, 0, false); }));
}

void finds_a_second_producer() {
  Ring ring(4, 8, true);
  CHECK(ring.push(0, 0, "a", 1));
  bool found = false;
  std::thread other([&] { found = throws<std::logic_error>([&] { ring.push(0, 0, "b", 1); }); });
  other.join();
  CHECK(found);
  CHECK(ring.produced() == 1);
}

// Producer and consumer at full speed: everything that arrives is whole and in order, and nothing is counted twice.
void survives_two_threads(std::size_t slots, std::uint64_t count, bool slow_consumer) {
  Ring ring(slots, 256, true);
  std::thread producer([&] {
    for (std::uint64_t n = 0; n < count; ++n) {
      const std::string data = body(n, n % 33);
      CHECK(ring.push(static_cast<std::uint16_t>(n), static_cast<std::int64_t>(n), data.data(), data.size()));
    }
  });
  std::uint64_t received = 0;
  std::uint64_t lost = 0;
  std::uint64_t expected = 0;
  Record record;
  while (expected < count) {
    if (!ring.pop(record)) {
      lost += ring.passed() - expected;  // overwritten while it was looked at
      expected = ring.passed();
      std::this_thread::yield();
      continue;
    }
    CHECK(record.sequence >= expected);
    CHECK(record.t_ns == static_cast<std::int64_t>(record.sequence));
    CHECK(is_body(record, record.sequence));
    lost += record.sequence - expected;
    expected = record.sequence + 1;
    ++received;
    if (slow_consumer && received % 16 == 0) {
      std::this_thread::yield();
    }
  }
  producer.join();
  CHECK(received + lost == count);
  CHECK(received >= slots || count < slots);
}

}  // namespace

int main() {
  keeps_order_and_content();
  drops_the_oldest();
  too_large_is_lost_and_counted();
  refuses_what_cannot_be();
  finds_a_second_producer();
  survives_two_threads(2, 100000, true);
  survives_two_threads(64, 100000, true);
  survives_two_threads(4096, 100000, false);
  std::puts("ring: all passed");
  return 0;
}
