// Those who wait in a replay: threads, and waiters that are none; README.md beside it explains the steps.
#ifndef TOKENBUCKET_TESTS_CONFORMANCE_WAITERS_H
#define TOKENBUCKET_TESTS_CONFORMANCE_WAITERS_H

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "tests/conformance/replay.h"
#include "tests/support/waiter.h"

namespace conformance {

// Which of the waiters are threads, by number; and are those that are none and are woken at the same time checked in
// reverse order?
struct Manner {
    const char *name;
    bool (*is_thread)(std::size_t);
    bool reversed;
};

inline constexpr Manner kManners[] = {
    {"Threads", [](std::size_t) { return true; }, false},
    {"WaitersThatAreNone", [](std::size_t) { return false; }, false},
    {"ThoseCheckedInReverse", [](std::size_t) { return false; }, true},
    {"BothInTurn", [](std::size_t number) { return number % 2 == 0; }, false},
    {"BothInTurnTheOtherWayRound", [](std::size_t number) { return number % 2 == 1; }, true},
};

// A test that is run in each manner.
class InEachManner : public testing::TestWithParam<Manner> {
  protected:
    // Replays the rows of a file as Kind(limits, steps, manner); returns their number.
    template <class Kind>
    int replay(const std::string &path) const {
        const tb_test::QuietHandler handler(SIGUSR1);
        return for_each_row(path, [&](const std::string &limits, const std::vector<std::string> &steps) {
            if (!HasFailure()) Kind(limits, steps, GetParam());
        });
    }
};
inline std::string name_of(const testing::TestParamInfo<Manner> &tested) {
    return tested.param.name;
}
#define TB_TEST_IN_EACH_MANNER(suite) INSTANTIATE_TEST_SUITE_P(With, suite, testing::ValuesIn(kManners), name_of)

struct Answer {
    tb_status status = TB_PENDING;
    std::string by{};      // the member that refuses
    int64_t wait_ns = -1;  // that it would have taken, if it is told
};

// "ok", "late by=X retry=D", "late=W", "never@T by=X".
struct SaidAnswer {
    // None if the words say none.
    static std::optional<SaidAnswer> of(const Words &words) {
        static const std::map<std::string, tb_status> kAnswers{{"ok", TB_SUCCESS},      {"no", TB_DENIED},
                                                               {"late", TB_TIMED_OUT},  {"never", TB_EXCEEDS_CAPACITY},
                                                               {"full", TB_QUEUE_FULL}, {"closed", TB_CLOSED}};
        for (const std::string &word : words) {
            const auto answer = kAnswers.find(word.substr(0, word.find_first_of("=@")));
            if (answer == kAnswers.end()) continue;
            SaidAnswer said{answer->second, option(words, "by").value_or(""), {}, {}};
            if (const auto at = word.find('@'); at != std::string::npos) said.at = duration(word.substr(at + 1));
            for (const char *const wait : {"late", "retry"})
                if (const auto ns = option(words, wait)) said.wait_ns = duration(*ns);
            return said;
        }
        return std::nullopt;
    }
    void expect(const Answer &answer) const {
        EXPECT_EQ(answer.status, status);
        EXPECT_EQ(answer.by, by);
        if (wait_ns && answer.wait_ns >= 0) {
            EXPECT_EQ(answer.wait_ns, *wait_ns);
        }
    }

    tb_status status;
    std::string by;
    std::optional<int64_t> wait_ns;
    std::optional<int64_t> at;
};

inline int64_t within(const Words &words) {
    const auto given = option(words, "within");
    return given ? duration(*given) : TB_FOREVER;
}
inline int32_t priority(const Words &words) {
    return std::stoi(option(words, "priority").value_or("0"));
}

class Waiters {
  public:
    // How one waits: a thread that sleeps; or one that is none.
    struct Calls {
        std::function<Answer()> sleep;
        std::function<Answer(uint64_t tag)> enter;
        std::function<Answer()> check;
        std::function<void()> leave;
        bool is_of_one = true;  // member: the clock counts it once as long as it waits
    };

    Waiters(tb_clock *clock, const std::vector<std::string> &steps, const Manner &manner)
        : clock_(clock), manner_(manner) {
        for (const std::string &text : steps) {
            const Step step(text);
            if (step.words.size() < 2 || !step.name.empty()) continue;
            if (step.words[0] == "leave") leaves_.insert(step.words[1]);
            const auto end = SaidAnswer::of({step.words[1]});
            if (end && end->at) ends_[step.words[0]] = *end->at;
        }
    }
    Waiters(const Waiters &) = delete;
    Waiters &operator=(const Waiters &) = delete;

    static void on_wake(void *self, uint64_t tag) {
        Waiters *const waiters = static_cast<Waiters *>(self);
        const std::lock_guard<std::mutex> guard(waiters->mutex_);
        waiters->woken_.push_back(tag);
    }

    // The words say what it is answered at once, if it is.
    void enter(const std::string &name, const Words &words, const Calls &calls) {
        const std::size_t number = waiters_.size();
        Waiter *const w = &waiters_[name];
        w->calls = calls;
        const int64_t before = tb_test::waiting(clock_);
        if (manner_.is_thread(number) && (!leaves_.contains(name) || tb_test::signals_end_waits())) {
            const auto ended = [](const Waiter &other) { return other.over.load(); };
            const int over = count(ended);
            w->thread = std::thread([=, this] { end(w, w->calls.sleep()); });
            await("its place", [&] { return tb_test::waiting(clock_) != before || count(ended) != over; });
        } else {
            names_.push_back(name);
            const Answer answer = calls.enter(names_.size() - 1);
            if (answer.status != TB_PENDING) end(w, answer);
        }
        check_woken();
        if (auto said = SaidAnswer::of(words)) {
            said->at = now_;
            expect_end(w, *said);
        }
    }

    // False: it is no step of those who wait.
    bool run(const Words &words) {
        const std::size_t equals = words[0].find('=');
        const std::string verb = words[0].substr(0, equals);
        const std::string value = equals == std::string::npos ? words.back() : words[0].substr(equals + 1);
        const auto named = waiters_.find(words[0]);
        if (verb == "leave") {
            leave(&waiters_.at(words.at(1)));
        } else if (verb == "jump") {
            await_those_due();
            set_clock(duration(words.at(1)));
        } else if (verb == "waiting") {
            const int64_t right = std::stoll(value);
            await("so many waiters", [&] { return tb_test::waiting(clock_) == right; });
        } else if (verb == "next") {
            const int64_t right = value == "never" ? TB_FOREVER : duration(value);
            await("the next time", [&] { return tb_test::next_due(clock_) == right; });
        } else if (named == waiters_.end()) {
            return false;
        } else if (words.at(1) == "waits") {
            EXPECT_FALSE(named->second.over);
        } else {
            expect_end(&named->second, SaidAnswer::of({words.begin() + 1, words.end()}).value());
        }
        return true;
    }

    // Stops at each time at which somebody is due.
    void move_clock(int64_t to) {
        for (;;) {
            await_those_due();
            const int64_t next = tb_test::next_due(clock_);
            if (next >= to || testing::Test::HasFailure()) break;
            set_clock(next);
        }
        set_clock(to);
    }

    // All those whose row says so have ended, and the clock counts the others.
    void await_those_due() {
        std::string waiting;
        int64_t right = 0;
        bool are_of_one = true;
        for (auto &[name, waiter] : waiters_) {
            if (waiter.left || waiter.over) continue;
            const auto ends = ends_.find(name);
            if (ends != ends_.end() && ends->second <= now_) {
                const std::atomic<bool> &over = waiter.over;
                await(("the end of " + name).c_str(), [&] { return over.load(); });
            } else {
                ++right;
                waiting += " " + name;
                are_of_one = are_of_one && waiter.calls.is_of_one;
            }
        }
        if (are_of_one) await(("only these:" + waiting).c_str(), [&] { return tb_test::waiting(clock_) == right; });
    }

    // Before what they wait for is destroyed, once all their waits end by themselves, as after a close.
    void await_all() {
        await("the end of all", [&] { return count([](const Waiter &w) { return !w.over; }) == 0; });
        for (auto &[name, waiter] : waiters_)
            if (waiter.thread.joinable()) waiter.thread.join();
    }

  private:
    struct Waiter {
        std::thread thread;
        Calls calls;
        Answer answer;
        int64_t ended_at = -1;
        bool left = false;
        std::atomic<bool> over{false};
    };

    void leave(Waiter *w) {
        w->left = true;
        if (!w->thread.joinable()) {
            w->calls.leave();
            return end(w, {TB_INTERRUPTED});
        }
        await("the end by a signal", [&] {
            if (!w->over) pthread_kill(w->thread.native_handle(), SIGUSR1);
            return w->over.load();
        });
        EXPECT_EQ(w->answer.status, TB_INTERRUPTED);
    }

    void set_clock(int64_t to) {
        if (to > now_) now_ = to;
        expect_success(tb_manual_clock_set(clock_, to));
        check_woken();
    }

    void expect_end(Waiter *w, const SaidAnswer &said) {
        await("the end", [&] { return w->over.load(); });
        said.expect(w->answer);
        EXPECT_EQ(w->ended_at, said.at);
    }

    void check_woken() {
        std::vector<uint64_t> woken;
        {
            const std::lock_guard<std::mutex> guard(mutex_);
            woken = std::exchange(woken_, {});
        }
        if (manner_.reversed) woken = {woken.rbegin(), woken.rend()};
        for (const uint64_t tag : woken) {
            Waiter *const w = &waiters_.at(names_.at(static_cast<std::size_t>(tag)));
            if (w->over) continue;
            const Answer answer = w->calls.check();
            if (answer.status != TB_PENDING) end(w, answer);
        }
    }

    void end(Waiter *w, const Answer &answer) {
        w->answer = answer;
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
        const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
        for (check_woken(); !condition(); check_woken()) {
            if (std::chrono::steady_clock::now() > until) {
                ADD_FAILURE() << "at " << now_ << " ns: does not come: " << what << "; waiters "
                              << tb_test::waiting(clock_) << ", next " << tb_test::next_due(clock_);
                return;
            }
            std::this_thread::yield();
        }
    }

    tb_clock *const clock_;
    const Manner manner_;
    std::map<std::string, int64_t> ends_;
    std::set<std::string> leaves_;
    std::map<std::string, Waiter> waiters_;
    std::vector<std::string> names_;  // by tag
    std::atomic<int64_t> now_{0};
    std::mutex mutex_;
    std::vector<uint64_t> woken_;  // tags
};

}  // namespace conformance

#endif
