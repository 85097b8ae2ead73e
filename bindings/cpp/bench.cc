// What a take costs in C and in C++, against the bucket that one would write by hand: a mutex around a double, called,
// as ours is, in a shared library. One line each: language | call | ns | peer | its ns | ratio.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <string>

#include "tests/bench/mutex_bucket.h"
#include "tests/bench/rounds.h"
#include "tokenbucket.hpp"

namespace {

constexpr int kRounds = 61;
const char *const kPeer = "mutex and double";

struct Buckets {
    Buckets(double capacity, double per_second, double tokens)
        : ours(bucket_of(capacity, per_second, tokens)), peer(capacity, per_second, tokens) {}

    static tokenbucket::Bucket bucket_of(double capacity, double per_second, double tokens) {
        tokenbucket::Config config;
        config.capacity = capacity;
        config.rate_tokens = per_second;
        config.initial_tokens = tokens;
        return tokenbucket::Bucket(config);
    }

    tokenbucket::Bucket ours;
    bench::MutexBucket peer;
};

// Three cases of one outcome: C, C++, and the peer.
void add_cases(const std::string &outcome, Buckets *b, bool granted) {
    const auto add = [&](const std::string &name, auto allow) {
        for (int threads = 1; threads <= bench::kMaxThreads; ++threads)
            bench::add_case(name + outcome, threads, [=] { return allow() == granted; });
    };
    add("C ", [b] { return tb_allow(b->ours.get(), 1) == TB_SUCCESS; });
    add("CPP ", [b] { return b->ours.allow(1).has_value(); });
    add("peer ", [b] { return b->peer.allow(1); });
}

void print(const bench::Rounds &rounds, const char *language, const char *prefix, const char *call,
           const std::string &outcome, int threads) {
    const std::string name = prefix + outcome;
    const std::string peer = "peer " + outcome;
    std::printf("%s | %s, %s, %d thread%s | %.1f | %s | %.1f | %.2f\n", language, call, outcome.c_str(), threads,
                threads == 1 ? "" : "s", rounds.time(name, threads).median, kPeer, rounds.time(peer, threads).median,
                rounds.ratio(name, threads, peer, threads).median);
}

}  // namespace

int main(int argc, char **argv) {
    benchmark::Initialize(&argc, argv);
    Buckets full(1000, 1e9, 1000);    // gains more than anybody takes
    Buckets empty(1, 1.0 / 3600, 0);  // gains nothing while this runs
    add_cases("granted", &full, true);
    add_cases("denied", &empty, false);

    bench::Rounds rounds;
    rounds.run({"C granted", "CPP granted", "peer granted", "C denied", "CPP denied", "peer denied"}, kRounds);
    if (rounds.failed()) return 1;
    for (int threads = 1; threads <= bench::kMaxThreads; ++threads) {
        for (const char *outcome : {"granted", "denied"}) {
            print(rounds, "C", "C ", "tb_allow(bucket, 1)", outcome, threads);
            print(rounds, "C++", "CPP ", "bucket.allow(1)", outcome, threads);
        }
    }
    return 0;
}
