// What a server grants, counted: in no window more than the limit allows, however takes, reservations, cancels, lost
// keys and steps of the server's clock come about. No model of a bucket is asked; a step or a loss may add what the
// header says, and what it added is seen by looking before and after.
#include <algorithm>

#include "tests/remote/script_clock.h"
#include "tests/support/effort.h"
#include "tests/support/trace.h"

namespace {

using namespace tb_test;

constexpr int64_t kStartUs = 1764460800000000;

struct Limit {
    double capacity, rate;
    int64_t max_wait_us;
};
const Limit kLimits[] = {{10, 1, 0},        {10, 1, 5000000},   {10, 1, 60000000}, {3, 0.7, 20000000},
                         {1, 100, 1000000}, {0.5, 20, 2000000}, {100, 3, 1000000}, {7, 12.3456, 3000000}};

// All amounts in units. A window counts both ends.
class Audit {
  public:
    explicit Audit(const Numbers &limit) : p_(limit[0]), q_(limit[1]), capacity_(limit[2]), debt_(limit[3]) {}

    std::size_t grant(int64_t at_us, int64_t units) {
        grants_.push_back({at_us, units});
        return grants_.size() - 1;
    }
    void change(std::size_t grant, int64_t units) { grants_[grant].units = units; }
    // Came on top, at the time.
    void gain(int64_t at_us, int64_t units) { gains_.push_back({at_us, units}); }

    // The most that a window has above what it may have; not above 0.
    int64_t worst() {
        const auto is_earlier = [](const Event &a, const Event &b) { return a.at_us < b.at_us; };
        std::stable_sort(grants_.begin(), grants_.end(), is_earlier);
        int64_t worst = INT64_MIN;
        for (std::size_t from = 0; from < grants_.size(); ++from) {
            int64_t sum = 0;
            for (std::size_t to = from; to < grants_.size(); ++to) {
                sum += grants_[to].units;
                worst = std::max(worst, sum - allowed(grants_[from].at_us, grants_[to].at_us));
            }
        }
        return worst;
    }

  private:
    struct Event {
        int64_t at_us, units;
    };

    // What the rate gives, with a microsecond more, for times are rounded up to one, and a unit more; and what came on
    // top, since the oldest promise in the window was made.
    int64_t allowed(int64_t from_us, int64_t to_us) const {
        int64_t units = capacity_ + 1 + scaled(to_us - from_us + 1, p_, q_);
        const int64_t oldest_us = from_us - scaled(debt_, q_, p_) - 1;
        for (const Event &gain : gains_)
            if (gain.at_us >= oldest_us && gain.at_us <= to_us) units += gain.units;
        return units;
    }

    // n * p / q, without a product that is too large.
    static int64_t scaled(int64_t n, int64_t p, int64_t q) { return n / q * p + n % q * p / q; }

    const int64_t p_, q_, capacity_, debt_;
    std::vector<Event> grants_, gains_;
};

enum Fault { kNone, kLost, kClock };

struct Tally {
    uint64_t steps = 0, grants = 0, cancelled = 0, faults = 0;
};

// One key. now_us_ is true; the server's clock is ahead of it by ahead_us_.
class Session {
  public:
    Session(const Limit &limit, std::string key, Fault fault, Trace *dice, Tally *tally)
        : limit_(limit),
          remote_(remote_of(config_of(limit.capacity, limit.rate, nullptr), limit.max_wait_us * 1000)),
          key_(std::move(key)),
          fault_(fault),
          dice_(*dice),
          tally_(*tally),
          bounds_(asked(remote_.get(), tb_remote_take, limit.capacity)),
          audit_(bounds_) {}

    void step() {
        ++tally_.steps;
        if (dice_.one_in(3)) pass_time();
        if (fault_ != kNone && dice_.one_in(25)) return suffer();
        switch (dice_.below(9)) {
            case 0:
            case 1:
                return take();
            case 2:
                return take_up_to();
            case 3:
            case 4:
                return reserve();
            case 5:
            case 6:
                return cancel();
            case 7:
                return settle();
            default:
                return dice_.one_in(3) ? charge() : take();
        }
    }
    int64_t worst() { return audit_.worst(); }

  private:
    struct Promise {
        tb_reservation reservation;
        std::size_t grant;
        int64_t due_us;
    };

    tb_status ask(const Numbers &arguments) {
        const RedisReply reply =
            server().client.ask(server().words_at(now_us_ + ahead_us_, keys_of(key_, arguments), arguments));
        reply_ = ScriptServer::numbers(reply);
        return tb_remote_read(remote_.get(), arguments.data(), arguments.size(), reply_.data(), reply_.size(),
                              &answer_);
    }
    int64_t units(double tokens) const { return std::llround(tokens / unit_); }
    int64_t look() {
        ask(asked(remote_.get(), tb_remote_peek, limit_.capacity));
        if (reply_[1] > bounds_[2] || reply_[1] < -bounds_[3]) {
            std::cout << "BAD ";
            for (auto n : reply_) std::cout << n << " ";
            for (auto n : bounds_) std::cout << n << " ";
            std::cout << server().client.ask({"GET", key_}).text << " now " << now_us_ + ahead_us_ << " " << ahead_us_
                      << "\n";
        }
        EXPECT_EQ(ask(asked(remote_.get(), tb_remote_peek, limit_.capacity)), TB_SUCCESS);
        return reply_[1];
    }
    double amount() { return static_cast<double>(dice_.between(1, std::llround(limit_.capacity * 10))) / 10; }

    void pass_time() {
        const double fill_us = limit_.capacity / limit_.rate * 1e6;
        const double longest = fill_us + (dice_.one_in(10) ? 2 * static_cast<double>(limit_.max_wait_us) : 0);
        now_us_ += dice_.below(static_cast<int64_t>(longest / static_cast<double>(dice_.between(1, 30))) + 1);
    }
    void take() {
        const double n = amount();
        if (ask(asked(remote_.get(), tb_remote_take, n)) == TB_SUCCESS) granted(now_us_, answer_.tokens);
    }
    void take_up_to() {
        EXPECT_EQ(ask(asked(remote_.get(), tb_remote_take_up_to, std::ceil(amount()))), TB_SUCCESS);
        if (answer_.tokens > 0) granted(now_us_, answer_.tokens);
    }
    void charge() {
        if (ask(asked(remote_.get(), tb_remote_charge, amount())) != TB_SUCCESS) return;
    }
    std::size_t granted(int64_t at_us, double tokens) {
        ++tally_.grants;
        return audit_.grant(at_us, units(tokens));
    }
    void reserve() {
        const double n = amount();
        const int64_t wait_ns = dice_.below(limit_.max_wait_us + 1) * 1000;
        const Numbers arguments = arguments_of(
            [&](int64_t *to, size_t *count) { return tb_remote_reserve(remote_.get(), n, wait_ns, to, count); });
        if (ask(arguments) != TB_SUCCESS) return;
        Promise p{};
        EXPECT_EQ(tb_remote_read_reservation(remote_.get(), arguments.data(), arguments.size(), reply_.data(),
                                             reply_.size(), &p.reservation),
                  TB_SUCCESS);
        EXPECT_LE(p.reservation.wait_ns, wait_ns);
        p.due_us = now_us_ + p.reservation.wait_ns / 1000;
        p.grant = granted(p.due_us, p.reservation.tokens);
        promises_.push_back(p);
    }
    Promise some() {
        const std::size_t i = static_cast<std::size_t>(dice_.below(static_cast<int64_t>(promises_.size())));
        const Promise p = promises_[i];
        promises_.erase(promises_.begin() + static_cast<std::ptrdiff_t>(i));
        return p;
    }
    void cancel() {
        if (promises_.empty()) return take();
        const Promise p = some();
        if (p.due_us <= now_us_) return;
        EXPECT_EQ(ask(arguments_of([&](int64_t *to, size_t *count) {
                      return tb_remote_cancel(remote_.get(), &p.reservation, to, count);
                  })),
                  TB_SUCCESS);
        // Where the server knows of no such reservation, its caller may not use it either.
        audit_.change(p.grant, 0);
        if (answer_.tokens > 0) ++tally_.cancelled;
        if (fault_ == kNone) {
            EXPECT_EQ(units(answer_.tokens), units(p.reservation.tokens));
        }
    }
    void settle() {
        if (promises_.empty()) return take();
        const Promise p = some();
        const double actual = dice_.one_in(3) ? 0 : amount();
        const tb_status s = ask(arguments_of([&](int64_t *to, size_t *count) {
            return tb_remote_settle(remote_.get(), &p.reservation, actual, to, count);
        }));
        if (s != TB_SUCCESS || actual >= p.reservation.tokens) return;
        if (p.due_us > now_us_) {
            audit_.change(p.grant, units(actual));
        } else {
            audit_.gain(now_us_, std::max<int64_t>(0, -reply_[0]));
        }
    }

    // What it adds is what the bucket lacked, at most the capacity and what was owed; a clock that goes back forgives
    // at most what was owed.
    void suffer() {
        ++tally_.faults;
        const int64_t before = look();
        const bool back = fault_ == kClock && dice_.one_in(2);
        if (fault_ == kClock) {
            const int64_t hour = int64_t{3600} * 1000000;
            const int64_t longest = dice_.one_in(2) ? hour : 2 * limit_.max_wait_us + 1000000;
            ahead_us_ += (back ? -1 : 1) * dice_.below(longest);
        } else {
            const std::string queue = keys_of(key_, asked(remote_.get(), tb_remote_charge, 1e-9))[1];
            const std::string &lost = dice_.one_in(2) ? key_ : queue;
            server().client.ask({"DEL", lost, lost + "/expiry"});
        }
        const int64_t gain = look() - before;
        EXPECT_LE(look(), bounds_[2]);
        if (back) {
            EXPECT_LE(gain, std::max<int64_t>(0, -before));
        }
        if (gain > 0) audit_.gain(now_us_, gain);
    }

    const Limit limit_;
    const RemoteHandle remote_;
    const double unit_ = unit_of(remote_.get());
    const std::string key_;
    const Fault fault_;
    Trace &dice_;
    Tally &tally_;
    const Numbers bounds_;  // P, Q, the capacity, the most debt
    Audit audit_;
    int64_t now_us_ = kStartUs, ahead_us_ = 0;
    std::vector<Promise> promises_;
    Numbers reply_;
    tb_remote_answer answer_{};
};

// Reserved behind a debt, so that none is due and nothing overflows, and cancelled in any order: the bucket is as it
// was.
TEST(Cancelling, GivesBackAllOfIt) {
    Trace dice(20251130);
    for (int i = 0; i < 60; ++i) {
        const RemoteHandle remote = remote_of(config_of(10, 1, nullptr), 200 * kSecond);
        const std::string key = "back:" + std::to_string(i);
        int64_t now_us = kStartUs;
        EXPECT_EQ(told_at(now_us, remote.get(), key, tb_remote_take, 10).status, TB_SUCCESS);
        EXPECT_EQ(told_at(now_us, remote.get(), key, tb_remote_charge, 10).status, TB_SUCCESS);
        const auto asked_at = [&](const Numbers &arguments) {
            now_us += dice.below(50000);
            return ScriptServer::numbers(
                server().client.ask(server().words_at(now_us, keys_of(key, arguments), arguments)));
        };
        std::vector<tb_reservation> pending;
        for (int step = 0; step < 100 || !pending.empty(); ++step) {
            if (step < 100 && pending.size() < 40 && !dice.one_in(3)) {
                const double n = static_cast<double>(dice.between(1, 40)) / 10;
                tb_reservation r{};
                const Numbers arguments = arguments_of([&](int64_t *to, size_t *count) {
                    return tb_remote_reserve(remote.get(), n, TB_FOREVER, to, count);
                });
                const Numbers reply = asked_at(arguments);
                ASSERT_EQ(tb_remote_read_reservation(remote.get(), arguments.data(), arguments.size(), reply.data(),
                                                     reply.size(), &r),
                          TB_SUCCESS);
                pending.push_back(r);
            } else if (!pending.empty()) {
                const auto at =
                    pending.begin() + static_cast<std::ptrdiff_t>(dice.below(static_cast<int64_t>(pending.size())));
                const Numbers reply = asked_at(arguments_of(
                    [&](int64_t *to, size_t *count) { return tb_remote_cancel(remote.get(), &*at, to, count); }));
                EXPECT_EQ(reply[0], -std::llround(at->tokens * 1e9));
                pending.erase(at);
            }
        }
        const double left = told_at(now_us, remote.get(), key, tb_remote_peek, 1).answer.remaining;
        EXPECT_NEAR(left, -10 + static_cast<double>(now_us - kStartUs) / 1e6, 1e-9);
    }
}

class Windows : public testing::TestWithParam<Fault> {};

TEST_P(Windows, HoldNoMoreThanTheLimitAllows) {
    const uint64_t wanted = support::effort("TB_REMOTE_WINDOWS", 12000, 3000);
    const uint64_t seed = support::effort("TB_SEED", 20251130, 20251130);
    Trace dice(seed);
    Tally tally;
    int64_t worst = INT64_MIN;
    for (int i = 0; tally.steps < wanted && !testing::Test::HasFailure(); ++i) {
        const Limit &limit = dice.pick(kLimits);
        Session session(limit, "window:" + std::to_string(GetParam()) + ":" + std::to_string(i), GetParam(), &dice,
                        &tally);
        for (int64_t step = dice.between(50, 400); step > 0 && !testing::Test::HasFailure(); --step) session.step();
        const int64_t above = session.worst();
        EXPECT_LE(above, 0) << "capacity " << limit.capacity << ", rate " << limit.rate << ", max_wait "
                            << limit.max_wait_us << " us; seed " << seed;
        worst = std::max(worst, above);
    }
    std::cout << tally.steps << " steps, " << tally.grants << " grants, " << tally.cancelled << " given back, "
              << tally.faults << " faults; the fullest window has " << -worst << " units to spare; seed " << seed
              << "\n";
}

INSTANTIATE_TEST_SUITE_P(Remote, Windows, testing::Values(kNone, kLost, kClock));

}  // namespace
