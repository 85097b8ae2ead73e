// As hostile_test.cc, of the memory of a shared table.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <vector>

#include "core/platform/counter.h"
#include "core/table/shared_table.h"
#include "tests/shared/hostile.h"
#include "tests/support/table.h"
#include "tests/support/trace.h"

namespace {

using namespace tb_test;

constexpr std::size_t kLines = 3;
constexpr std::size_t kBytes = sizeof(tb::SharedTablePage) + kLines * sizeof(tb::Line);
constexpr std::size_t kWords = kBytes / sizeof(uint64_t);
constexpr std::size_t kImage = offsetof(tb::SharedTablePage, image) / sizeof(uint64_t);
constexpr std::size_t kPlanWords = sizeof(tb::LivePlanImage) / sizeof(uint64_t);
constexpr std::size_t kSlots = sizeof(tb::SharedTablePage) / sizeof(uint64_t);
constexpr int64_t kKeys = 9;

std::string name() {
    return hostile_name(::getppid());
}
std::string path() {
    return "/dev/shm/" + name();
}

// One table, through two handles, and its memory by a third mapping.
class Victim {
  public:
    explicit Victim(Trace *trace) : trace_(*trace) {
        ::unlink(path().c_str());
        const double rate = trace_.pick(std::vector<double>{1e-3, 1, 1000, 1e6, 1e9});
        const tb_config limit = config_of(10, rate, nullptr);
        tb_table_config config = table_config(static_cast<int32_t>(trace_.below(3)));
        config.max_bytes = kLines * sizeof(tb::Line);
        for (TableHandle &t : tables_) {
            tb_table *opened = nullptr;
            if (tb_shared_table_open(&limit, &config, name().c_str(), 0, &opened, nullptr) != TB_SUCCESS) std::abort();
            t.reset(opened);
        }
        const int file = ::open(path().c_str(), O_RDWR);
        words_ = static_cast<Word *>(::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
        ::close(file);
        for (int64_t i = trace_.between(0, 40); i > 0; --i) call(trace_.below(7));
        for (std::size_t i = 0; i < kWords; ++i) kept_[i] = words_[i].load(std::memory_order_relaxed);
    }
    ~Victim() {
        for (TableHandle &t : tables_) t.reset();
        ::munmap(words_, kBytes);
        ::unlink(path().c_str());
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
                for (int64_t i = trace_.between(1, 5); i > 0; --i) change_word(&trace_, &words_[any_word()]);
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

TEST(HostileTable, NoContentMakesAFunctionCrashOrHang) {
    if (!tb::platform::kSharesMemory || !tb::platform::kHasPairExchange) GTEST_SKIP() << "no shared tables here";
    expect_no_harm<Victim>();
}

}  // namespace
