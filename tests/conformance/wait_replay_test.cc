// Replays waits.txt through the C API; README.md beside it explains the steps.
#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

#include "tests/conformance/replay.h"
#include "tests/support/waiter.h"

namespace {

using namespace conformance;

constexpr auto kPatience = std::chrono::seconds(30);

const std::map<std::string, tb_status> kAnswers{{"ok", TB_SUCCESS},
                                                {"late", TB_TIMED_OUT},
                                                {"never", TB_EXCEEDS_CAPACITY},
                                                {"full", TB_QUEUE_FULL},
                                                {"closed", TB_CLOSED}};

// Which of the waiters are threads, by number; and are those that are none and are woken at the same time checked in
// reverse order?
struct Manner {
    bool (*is_thread)(std::size_t);
    bool reversed;
};

class WaitReplay : public Replay {
  public:
    WaitReplay(const std::string &limits, const std::vector<std::string> &steps, const Manner &manner)
        : Replay(
              limits, [](void *self, uint64_t tag) { static_cast<WaitReplay *>(self)->wake(tag); }, this),
          manner_(manner) {
        for (const std::string &step : steps) read_end(split(step, ' '));
        for (const std::string &s : steps)
            if (!testing::Test::HasFailure()) step(s);
        if (!testing::Test::HasFailure()) await_those_due();
    }
    ~WaitReplay() override {
        tb_close(bucket_);
        await("the end of all", [&] { return count([](const Waiter &w) { return !w.over; }) == 0; });
        for (auto &[name, waiter] : waiters_)
            if (waiter.thread.joinable()) waiter.thread.join();
    }

  private:
    struct Waiter {
        std::thread thread;
        uint64_t number = 0;
        tb_status status = TB_PENDING;
        int64_t ended_at = -1;
        bool left = false;
        std::atomic<bool> over{false};
    };

    // What the row says of the times at which waits end: "[@T] A ok@T".
    void read_end(std::vector<std::string> words) {
        if (words[0].front() == '@') words.erase(words.begin());
        if (words.size() == 2 && words[1].find('@') != std::string::npos) ends_[words[0]] = end_time(words[1]);
        if (words.size() == 2 && words[0] == "leave") leaves_[words[1]] = true;
    }
    static int64_t end_time(const std::string &end) { return duration(end.substr(end.find('@') + 1)); }

    void run(const Words &words) override {
        if (words[0] == "wait") return wait(words);
        if (words[0] == "leave") return leave(words.at(1));
        if (words[0] == "jump") return jump(duration(words.at(1)));
        const std::size_t equals = words[0].find('=');
        const std::string value = equals == std::string::npos ? words.back() : words[0].substr(equals + 1);
        if (words[0].starts_with("waiting")) {
            const int64_t right = std::stoll(value);
            return await("so many waiters", [&] { return tb_test::waiting(clock_) == right; });
        }
        if (words[0].starts_with("next")) {
            const int64_t right = value == "never" ? TB_FOREVER : duration(value);
            return await("the next time", [&] { return tb_test::next_due(clock_) == right; });
        }
        const auto named = waiters_.find(words[0]);
        if (named == waiters_.end()) return Replay::run(words);
        if (words.at(1) == "waits") {
            EXPECT_FALSE(named->second.over);
        } else {
            expect_end(&named->second, words[1].substr(0, words[1].find('@')), end_time(words[1]));
        }
    }

    void wait(const Words &words) {
        const double n = std::stod(words.at(1));
        int64_t timeout_ns = TB_FOREVER;
        int32_t priority = 0;
        std::string answer;
        for (const std::string &word : words) {
            if (word.starts_with("within=")) timeout_ns = duration(word.substr(7));
            if (word.starts_with("priority=")) priority = std::stoi(word.substr(9));
            if (kAnswers.contains(word) || word.starts_with("late=")) answer = word;
        }
        const std::size_t number = waiters_.size();
        Waiter *const w = &waiters_[name_];
        const int64_t before = tb_test::waiting(clock_);
        if (manner_.is_thread(number) && (!leaves_.contains(name_) || tb_test::signals_end_waits())) {
            const auto ended = [](const Waiter &other) { return other.over.load(); };
            const int over = count(ended);
            w->thread = std::thread([=, this] { end(w, tb_wait_with(bucket_, n, timeout_ns, priority)); });
            await("its place", [&] { return tb_test::waiting(clock_) != before || count(ended) != over; });
        } else {
            int64_t wait_ns = -1;
            names_.push_back(name_);
            const tb_status status =
                tb_enqueue(bucket_, n, timeout_ns, priority, names_.size() - 1, &w->number, &wait_ns);
            if (status != TB_PENDING) end(w, status);
            if (answer.starts_with("late=")) {
                EXPECT_EQ(wait_ns, duration(answer.substr(5)));
            }
        }
        check_woken();
        if (!answer.empty()) expect_end(w, answer.substr(0, answer.find('=')), now_);
    }

    void leave(const std::string &name) {
        Waiter *const w = &waiters_[name];
        w->left = true;
        if (!w->thread.joinable()) {
            EXPECT_EQ(tb_waiter_leave(bucket_, w->number), TB_SUCCESS);
            return end(w, TB_INTERRUPTED);
        }
        await("the end by a signal", [&] {
            if (!w->over) pthread_kill(w->thread.native_handle(), SIGUSR1);
            return w->over.load();
        });
        EXPECT_EQ(w->status, TB_INTERRUPTED);
    }

    void move_clock(int64_t to) override {
        for (;;) {
            await_those_due();
            const int64_t next = tb_test::next_due(clock_);
            if (next >= to || testing::Test::HasFailure()) break;
            set_clock(next);
        }
        set_clock(to);
    }
    void jump(int64_t to) {
        await_those_due();
        set_clock(to);
    }
    void set_clock(int64_t to) {
        if (to > now_) now_ = to;
        expect_success(tb_manual_clock_set(clock_, to));
        check_woken();
    }

    // All those whose row says so have ended, and the clock counts the others.
    void await_those_due() {
        std::string waiting;
        int64_t right = 0;
        for (auto &[name, waiter] : waiters_) {
            if (waiter.left || waiter.over) continue;
            const auto ends = ends_.find(name);
            if (ends != ends_.end() && ends->second <= now_) {
                const std::atomic<bool> &over = waiter.over;
                await(("the end of " + name).c_str(), [&] { return over.load(); });
            } else {
                ++right;
                waiting += " " + name;
            }
        }
        await(("only these:" + waiting).c_str(), [&] { return tb_test::waiting(clock_) == right; });
    }

    void expect_end(Waiter *w, const std::string &answer, int64_t at) {
        await("the end", [&] { return w->over.load(); });
        EXPECT_EQ(w->status, kAnswers.at(answer));
        EXPECT_EQ(w->ended_at, at);
    }

    // Called by on_wake.
    void wake(uint64_t tag) {
        const std::lock_guard<std::mutex> guard(mutex_);
        woken_.push_back(tag);
    }
    void check_woken() {
        std::vector<uint64_t> woken;
        {
            const std::lock_guard<std::mutex> guard(mutex_);
            woken = std::exchange(woken_, {});
        }
        if (manner_.reversed) woken = {woken.rbegin(), woken.rend()};
        for (const uint64_t tag : woken) {
            Waiter *const w = &waiters_[names_.at(static_cast<std::size_t>(tag))];
            int64_t wait_ns = 0;
            if (w->over) continue;
            const tb_status status = tb_waiter_check(bucket_, w->number, &wait_ns);
            if (status != TB_PENDING) end(w, status);
        }
    }

    void end(Waiter *w, tb_status status) {
        w->status = status;
        w->ended_at = now_;
        w->over = true;
    }

    template <class Condition>
    int count(Condition condition) const {
        int n = 0;
        for (const auto &[name, waiter] : waiters_) n += condition(waiter) ? 1 : 0;
        return n;
    }

    // What other threads do is waited for; what is woken here is checked meanwhile.
    void await(const char *what, const std::function<bool()> &condition) {
        const auto until = std::chrono::steady_clock::now() + kPatience;
        for (check_woken(); !condition(); check_woken()) {
            if (std::chrono::steady_clock::now() > until) {
                ADD_FAILURE() << "at " << now_ << " ns: does not come: " << what << "; waiters "
                              << tb_test::waiting(clock_) << ", next " << tb_test::next_due(clock_);
                return;
            }
            std::this_thread::yield();
        }
    }

    const Manner manner_;
    std::map<std::string, int64_t> ends_;
    std::map<std::string, bool> leaves_;
    std::map<std::string, Waiter> waiters_;
    std::vector<std::string> names_;  // by tag
    std::atomic<int64_t> now_{0};
    std::mutex mutex_;
    std::vector<uint64_t> woken_;  // tags
};

void replay_all(const Manner &manner) {
    const tb_test::QuietHandler handler(SIGUSR1);
    const int rows = for_each_row(TB_SOURCE "/tests/conformance/waits.txt",
                                  [&](const std::string &limits, const std::vector<std::string> &steps) {
                                      if (!testing::Test::HasFailure()) WaitReplay(limits, steps, manner);
                                  });
    EXPECT_GE(rows, 60);
}

TEST(WaitRows, WithThreads) {
    replay_all({[](std::size_t) { return true; }, false});
}
TEST(WaitRows, WithWaitersThatAreNone) {
    replay_all({[](std::size_t) { return false; }, false});
}
TEST(WaitRows, WithThoseCheckedInReverse) {
    replay_all({[](std::size_t) { return false; }, true});
}
TEST(WaitRows, WithBothInTurn) {
    replay_all({[](std::size_t number) { return number % 2 == 0; }, false});
}
TEST(WaitRows, WithBothInTurnTheOtherWayRound) {
    replay_all({[](std::size_t number) { return number % 2 == 1; }, true});
}

}  // namespace
