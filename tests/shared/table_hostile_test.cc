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
constexpr std::size_t kRoomCount = tb::KeyRooms::rooms_for(kLines);
constexpr std::size_t kBytes =
    sizeof(tb::SharedTablePage) + kLines * sizeof(tb::Line) + kRoomCount * sizeof(tb::KeyRoom);
constexpr std::size_t kWords = kBytes / sizeof(uint64_t);
constexpr std::size_t kImage = offsetof(tb::SharedTablePage, image) / sizeof(uint64_t);
constexpr std::size_t kPlanWords = sizeof(tb::LivePlanImage) / sizeof(uint64_t);
constexpr std::size_t kSlots = sizeof(tb::SharedTablePage) / sizeof(uint64_t);
constexpr std::size_t kSlotWords = kLines * sizeof(tb::Line) / sizeof(uint64_t);
constexpr std::size_t kRooms = kSlots + kSlotWords;
constexpr std::size_t kRoomWords = sizeof(tb::KeyRoom) / sizeof(uint64_t);
constexpr std::size_t kImages = offsetof(tb::KeyRoom, queue) / sizeof(uint64_t);
constexpr std::size_t kImageWords = tb::SharedQueue::size(tb::KeyRoom::kMostEntries) / sizeof(uint64_t);
constexpr std::size_t kFixedWords = sizeof(tb::SharedQueue) / sizeof(uint64_t);
constexpr std::size_t kUsedEntries = 12;
constexpr std::size_t kUsedWords = kFixedWords + kUsedEntries * sizeof(tb::EntryImage) / sizeof(uint64_t);
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
        tb_config limit = config_of(10, rate, nullptr);
        limit.max_lateness_ns = trace_.one_in(2) ? 0 : 1000;
        limit.on_wake = [](void *, uint64_t) {};
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
        for (int64_t i = trace_.between(0, 60); i > 0; --i) call(trace_.below(14));
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
                randomize(kSlots, kSlotWords);
                break;
            case 3:
                copy_slots();
                break;
            case 4:
                randomize(any_room(), kImages);
                break;
            case 5:
                randomize(any_image(), trace_.one_in(2) ? kFixedWords : kUsedWords);
                break;
            default:
                for (int64_t i = trace_.between(1, 5); i > 0; --i) change_word(&trace_, &words_[any_word()]);
                break;
        }
    }
    // All functions, or a few of them.
    void call_some() {
        constexpr int64_t kCalls = 24;
        const int64_t first = trace_.below(kCalls);
        const int64_t count = trace_.one_in(8) ? kCalls : 6;
        for (int64_t i = 0; i < count; ++i) call((first + i) % kCalls);
    }
    // For another thread.
    void change_while(const std::atomic<bool> *goes_on, uint64_t seed) {
        Trace trace(seed);
        while (goes_on->load(std::memory_order_relaxed)) {
            const std::size_t room = kRooms + static_cast<std::size_t>(trace.below(3)) * kRoomWords;
            const std::size_t image = room + kImages + (trace.one_in(2) ? kImageWords : 0);
            const std::size_t at = trace.one_in(3)   ? room + static_cast<std::size_t>(trace.below(kImages))
                                   : trace.one_in(2) ? image + static_cast<std::size_t>(trace.below(kUsedWords))
                                                     : kImage + static_cast<std::size_t>(trace.below(kRooms - kImage));
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
        switch (trace_.below(7)) {
            case 0:
                return static_cast<std::size_t>(trace_.below(static_cast<int64_t>(kImage)));
            case 1:
                return kSlots + static_cast<std::size_t>(trace_.below(kSlotWords));
            case 2:
                return any_room() + static_cast<std::size_t>(trace_.below(kImages));
            case 3:
                return any_image() + static_cast<std::size_t>(trace_.below(kFixedWords));
            case 4:
                return any_image() + static_cast<std::size_t>(trace_.below(kUsedWords));
            default:
                return kImage + static_cast<std::size_t>(trace_.below(kPlanWords));
        }
    }
    // One of the rooms that are likely to be in use.
    std::size_t any_room() { return kRooms + kRoomWords * static_cast<std::size_t>(trace_.below(5)); }
    std::size_t any_image() { return any_room() + kImages + (trace_.one_in(2) ? kImageWords : 0); }
    // The same key stands in several slots, tentative or pinned or not.
    void copy_slots() {
        const std::size_t from = kSlots + 2 * static_cast<std::size_t>(trace_.below(4 * kLines));
        for (int64_t i = trace_.between(1, 6); i > 0; --i) {
            const std::size_t to = kSlots + 2 * static_cast<std::size_t>(trace_.below(4 * kLines));
            words_[to].store(words_[from] ^ static_cast<uint64_t>(trace_.below(8)), std::memory_order_relaxed);
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
        tb_reservation both[2];
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
            case 8:
                enqueue(t, k, n);
                break;
            case 9:
                check();
                break;
            case 10:
                reserve(t, k, n);
                break;
            case 11:
                if (!reserved_.empty()) ask(tb_table_cancel, t, reserved_.back().key, &reserved_.back().reservation);
                break;
            case 12:
                if (!reserved_.empty()) ask(tb_table_settle, t, reserved_.back().key, &reserved_.back().reservation, n);
                if (!reserved_.empty()) reserved_.pop_back();
                break;
            case 13:
                ask(tb_table_wait_for, t, k, n, trace_.one_in(2) ? int64_t{0} : int64_t{1000});
                break;
            case 14:
                ask(tb_table_available, t, k, &x);
                break;
            case 15:
                ask(tb_table_time_until, t, k, n, &ns);
                break;
            case 16:
                ask(tb_table_remove, t, k);
                break;
            case 17:
                if (trace_.one_in(4)) tb_table_set_rate(t.get(), trace_.one_in(2) ? 1e-3 : 1e6 * n);
                break;
            case 18:
                if (trace_.one_in(4)) tb_table_set_capacity(t.get(), n);
                break;
            case 19:
                tb_config_init(&config, sizeof config);
                tb_table_get_limit(t.get(), &config);
                break;
            case 20:
                stats.struct_size = sizeof stats;
                tb_table_get_stats(t.get(), &stats);
                break;
            case 21:
                tb_allow_all(members, 2, &refusal);
                break;
            case 22:
                tb_reserve_all(members, 2, trace_.one_in(2) ? 0 : kSecond, both, &ns, &refusal);
                break;
            default:
                if (trace_.one_in(8)) attach();
                if (trace_.one_in(64)) tb_table_close(t.get());
                break;
        }
    }
    void enqueue(const TableHandle &t, const std::string &k, double n) {
        uint64_t waiter = 0;
        int64_t wait_ns = 0;
        const int64_t timeout_ns = trace_.one_in(2) ? TB_FOREVER : trace_.below(kSecond);
        const int32_t priority = static_cast<int32_t>(trace_.between(-1, 1));
        if (ask(tb_table_enqueue, t, k, n, timeout_ns, priority, uint64_t{0}, &waiter, &wait_ns) != TB_PENDING) return;
        if (trace_.one_in(8)) {
            ask(tb_table_waiter_leave, t, k, waiter);
        } else {
            waiters_.push_back({&t, k, waiter});
        }
    }
    void check() {
        if (waiters_.empty()) return;
        Waiting &w = waiters_[static_cast<std::size_t>(trace_.below(static_cast<int64_t>(waiters_.size())))];
        int64_t wait_ns = 0;
        if (ask(tb_table_waiter_check, *w.table, w.key, w.number, &wait_ns) == TB_PENDING) return;
        w = waiters_.back();
        waiters_.pop_back();
    }
    void reserve(const TableHandle &t, const std::string &k, double n) {
        tb_reservation r{};
        const int64_t most = trace_.one_in(2) ? TB_FOREVER : trace_.below(kSecond);
        if (ask(tb_table_reserve, t, k, n, most, &r) == TB_SUCCESS) reserved_.push_back({k, r});
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

    struct Waiting {
        const TableHandle *table;
        std::string key;
        uint64_t number;
    };
    struct Reserved {
        std::string key;
        tb_reservation reservation;
    };

    Trace &trace_;
    TableHandle tables_[2];
    std::vector<Waiting> waiters_;
    std::vector<Reserved> reserved_;
    Word *words_ = nullptr;
    std::vector<uint64_t> kept_ = std::vector<uint64_t>(kWords);
};

TEST(HostileTable, NoContentMakesAFunctionCrashOrHang) {
    if (!tb::platform::kSharesMemory || !tb::platform::kHasPairExchange) GTEST_SKIP() << "no shared tables here";
    expect_no_harm<Victim>();
}

}  // namespace
