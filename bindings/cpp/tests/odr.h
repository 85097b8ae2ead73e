// What the two halves of one program, in different standards and manners of compiling, hand to each other.
#ifndef TOKENBUCKET_CPP_TESTS_ODR_H
#define TOKENBUCKET_CPP_TESTS_ODR_H

#include "tokenbucket.hpp"

// A bucket of two tokens on the clock, one of them taken.
tokenbucket::Result<tokenbucket::Bucket> half_full(const tokenbucket::ManualClock &clock) noexcept;
tokenbucket::Result<tokenbucket::Reservation> promise_of(tokenbucket::Bucket &bucket) noexcept;
// A table of two tokens for each key, of which "a" has taken one.
tokenbucket::Result<tokenbucket::Table> table_of_a() noexcept;
// Two tokens of the bucket and one of the table's "b".
tokenbucket::ResultAll<tokenbucket::ReservationAll> promise_of_both(const tokenbucket::Bucket &bucket,
                                                                    const tokenbucket::Table &table) noexcept;
// A take of one token, and its answer where the server says that none is left.
tokenbucket::RemoteAnswer denied_take(const tokenbucket::RemoteLimit &limit);

#endif
