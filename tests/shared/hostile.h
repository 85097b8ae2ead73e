// Memory that holds anything: a child writes contents after contents into the memory of a victim and calls functions on
// each, and its parent sees how the child ends.
#ifndef TOKENBUCKET_TESTS_SHARED_HOSTILE_H
#define TOKENBUCKET_TESTS_SHARED_HOSTILE_H

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <new>
#include <string>
#include <thread>

#include "capi/include/tokenbucket.h"
#include "tests/support/effort.h"
#include "tests/support/trace.h"

namespace tb_test {

using Word = std::atomic<uint64_t>;

// Where numbers overflow, and what is no number.
inline const uint64_t kTargets[] = {0,
                                    1,
                                    2,
                                    3,
                                    7,
                                    1000,
                                    1001,
                                    0xff,
                                    0xffff,
                                    0xffffffff,
                                    uint64_t{1} << 32,
                                    uint64_t{1} << 53,
                                    uint64_t{1} << 57,
                                    uint64_t{1} << 58,
                                    uint64_t{1} << 59,
                                    uint64_t{1} << 60,
                                    uint64_t{1} << 61,
                                    uint64_t{1} << 62,
                                    uint64_t{1} << 63,
                                    (uint64_t{1} << 63) - 1,
                                    UINT64_MAX,
                                    UINT64_MAX - 1,
                                    std::bit_cast<uint64_t>(1.0),
                                    std::bit_cast<uint64_t>(1e300),
                                    0x7ff0000000000000,
                                    0x7ff8000000000000};

inline void change_word(Trace *trace, Word *word) {
    const uint64_t before = word->load(std::memory_order_relaxed);
    uint64_t after = trace->pick(kTargets);
    if (trace->one_in(3)) after = before ^ uint64_t { 1 } << trace->below(64);
    if (trace->one_in(4)) after = before + static_cast<uint64_t>(trace->between(-3, 3));
    if (trace->one_in(6)) after = trace->draw();
    if (trace->one_in(6)) after = (before & 0xffffffff) | after << 32;
    word->store(after, std::memory_order_relaxed);
}

// The name of the memory of a child's victims.
inline std::string hostile_name(pid_t parent) {
    return "tokenbucket-test-hostile-" + std::to_string(parent);
}

// Two seconds of computing, of two threads, or ten of anything, is a hang.
inline void limit_time() {
    const itimerval computing{{0, 0}, {2, 0}};
    const itimerval anything{{0, 0}, {10, 0}};
    ::setitimer(ITIMER_PROF, &computing, nullptr);
    ::setitimer(ITIMER_REAL, &anything, nullptr);
}

// A victim and its contents. One in four is changed by another thread, too.
template <class Victim>
void run_victim(uint64_t seed, int64_t pages, std::atomic<int64_t> *page) {
    Trace trace(seed);
    limit_time();
    Victim victim(&trace);
    std::atomic<bool> goes_on{trace.one_in(4)};
    const uint64_t other_seed = trace.draw();
    std::thread other;
    if (goes_on) other = std::thread([&] { victim.change_while(&goes_on, other_seed); });
    for (int64_t i = 0; i < pages; ++i) {
        page->store(i, std::memory_order_relaxed);
        limit_time();
        victim.spoil();
        victim.call_some();
    }
    goes_on = false;
    if (other.joinable()) other.join();
    limit_time();
}

// TB_HOSTILE_PAGES contents, from TB_HOSTILE_SEED on.
template <class Victim>
void expect_no_harm() {
    constexpr int64_t kPages = 50;   // of a victim
    constexpr uint64_t kBatch = 40;  // victims of a child
    const uint64_t victims = support::effort("TB_HOSTILE_PAGES", 100000, 5000) / kPages;
    const uint64_t first = support::effort("TB_HOSTILE_SEED", 1, 1);
    struct Progress {
        std::atomic<uint64_t> seed{0};
        std::atomic<int64_t> page{0};
    };
    void *const memory = ::mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    Progress *const progress = new (memory) Progress;
    int failures = 0;
    for (uint64_t seed = first; seed < first + victims && failures < 10;) {
        const uint64_t end = std::min(seed + kBatch, first + victims);
        const pid_t child = ::fork();
        if (child == 0) {
            for (; seed < end; ++seed) {
                progress->seed = seed;
                run_victim<Victim>(seed, kPages, &progress->page);
            }
            ::_exit(0);
        }
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        seed = end;
        if (status == 0) continue;
        ++failures;
        seed = progress->seed + 1;
        ADD_FAILURE() << "TB_HOSTILE_SEED=" << progress->seed << " page " << progress->page << ": "
                      << (WIFSIGNALED(status) ? ::strsignal(WTERMSIG(status)) : "exit");
    }
    ::munmap(memory, sizeof(Progress));
    tb_shared_remove(hostile_name(::getpid()).c_str(), nullptr);
}

}  // namespace tb_test

#endif
