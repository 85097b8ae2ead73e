// As hostile_test.cc, of the memory of a shared table.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <bit>
#include <cstring>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "core/platform/counter.h"
#include "core/table/shared_table.h"
#include "tests/support/effort.h"
#include "tests/support/table.h"
#include "tests/support/trace.h"

namespace {

using namespace tb_test;

using Word = std::atomic<uint64_t>;

constexpr std::size_t kLines = 3;
constexpr std::size_t kBytes = sizeof(tb::SharedTablePage) + kLines * sizeof(tb::Line);
constexpr std::size_t kWords = kBytes / sizeof(uint64_t);
constexpr std::size_t kImage = offsetof(tb::SharedTablePage, image) / sizeof(uint64_t);
constexpr std::size_t kPlanWords = sizeof(tb::LivePlanImage) / sizeof(uint64_t);
constexpr std::size_t kSlots = sizeof(tb::SharedTablePage) / sizeof(uint64_t);
constexpr int64_t kKeys = 9;

const uint64_t kTargets[] = {0,
                             1,
                             2,
                             3,
                             7,
                             0xffff,
                             0xffffffff,
                             uint64_t{1} << 32,
                             uint64_t{1} << 53,
                             uint64_t{1} << 57,
                             uint64_t{1} << 59,
                             uint64_t{1} << 60,
                             uint64_t{1} << 62,
                             uint64_t{1} << 63,
                             (uint64_t{1} << 63) - 1,
                             UINT64_MAX,
                             UINT64_MAX - 1,
                             std::bit_cast<uint64_t>(1.0),
                             std::bit_cast<uint64_t>(1e300),
                             0x7ff0000000000000,
                             0x7ff8000000000000};

std::string name() {
    return "tokenbucket-test-hostile-table-" + std::to_string(::getppid());
}

// One table, through two handles, and its memory by a third mapping.
class Victim {
  public:
    explicit Victim(Trace *trace) : trace_(*trace) {
        tb_shared_remove(name().c_str(), nullptr);
        const double rate = trace_.pick(std::vector<double>{1e-3, 1, 1000, 1e6, 1e9});
        const tb_config limit = config_of(10, rate, nullptr);
        tb_table_config config = table_config(static_cast<int32_t>(trace_.below(3)));
        config.max_bytes = kLines * sizeof(tb::Line);
        for (TableHandle &t : tables_) {
            tb_table *opened = nullptr;
            if (tb_shared_table_open(&limit, &config, name().c_str(), 0, &opened, nullptr) != TB_SUCCESS) std::abort();
            t.reset(opened);
        }
        const int file = ::open(("/dev/shm/" + name()).c_str(), O_RDWR);
        words_ = static_cast<Word *>(::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
        ::close(file);
        for (int64_t i = trace_.between(0, 40); i > 0; --i) call(trace_.below(7));
        for (std::size_t i = 0; i < kWords; ++i) kept_[i] = words_[i].load(std::memory_order_relaxed);
    }
    ~Victim() {
        for (TableHandle &t : tables_) t.reset();
        ::munmap(words_, kBytes);
        tb_shared_remove(name().c_str(), nullptr);
    }
    Victim(const Victim &) = delete;
    Victim &operator=(const Victim &) = delete;

    // Mostly possible contents with some words changed.
    void spoil() {
        for (std::size_t i = 0; i < kWords; ++i) words_[i].store(kept_[i], std::memory_order_relaxed);
        switch (trace_.below(16)) {
            case 0:
                randomize(0, kWords);
                break;
            case 1:
                randomize(kImage, kPlanWords);
                break;
            case 2:
                randomize(kSlots, kWords - kSlots);
                break;
            case 3:
                copy_slots();
                break;
            default:
                for (int64_t i = trace_.between(1, 5); i > 0; --i) change_word(&words_[any_word()]);
                break;
        }
    }
    // All functions, or a few of them.
    void call_some() {
        constexpr int64_t kCalls = 16;
        const int64_t first = trace_.below(kCalls);
        const int64_t count = trace_.one_in(8) ? kCalls : 6;
        for (int64_t i = 0; i < count; ++i) call((first + i) % kCalls);
    }
    // For another thread.
    void change_while(const std::atomic<bool> *goes_on, uint64_t seed) {
        Trace trace(seed);
        while (goes_on->load(std::memory_order_relaxed)) {
            const std::size_t at =
                kImage + static_cast<std::size_t>(trace.below(static_cast<int64_t>(kWords - kImage)));
            const uint64_t target = trace.one_in(2) ? trace.pick(kTargets) : words_[at] ^ (1u << trace.below(20));
            words_[at].store(target, std::memory_order_relaxed);
            for (int i = 0; i < 20; ++i) tb::platform::pause();
        }
    }

  private:
    const TableHandle &any() { return tables_[trace_.below(2)]; }
    double tokens() { return trace_.one_in(4) ? 0.3 : static_cast<double>(trace_.between(1, 11)); }
    std::string key() { return std::to_string(trace_.below(kKeys)); }
    void randomize(std::size_t from, std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) words_[from + i].store(trace_.draw(), std::memory_order_relaxed);
    }
    std::size_t any_word() {
        switch (trace_.below(4)) {
            case 0:
                return static_cast<std::size_t>(trace_.below(static_cast<int64_t>(kImage)));
            case 1:
                return kSlots + static_cast<std::size_t>(trace_.below(static_cast<int64_t>(kWords - kSlots)));
            default:
                return kImage + static_cast<std::size_t>(trace_.below(kPlanWords));
        }
    }
    // The same key stands in several slots, tentative or pinned or not.
    void copy_slots() {
        const std::size_t from = kSlots + 2 * static_cast<std::size_t>(trace_.below(4 * kLines));
        for (int64_t i = trace_.between(1, 6); i > 0; --i) {
            const std::size_t to = kSlots + 2 * static_cast<std::size_t>(trace_.below(4 * kLines));
            words_[to].store(words_[from] ^ static_cast<uint64_t>(trace_.below(4)), std::memory_order_relaxed);
            words_[to + 1].store(words_[from + 1], std::memory_order_relaxed);
        }
    }
    void change_word(Word *word) {
        const uint64_t before = word->load(std::memory_order_relaxed);
        uint64_t after = trace_.pick(kTargets);
        if (trace_.one_in(3)) after = before ^ uint64_t { 1 } << trace_.below(64);
        if (trace_.one_in(4)) after = before + static_cast<uint64_t>(trace_.between(-3, 3));
        if (trace_.one_in(6)) after = trace_.draw();
        word->store(after, std::memory_order_relaxed);
    }

    void call(int64_t which) {
        const TableHandle &t = any();
        const std::string k = key();
        const double n = tokens();
        tb_decision decision;
        tb_config config;
        tb_refusal refusal;
        tb_table_stats stats{};
        double x = 0;
        int64_t ns = 0;
        const std::string other = key();
        const tb_member members[] = {{nullptr, t.get(), k.data(), k.size(), n},
                                     {nullptr, any().get(), other.data(), other.size(), n}};
        switch (which) {
            case 0:
            case 1:
                ask(tb_table_allow, t, k, n);
                break;
            case 2:
                ask(tb_table_take, t, k, n, &decision);
                break;
            case 3:
                ask(tb_table_take_up_to, t, k, n, &x);
                break;
            case 4:
                many(t);
                break;
            case 5:
                ask(tb_table_charge, t, k, trace_.one_in(2) ? n : 1e15, &ns);
                break;
            case 6:
                ask(tb_table_refund, t, k, n);
                break;
            case 7:
                ask(tb_table_available, t, k, &x);
                break;
            case 8:
                ask(tb_table_time_until, t, k, n, &ns);
                break;
            case 9:
                ask(tb_table_remove, t, k);
                break;
            case 10:
                if (trace_.one_in(4)) tb_table_set_rate(t.get(), trace_.one_in(2) ? 1e-3 : 1e6 * n);
                break;
            case 11:
                if (trace_.one_in(4)) tb_table_set_capacity(t.get(), n);
                break;
            case 12:
                tb_config_init(&config, sizeof config);
                tb_table_get_limit(t.get(), &config);
                break;
            case 13:
                stats.struct_size = sizeof stats;
                tb_table_get_stats(t.get(), &stats);
                break;
            case 14:
                tb_allow_all(members, 2, &refusal);
                break;
            default:
                if (trace_.one_in(8)) attach();
                if (trace_.one_in(64)) tb_table_close(t.get());
                break;
        }
    }
    void many(const TableHandle &t) {
        const size_t sizes[] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
        tb_status answers[kKeys];
        tb_table_allow_many(t.get(), "012345678", sizes, nullptr, kKeys, answers);
    }
    void attach() {
        const tb_config limit = config_of(10, 1, nullptr);
        tb_table_config config = table_config();
        config.max_bytes = kLines * sizeof(tb::Line);
        tb_table *opened = nullptr;
        int32_t fault = 0;
        const uint32_t flags = trace_.one_in(2) ? TB_SHARED_ADOPT : 0;
        if (tb_shared_table_open(&limit, &config, name().c_str(), flags, &opened, &fault) != TB_SUCCESS) return;
        tb_table_allow(opened, "1", 1, 1);
        tb_table_destroy(opened);
    }

    Trace &trace_;
    TableHandle tables_[2];
    Word *words_ = nullptr;
    std::vector<uint64_t> kept_ = std::vector<uint64_t>(kWords);
};

// Two seconds of computing, of two threads, or ten of anything, is a hang.
void limit_time() {
    const itimerval computing{{0, 0}, {2, 0}};
    const itimerval anything{{0, 0}, {10, 0}};
    ::setitimer(ITIMER_PROF, &computing, nullptr);
    ::setitimer(ITIMER_REAL, &anything, nullptr);
}

// A victim and its pages. One in four is changed by another thread, too.
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

TEST(HostileTable, NoContentMakesAFunctionCrashOrHang) {
    if (!tb::platform::kSharesMemory || !tb::platform::kHasPairExchange) GTEST_SKIP() << "no shared tables here";
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
                run_victim(seed, kPages, &progress->page);
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
    tb_shared_remove(("tokenbucket-test-hostile-table-" + std::to_string(::getpid())).c_str(), nullptr);
}

}  // namespace
