// A call is interrupted at one of its instructions after the other, by a handler in which others act. So what may
// happen between two instructions is not left to chance.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <functional>
#include <string>

#include "tests/support/effort.h"
#include "tests/support/table.h"

#if defined(__x86_64__) && defined(__linux__) && !defined(TOKENBUCKET_TESTS_SANITIZED)

#include <ucontext.h>

namespace {

using namespace tb_test;

constexpr greg_t kTrapFlag = 0x100;

// Every so many instructions; what goes wrong does so at some dozens of them in a row.
const int64_t kStride = static_cast<int64_t>(support::effort("TB_TABLE_STRIDE", 23, 23));

int64_t countdown;
const std::function<void()> *meanwhile;

void on_trap(int, siginfo_t *, void *context) {
    greg_t *const flags = &static_cast<ucontext_t *>(context)->uc_mcontext.gregs[REG_EFL];
    if (meanwhile != nullptr && --countdown > 0) return;
    *flags &= ~kTrapFlag;
    if (meanwhile != nullptr) (*meanwhile)();
    meanwhile = nullptr;
}

class TableSteps : public testing::Test {
  protected:
    TableSteps() {
        struct sigaction action {};
        action.sa_sigaction = on_trap;
        action.sa_flags = SA_SIGINFO;
        sigaction(SIGTRAP, &action, &before_);
        alarm(300);  // for one that hangs
    }
    ~TableSteps() override {
        alarm(0);
        sigaction(SIGTRAP, &before_, nullptr);
    }

    // A table of one line.
    void start(double capacity, int32_t when_full) {
        tb_table_config config = table_config(when_full);
        config.max_bytes = 64;
        clock_ = manual_clock();
        table_ = table_of(config_of(capacity, 1, clock_.get()), config);
    }
    tb_status allow(std::string_view key, double n) { return ask(tb_table_allow, table_, key, n); }

    // Calls `call`, and `other` before its instruction `number`; false if it has not so many.
    static bool interrupted(int64_t number, const std::function<void()> &call, const std::function<void()> &other) {
        countdown = number;
        meanwhile = &other;
        asm volatile("pushfq; orq $0x100, (%%rsp); popfq" ::: "memory", "cc");
        call();
        const bool done = meanwhile == nullptr;
        meanwhile = nullptr;
        asm volatile("pushfq; andq $~0x100, (%%rsp); popfq" ::: "memory", "cc");
        return done;
    }

    ClockHandle clock_;
    TableHandle table_;

  private:
    struct sigaction before_ {};
};

// While a take of a new key is held, others take from it, it is full again, and its place goes to another key.
TEST_F(TableSteps, ATakeHeldBeforeItsKeyHasAPlaceTakesWhatIsThere) {
    for (int64_t number = 1;; number += kStride) {
        start(2, TB_TABLE_DENY);
        double granted = 0;
        const bool done = interrupted(
            number, [&] { granted += allow("key", 1) == TB_SUCCESS; },
            [&] {
                granted += allow("key", 1) == TB_SUCCESS;
                tb_manual_clock_advance(clock_.get(), kSecond);
                allow("other", 2);
            });
        if (!done) break;
        double more = 0;
        ASSERT_EQ(ask(tb_table_take_up_to, table_, "key", 2.0, &more), TB_SUCCESS);
        ASSERT_LE(granted + more, 2 + 1) << "in a second, interrupted at instruction " << number;
    }
}

// While a new key is put into the place of another, the same key is put into a third one's.
TEST_F(TableSteps, EveryKeyThatIsForgottenIsCounted) {
    for (int64_t number = 1;; number += kStride) {
        start(10, TB_TABLE_EVICT_FULLEST);
        for (const char *key : {"a", "b", "c", "d"}) ASSERT_EQ(allow(key, *key == 'a' ? 3 : 8), TB_SUCCESS);
        const bool done = interrupted(
            number, [&] { allow("key", 1); },
            [&] {
                ask(tb_table_refund, table_, "b", 6.0);
                allow("key", 1);
            });
        if (!done) break;
        double held = available(table_, "key");
        for (const char *key : {"a", "b", "c", "d"}) held += available(table_, key);
        const double spent = 1 + 1 + 3 + 3 * 8 - 6;
        ASSERT_DOUBLE_EQ(held, 5 * 10 - spent + stats_of(table_).tokens_forgiven) << "at instruction " << number;
    }
}

// The last free place goes to the key while a take of the same key is held: that one finds it.
TEST_F(TableSteps, ATableIsNotFullForAKeyThatIsInIt) {
    for (int64_t number = 1;; number += kStride) {
        start(10, TB_TABLE_DENY);
        for (const char *key : {"a", "b", "c"}) ASSERT_EQ(allow(key, 1), TB_SUCCESS);
        tb_status status = TB_E_SYSTEM;
        if (!interrupted(
                number, [&] { status = allow("key", 1); }, [&] { EXPECT_EQ(allow("key", 1), TB_SUCCESS); }))
            break;
        ASSERT_EQ(status, TB_SUCCESS) << "at instruction " << number;
        ASSERT_EQ(available(table_, "key"), 8);
    }
}

// Takes in a handler return whatever they interrupt, and no token is granted twice.
TEST_F(TableSteps, TakesInAHandlerReturnAndGrantNoMore) {
    struct Call {
        const char *name;
        double spends;
        std::function<void()> run;
    };
    uint64_t waiter = 0;
    int64_t ns = 0;
    double taken = 0;
    tb_decision d{};
    tb_reservation r{};
    const std::string keys = "kabckab";
    const std::size_t sizes[] = {1, 1, 1, 1, 1, 1, 1};
    tb_status answers[7];
    const Call calls[] = {
        {"allow", 1, [&] { allow("k", 1); }},
        {"take", 1, [&] { ask(tb_table_take, table_, "k", 1.0, &d); }},
        {"take_up_to", 2, [&] { ask(tb_table_take_up_to, table_, "k", 2.0, &taken); }},
        {"allow_many", 2, [&] { tb_table_allow_many(table_.get(), keys.data(), sizes, nullptr, 7, answers); }},
        {"charge", 1, [&] { ask(tb_table_charge, table_, "k", 1.0, &ns); }},
        {"refund", 0, [&] { ask(tb_table_refund, table_, "k", 1e-9); }},
        {"time_until", 0, [&] { ask(tb_table_time_until, table_, "k", 1.0, &ns); }},
        {"reserve, cancel", 0,
         [&] {
             ask(tb_table_reserve, table_, "k", 10.0, TB_FOREVER, &r);
             ask(tb_table_cancel, table_, "k", &r);
         }},
        {"enqueue, leave", 0,
         [&] {
             ask(tb_table_enqueue, table_, "k", 10.0, TB_FOREVER, 0, uint64_t{1}, &waiter, &ns);
             ask(tb_table_waiter_leave, table_, "k", waiter);
         }},
        {"set_rate", 0, [&] { tb_table_set_rate(table_.get(), 2); }},
        {"set_capacity", 0, [&] { tb_table_set_capacity(table_.get(), 10); }},
        {"get_stats", 0, [&] { stats_of(table_); }},
    };
    for (const Call &call : calls) {
        SCOPED_TRACE(call.name);
        for (int64_t number = 1;; number += 3 * kStride + number / 4) {
            start(10, TB_TABLE_DENY);
            ask(tb_table_reserve, table_, "k", 10.0, TB_FOREVER, &r);  // so that queues have their memory
            ask(tb_table_settle, table_, "k", &r, 0.0);
            allow("k", 1);
            tb_status status = TB_E_SYSTEM;
            if (!interrupted(number, call.run, [&] { status = allow("k", 3); })) break;
            ASSERT_TRUE(status == TB_SUCCESS || status == TB_DENIED) << number;
            ASSERT_NEAR(available(table_, "k"), 9 - call.spends - (status == TB_SUCCESS ? 3 : 0), 1e-8) << number;
        }
    }
}

}  // namespace

#endif
