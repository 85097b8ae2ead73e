// Replays waits.txt through the C API; README.md beside it explains the steps.
#include "tests/conformance/waiters.h"

namespace {

using namespace conformance;

class WaitReplay : public Replay {
  public:
    WaitReplay(const std::string &limits, const std::vector<std::string> &steps, const Manner &manner)
        : Replay(limits, Waiters::on_wake, &waiters_), waiters_(clock_, steps, manner) {
        for (const std::string &s : steps)
            if (!testing::Test::HasFailure()) step(s);
        if (!testing::Test::HasFailure()) waiters_.await_those_due();
    }
    ~WaitReplay() override {
        tb_close(bucket_);
        waiters_.await_all();
    }

  private:
    void run(const Words &words) override {
        if (words[0] == "wait") return wait(words);
        if (!waiters_.run(words)) Replay::run(words);
    }

    void wait(const Words &words) {
        const double n = std::stod(words.at(1));
        const int64_t timeout_ns = within(words);
        const int32_t rank = priority(words);
        const auto number = std::make_shared<uint64_t>(0);
        Waiters::Calls calls;
        calls.sleep = [=, this] { return Answer{tb_wait_with(bucket_, n, timeout_ns, rank)}; };
        calls.enter = [=, this](uint64_t tag) {
            Answer answer;
            answer.status = tb_enqueue(bucket_, n, timeout_ns, rank, tag, number.get(), &answer.wait_ns);
            return answer;
        };
        calls.check = [=, this] {
            Answer answer;
            answer.status = tb_waiter_check(bucket_, *number, &answer.wait_ns);
            return answer;
        };
        calls.leave = [=, this] { expect_success(tb_waiter_leave(bucket_, *number)); };
        waiters_.enter(name_, words, calls);
    }

    void move_clock(int64_t to) override { waiters_.move_clock(to); }

    Waiters waiters_;
};

class WaitRows : public InEachManner {};

TEST_P(WaitRows, EveryRowOfTheFile) {
    EXPECT_GE(replay<WaitReplay>(TB_SOURCE "/tests/conformance/waits.txt"), 60);
}
TB_TEST_IN_EACH_MANNER(WaitRows);

}  // namespace
