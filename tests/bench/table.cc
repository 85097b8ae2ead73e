// What a call costs that names its bucket by a key, as ratios to maps of buckets that one would write by hand; what a
// table forgets under load; what it holds in memory; and what several limits cost in one decision. Ratios of one run
// travel between machines; nanoseconds do not.
#include <benchmark/benchmark.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "capi/include/tokenbucket.h"
#include "tests/bench/bucket_map.h"
#include "tests/bench/compose.h"
#include "tests/bench/rounds.h"

namespace bench {
namespace {

constexpr int kTableRounds = 31;
constexpr int kBatch = 16;
constexpr int kKeysPerSample = 100 * kBatch;  // per thread and sample: a fraction of a millisecond
constexpr std::size_t kShards = 64;
constexpr std::size_t kMostKeysInMaps = 1000000;
// So that keys are neither empty nor full in the time this program runs.
constexpr double kCapacity = 1e8;
constexpr double kPerSecond = 1;
constexpr double kTakenAtFirst = kCapacity / 2;

struct DestroyTable {
    void operator()(tb_table *t) const { tb_table_destroy(t); }
};
struct DestroyBucket {
    void operator()(tb_bucket *b) const { tb_destroy(b); }
};
struct DestroyClock {
    void operator()(tb_clock *c) const { tb_clock_destroy(c); }
};
using Table = std::unique_ptr<tb_table, DestroyTable>;
using Bucket = std::unique_ptr<tb_bucket, DestroyBucket>;
using Clock = std::unique_ptr<tb_clock, DestroyClock>;

void require(bool held, const char *what) {
    if (held) return;
    std::fprintf(stderr, "bench_table: %s\n", what);
    std::exit(1);
}

// ---- Keys ----

enum Distribution { kUniform, kZipf };
constexpr const char *kDistributions[] = {"uniform", "Zipf 0.99"};

// 8 bytes: a number without structure. 20: a text, such as a user's name.
std::string key_of(uint64_t number, std::size_t size) {
    char text[32];
    if (size != 8)
        return std::string(
            text, static_cast<std::size_t>(std::snprintf(text, sizeof text, "user:%015ju", uintmax_t{number})));
    const uint64_t mixed = (number + 1) * 0x9e3779b97f4a7c15;
    return std::string(reinterpret_cast<const char *>(&mixed), 8);
}

// Numbers of keys, drawn; rank r of a Zipf distribution is as likely as 1 / r^0.99.
std::vector<uint64_t> drawn(std::size_t keys, Distribution distribution, std::size_t draws, uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<uint64_t> numbers(draws);
    std::vector<double> until;
    double sum = 0;
    for (std::size_t rank = 1; distribution == kZipf && rank <= keys; ++rank)
        until.push_back(sum += std::pow(static_cast<double>(rank), -0.99));
    std::uniform_real_distribution<double> at(0, sum);
    for (uint64_t &n : numbers) {
        if (distribution == kUniform) n = random() % keys;
        // Likely keys are not neighbours: the factor is a prime number that divides no number of keys here.
        if (distribution == kZipf)
            n = static_cast<uint64_t>(std::upper_bound(until.begin(), until.end(), at(random)) - until.begin()) *
                2654435761 % keys;
    }
    return numbers;
}

// Keys in the order in which one thread asks for them, one behind the other, over and over again.
class Stream {
  public:
    Stream(std::size_t keys, std::size_t key_size, Distribution distribution, uint64_t seed) : size_(key_size) {
        constexpr std::size_t kDraws = kBatch * 50000;
        for (const uint64_t n : drawn(keys, distribution, kDraws, seed)) bytes_ += key_of(n, key_size);
    }

    const char *next(std::size_t count = 1) {
        const char *const key = &bytes_[at_];
        at_ += count * size_;
        if (at_ == bytes_.size()) at_ = 0;
        return key;
    }

  private:
    const std::size_t size_;
    std::string bytes_;
    std::size_t at_ = 0;
};

// ---- Designs ----

enum Design { kMutexMap, kShardMap, kSingle, kMany, kShared, kDesigns };
constexpr const char *kDesignNames[] = {"mutex and map", "64 mutexes and maps", "table", "table, batches of 16",
                                        "shared table"};

Table table_of(std::size_t keys) {
    tb_table *t = nullptr;
    require(tb_table_create(kCapacity, kPerSecond, static_cast<int64_t>(keys), &t) == TB_SUCCESS, "no table");
    return Table(t);
}

// Null where there is none.
Table shared_table_of(std::size_t keys) {
    tb_config limit;
    tb_config_init(&limit, sizeof limit);
    limit.capacity = kCapacity;
    limit.rate_tokens = kPerSecond;
    tb_table_config config;
    tb_table_config_init(&config, sizeof config);
    config.max_keys = static_cast<int64_t>(keys);
    tb_table *t = nullptr;
    const tb_status s = tb_shared_table_open(&limit, &config, nullptr, 0, &t, nullptr);
    require(s == TB_SUCCESS || s == TB_E_UNSUPPORTED, "no shared table");
    return Table(t);
}

long resident_bytes() {
    long pages = 0, resident = 0;
    FILE *const f = std::fopen("/proc/self/statm", "r");
    if (f == nullptr) return 0;
    if (std::fscanf(f, "%ld %ld", &pages, &resident) != 2) resident = 0;
    std::fclose(f);
    return resident * sysconf(_SC_PAGESIZE);
}

long heap_bytes() {
    const struct mallinfo2 heap = mallinfo2();
    return static_cast<long>(heap.uordblks + heap.hblkhd);
}

// As many keys as there are, in each design.
class Limiters {
  public:
    Limiters(std::size_t keys, std::size_t key_size) : has_maps_(keys <= kMostKeysInMaps), sizes_(kBatch, key_size) {
        long before = resident_bytes();
        table_ = table_of(keys);
        for (std::size_t i = 0; i < keys; ++i) {
            const std::string key = key_of(i, key_size);
            const tb_status s = tb_table_allow(table_.get(), key.data(), key.size(), kTakenAtFirst);
            require(s == TB_SUCCESS, "cannot fill the table");
        }
        table_bytes_ = resident_bytes() - before;
        shared_ = shared_table_of(keys);
        for (std::size_t i = 0; shared_ != nullptr && i < keys; ++i) {
            const std::string key = key_of(i, key_size);
            const tb_status s = tb_table_allow(shared_.get(), key.data(), key.size(), kTakenAtFirst);
            require(s == TB_SUCCESS, "cannot fill the shared table");
        }
        before = heap_bytes();
        for (std::size_t i = 0; has_maps_ && i < keys; ++i) {
            tb_bucket *b = nullptr;
            require(tb_create(kCapacity, kPerSecond, &b) == TB_SUCCESS, "no bucket");
            buckets_.emplace_back(b);
            map_.add(key_of(i, key_size), b);
        }
        map_bytes_ = heap_bytes() - before;
        for (std::size_t i = 0; i < buckets_.size(); ++i) shards_.add(key_of(i, key_size), buckets_[i].get());
    }

    bool has(Design design) const { return design == kShared ? shared_ != nullptr : has_maps_ || design >= kSingle; }
    long table_bytes() const { return table_bytes_; }
    long map_bytes() const { return map_bytes_; }

    // Asks for the next key; in batches, every 16th time for 16. turn counts the calls.
    bool allow(Design design, Stream *stream, int turn) {
        if (design == kSingle) return tb_table_allow(table_.get(), stream->next(), sizes_[0], 1) == TB_SUCCESS;
        if (design == kShared) return tb_table_allow(shared_.get(), stream->next(), sizes_[0], 1) == TB_SUCCESS;
        if (design == kMutexMap) return map_.allow({stream->next(), sizes_[0]});
        if (design == kShardMap) return shards_.allow({stream->next(), sizes_[0]});
        if (turn % kBatch != 0) return true;
        tb_status answers[kBatch];
        tb_table_allow_many(table_.get(), stream->next(kBatch), sizes_.data(), nullptr, kBatch, answers);
        return std::count(answers, answers + kBatch, TB_SUCCESS) == kBatch;
    }

  private:
    const bool has_maps_;
    const std::vector<std::size_t> sizes_;
    Table table_, shared_;
    std::vector<Bucket> buckets_;
    BucketMap map_{1}, shards_{kShards};
    long table_bytes_ = 0, map_bytes_ = 0;
};

// ---- Speed ----

struct Group {
    std::size_t keys, key_size;
};

std::string case_name(const Group &g, Distribution distribution, Design design) {
    return std::to_string(g.keys) + " keys of " + std::to_string(g.key_size) + ", " + kDistributions[distribution] +
           ", " + kDesignNames[design];
}

// As many operations come before each sample, so that none has to fetch first what the designs before it displaced.
void add_case_of(const std::string &name, int threads, Limiters *limiters, Design design, Stream *streams) {
    const auto run = [=](benchmark::State &state) {
        int turn = 0;
        const auto operation = [&, stream = &streams[state.thread_index()]] {
            return limiters->allow(design, stream, turn++);
        };
        for (int i = 0; i < kKeysPerSample; ++i) operation();
        sample(state, operation);
    };
    benchmark::RegisterBenchmark(name.c_str(), run)->Threads(threads)->Iterations(kKeysPerSample)->UseRealTime();
}

void print_ratio(const Spread &s) {
    if (s.samples == 0)
        std::printf("         -         ");
    else
        std::printf(" %5.2f (%5.2f..%5.2f)", s.median, s.p10, s.p90);
}

void print_goal(const char *text, double reached, double limit) {
    std::printf("  %s %.1f: %s", text, limit, reached >= limit ? "reached" : "MISSED");
}

// How many times as fast as the other.
void print_row(const Rounds &r, const Group &g, Distribution distribution, Design design, int threads) {
    const auto name = [&](Design d) { return case_name(g, distribution, d); };
    const Spread time = r.time(name(design), threads);
    const Spread speed_up = r.ratio(name(design), 1, name(design), 2);
    const Spread to_map = r.ratio(name(kMutexMap), threads, name(design), threads);
    const Spread to_single = r.ratio(name(kSingle), threads, name(design), threads);
    std::printf("%-21s %9.1f", kDesignNames[design], time.median);
    print_ratio(to_map);
    print_ratio(r.ratio(name(kShardMap), threads, name(design), threads));
    print_ratio(to_single);
    print_ratio(threads == 2 ? speed_up : Spread{});
    std::printf(" %3d", time.samples);
    if (design == kSingle && threads == 1 && to_map.samples != 0 && g.keys == kMostKeysInMaps)
        print_goal("x mutex >=", to_map.median, 2);
    if (design == kMany && threads == 1 && g.keys >= kMostKeysInMaps) print_goal("x table >=", to_single.median, 1.5);
    if ((design == kSingle || design == kMany) && threads == 2 && distribution == kUniform && g.keys >= kMostKeysInMaps)
        print_goal("x one thread >=", speed_up.median, 1.8);
    std::printf("\n");
}

void print_group(const Rounds &r, const Group &g, const Limiters &limiters) {
    for (const Distribution distribution : {kUniform, kZipf}) {
        for (int threads = 1; threads <= kMaxThreads; ++threads) {
            const std::string title = std::to_string(g.keys) + " keys of " + std::to_string(g.key_size) + " bytes, " +
                                      kDistributions[distribution] + ", " + std::to_string(threads) +
                                      (threads == 1 ? " thread" : " threads");
            std::printf("\n%s\n%-21s %9s %-20s %-20s %-20s %-20s %3s\n", title.c_str(), "", "ns", "  x mutex and map",
                        "  x 64 maps", "  x table", "  x one thread", "n");
            for (int design = 0; design < kDesigns; ++design)
                if (limiters.has(static_cast<Design>(design)))
                    print_row(r, g, distribution, static_cast<Design>(design), threads);
        }
    }
    const double keys = static_cast<double>(g.keys);
    std::printf("bytes a key: table %.1f resident", static_cast<double>(limiters.table_bytes()) / keys);
    if (limiters.has(kMutexMap)) std::printf(", map %.1f of heap", static_cast<double>(limiters.map_bytes()) / keys);
    std::printf("\n");
    std::fflush(stdout);
}

bool measure(const Group &g) {
    Limiters limiters(g.keys, g.key_size);
    std::vector<Stream> streams[2];
    std::vector<std::string> names;
    for (const Distribution distribution : {kUniform, kZipf}) {
        for (int thread = 0; thread < kMaxThreads; ++thread)
            streams[distribution].emplace_back(g.keys, g.key_size, distribution, thread + 1);
        for (int i = 0; i < kDesigns; ++i) {
            const Design design = static_cast<Design>(i);
            if (!limiters.has(design)) continue;
            names.push_back(case_name(g, distribution, design));
            for (int threads = 1; threads <= kMaxThreads; ++threads)
                add_case_of(names.back(), threads, &limiters, design, streams[distribution].data());
        }
    }
    Rounds rounds;
    rounds.run(names, kTableRounds);
    if (!rounds.failed()) print_group(rounds, g, limiters);
    benchmark::ClearRegisteredBenchmarks();
    return !rounds.failed();
}

// ---- Churn ----

struct Churn {
    double load;  // places whose keys are not full
    double most_evictions, most_forgiven;
};

tb_table_stats stats_of(tb_table *t) {
    tb_table_stats stats{};
    stats.struct_size = sizeof stats;
    require(tb_table_get_stats(t, &stats) == TB_SUCCESS, "no statistics");
    return stats;
}

// Every key is new, takes one token and is full again after a fixed time; in that time as many come as make the load.
void print_churn(const Churn &churn) {
    constexpr int64_t kStep = 1000000;
    constexpr double kSecond = 1e9;
    constexpr int kLifetimes = 10;
    tb_clock *clock = nullptr;
    require(tb_manual_clock_create(0, &clock) == TB_SUCCESS, "no clock");
    const Clock owned(clock);
    tb_table_config config;
    tb_table_config_init(&config, sizeof config);
    config.max_bytes = 8 << 20;
    const double live = churn.load * static_cast<double>(config.max_bytes) / 16;
    tb_config limit;
    tb_config_init(&limit, sizeof limit);
    limit.capacity = 10;
    limit.rate_tokens = kSecond / kStep / live;
    limit.clock = clock;
    tb_table *t = nullptr;
    require(tb_table_create_with(&limit, &config, &t) == TB_SUCCESS, "no table");
    const Table table(t);
    const int64_t lifetime = static_cast<int64_t>(live);
    tb_table_stats before{};
    for (int64_t i = 0; i < (kLifetimes + 1) * lifetime; ++i) {
        if (i == lifetime) before = stats_of(t);
        tb_manual_clock_advance(clock, kStep);
        require(tb_table_allow(t, &i, sizeof i, 1) == TB_SUCCESS, "a new key was refused");
    }
    const tb_table_stats after = stats_of(t);
    const double taken = static_cast<double>(kLifetimes * lifetime);
    const double evictions = 100 * static_cast<double>(after.evicted - before.evicted) / taken;
    const double forgiven = 100 * (after.tokens_forgiven - before.tokens_forgiven) / taken;
    const double load = static_cast<double>(after.occupied) / static_cast<double>(after.places);
    std::printf("load %.2f (found %.3f): %6.3f %% of insertions evicted (at most %.2f: %s), ", churn.load, load,
                evictions, churn.most_evictions, evictions <= churn.most_evictions ? "reached" : "MISSED");
    std::printf("%6.4f %% of tokens forgiven (at most %.1f: %s)\n", forgiven, churn.most_forgiven,
                forgiven <= churn.most_forgiven ? "reached" : "MISSED");
}

int run(int argc, char **argv) {
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
    std::printf(
        "A stream of new keys, each of which takes one token; %% of those that came in 10 lifetimes of a key\n");
    for (const Churn &churn : {Churn{0.65, 0.02, 0.2}, Churn{0.8, 2.5, 0.2}}) print_churn(churn);
    std::printf(
        "\nns: wall time / keys of all threads. x ..: how many times as fast as that, with as many threads but in the\n"
        "last column, median (10th..90th percentile) of %d rounds. n: clean samples.\n",
        kTableRounds);
    for (const std::size_t keys : {10000, 1000000, 10000000})
        for (const std::size_t key_size : {8, 20})
            if (!measure({keys, key_size})) return 1;
    std::printf("\nSeveral limits in one decision; ns and ratios as above\n");
    return measure_compose() ? 0 : 1;
}

}  // namespace
}  // namespace bench

int main(int argc, char **argv) {
    return bench::run(argc, argv);
}
