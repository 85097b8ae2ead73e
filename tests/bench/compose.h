// What a decision costs that several limits make together, as a ratio to a take from one bucket.
#ifndef TOKENBUCKET_TESTS_BENCH_COMPOSE_H
#define TOKENBUCKET_TESTS_BENCH_COMPOSE_H

namespace bench {

// Measures and prints; false: an operation went wrong.
bool measure_compose();

}  // namespace bench

#endif
