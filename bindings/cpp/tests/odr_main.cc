// Its exit status names the line that went wrong.
#include "odr.h"

int main() {
    auto clock = tokenbucket::ManualClock::create();
    if (!clock) return 1;
    auto bucket = half_full(*clock);
    if (!bucket || !bucket->take() || bucket->take()) return 2;
    if (!clock->advance(std::chrono::seconds(1))) return 3;
    {
        const auto promise = promise_of(*bucket);
        if (!promise || promise->delay() != std::chrono::seconds(1)) return 4;
        const auto left = bucket->available();
        if (!left || *left >= 0) return 5;
    }
    if (!bucket->allow()) return 6;
    auto table = table_of_a();
    if (!table || table->allow("a", 2) || !table->allow("b", 2) || !table->reserve("a")) return 7;
    {
        const auto promise = promise_of_both(*bucket, *table);
        if (!promise || promise.refusal().member != -1 || table->allow("c", 3)) return 8;
        const auto answer = tokenbucket::Limits(bucket->member(), table->member("d")).allow();
        if (answer || answer.refusal().member != 0) return 9;
    }
    const auto left = bucket->available();
    if (!left || *left != 0) return 10;
    tokenbucket::Config config;
    config.capacity = config.rate_tokens = 1;
    const auto remote = tokenbucket::RemoteLimit::create(config, std::chrono::seconds(1));
    if (!remote || denied_take(*remote).status != tokenbucket::Status::denied) return 11;
    return 0;
}
