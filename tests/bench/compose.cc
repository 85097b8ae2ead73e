#include "tests/bench/compose.h"

#include <benchmark/benchmark.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "capi/include/tokenbucket.h"
#include "tests/bench/rounds.h"

namespace bench {
namespace {

constexpr int kComposeRounds = 61;
constexpr std::size_t kMembers = 3;
constexpr double kGoal = 4;
// Tokens: neither empty nor full in the time this program runs.
constexpr double kVast = 1e9;

constexpr const char *kOne = "allow of one bucket";
constexpr const char *kThree = "three of these";
constexpr const char *kKey = "allow of a key";
constexpr const char *kAllBuckets = "allow_all of three buckets";
constexpr const char *kAllWithKey = "allow_all of two buckets and a key";
constexpr const char *kAllDenied = "allow_all of three buckets, denied by the last";
constexpr const char *kCases[] = {kOne, kThree, kKey, kAllBuckets, kAllWithKey, kAllDenied};

struct DestroyBucket {
    void operator()(tb_bucket *b) const { tb_destroy(b); }
};
struct DestroyTable {
    void operator()(tb_table *t) const { tb_table_destroy(t); }
};
using Bucket = std::unique_ptr<tb_bucket, DestroyBucket>;
using Table = std::unique_ptr<tb_table, DestroyTable>;
using Members = std::array<tb_member, kMembers>;

void require(bool held, const char *what) {
    if (held) return;
    std::fprintf(stderr, "bench_table: %s\n", what);
    std::exit(1);
}

Bucket bucket_of(double capacity, double per_second, double taken_at_first) {
    tb_bucket *b = nullptr;
    require(tb_create(capacity, per_second, &b) == TB_SUCCESS, "no bucket");
    require(tb_allow(b, taken_at_first) == TB_SUCCESS, "not full at first");
    return Bucket(b);
}

Table table_of() {
    tb_table *t = nullptr;
    require(tb_table_create(kVast, 1, 1000, &t) == TB_SUCCESS, "no table");
    return Table(t);
}

// The limits of an API: requests a second and a day of all, and one more of all or of a user.
struct Limits {
    Bucket buckets[kMembers] = {bucket_of(kVast, 1, kVast / 2), bucket_of(kVast, 2, kVast / 2),
                                bucket_of(kVast, 3, kVast / 2)};
    Bucket drained = bucket_of(1, 1e-6, 1);
    Table users = table_of();
};

tb_member member_of(const Bucket &b) {
    return {b.get(), nullptr, nullptr, 0, 1};
}

tb_member member_of(const Table &t, const std::string &key) {
    return {nullptr, t.get(), key.data(), key.size(), 1};
}

void add_all(const char *name, int threads, const Members &members, tb_status expected) {
    add_case(name, threads, [=] { return tb_allow_all(members.data(), members.size(), nullptr) == expected; });
}

void add_cases(const Limits &limits, const std::string &user, int threads) {
    const Bucket *const b = limits.buckets;
    add_case(kOne, threads, [b = b[0].get()] { return tb_allow(b, 1) == TB_SUCCESS; });
    add_case(kThree, threads, [b] {
        bool granted = true;
        for (std::size_t i = 0; i < kMembers; ++i) granted &= tb_allow(b[i].get(), 1) == TB_SUCCESS;
        return granted;
    });
    add_case(kKey, threads,
             [t = limits.users.get(), &user] { return tb_table_allow(t, user.data(), user.size(), 1) == TB_SUCCESS; });
    add_all(kAllBuckets, threads, {member_of(b[0]), member_of(b[1]), member_of(b[2])}, TB_SUCCESS);
    add_all(kAllWithKey, threads, {member_of(b[0]), member_of(b[1]), member_of(limits.users, user)}, TB_SUCCESS);
    add_all(kAllDenied, threads, {member_of(b[0]), member_of(b[1]), member_of(limits.drained)}, TB_DENIED);
}

void print_row(const Rounds &r, const char *name, int threads) {
    const Spread time = r.time(name, threads);
    const Spread ratio = r.ratio(name, threads, kOne, threads);
    std::printf("%-48s %8.1f  %5.2f (%5.2f..%5.2f) %3d", name, time.median, ratio.median, ratio.p10, ratio.p90,
                time.samples);
    if (ratio.samples != 0 && (name == kAllBuckets || name == kAllWithKey))
        std::printf("  <= %.1f: %s", kGoal, ratio.median <= kGoal ? "reached" : "MISSED");
    std::printf("\n");
}

}  // namespace

bool measure_compose() {
    const Limits limits;
    const std::string user = "user:000000000000042";
    const std::vector<std::string> names(std::begin(kCases), std::end(kCases));
    for (int threads = 1; threads <= kMaxThreads; ++threads) add_cases(limits, user, threads);
    Rounds rounds;
    rounds.run(names, kComposeRounds);
    for (int threads = 1; threads <= kMaxThreads && !rounds.failed(); ++threads) {
        const std::string title = std::to_string(threads) + (threads == 1 ? " thread" : " threads");
        std::printf("\n%-48s %8s  %-20s %3s\n", title.c_str(), "ns", "x allow of one", "n");
        for (const char *const name : kCases) print_row(rounds, name, threads);
    }
    benchmark::ClearRegisteredBenchmarks();
    return !rounds.failed();
}

}  // namespace bench
