// Limits whose every event falls on a whole step: so many tokens, so many per nanosecond.
#ifndef TOKENBUCKET_TESTS_MODEL_SHAPE_H
#define TOKENBUCKET_TESTS_MODEL_SHAPE_H

#include <gtest/gtest.h>

#include "core/bucket/limit.h"

namespace model {

struct Shape {
    int64_t capacity;
    int64_t per_ns;
    tb::Limit limit;
};

inline Shape shape(int64_t capacity, int64_t per_ns) {
    Shape s{capacity, per_ns, {}};
    const double per_second = static_cast<double>(per_ns) * 1e9;
    EXPECT_EQ(tb::make_limit({static_cast<double>(capacity), per_second, 1000000000}, &s.limit), tb::Status::success);
    return s;
}

}  // namespace model

#endif
