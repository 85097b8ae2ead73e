#include <string>
#include <utility>
#include <vector>

#include "odr.h"

tokenbucket::Result<tokenbucket::Bucket> half_full(const tokenbucket::ManualClock &clock) noexcept {
    tokenbucket::Config config;
    config.capacity = 2;
    config.rate_tokens = 1;
    config.clock = clock.get();
    auto bucket = tokenbucket::Bucket::create(config);
    if (bucket && !bucket->allow()) bucket->close();
    return bucket;
}

tokenbucket::Result<tokenbucket::Reservation> promise_of(tokenbucket::Bucket &bucket) noexcept {
    return bucket.reserve(2, std::chrono::seconds(1));
}

tokenbucket::Result<tokenbucket::Table> table_of_a() noexcept {
    auto table = tokenbucket::Table::create(2, 0.001, 10);
    if (table && !table->allow("a")) table->close();
    return table;
}

tokenbucket::ResultAll<tokenbucket::ReservationAll> promise_of_both(const tokenbucket::Bucket &bucket,
                                                                    const tokenbucket::Table &table) noexcept {
    return tokenbucket::Limits(bucket.member(2), table.member("b")).reserve();
}

tokenbucket::RemoteAnswer denied_take(const tokenbucket::RemoteLimit &limit) {
    return limit.take("a")->ask([](const std::vector<std::string> &) { return tokenbucket::RemoteReply{{-1}, ""}; });
}
