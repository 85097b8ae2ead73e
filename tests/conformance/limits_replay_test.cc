// Replays limits.txt through the C API; README.md beside it explains the steps.
#include "tests/conformance/waiters.h"
#include "tests/support/table.h"

namespace {

using namespace conformance;

// Members, and the names by which the row knows them.
struct Members {
    std::vector<tb_member> all;
    std::vector<std::string> names;
};

// f of a bucket, or f_of_key of a key.
template <class F, class G, class... Arguments>
tb_status ask(const tb_member &member, F f, G f_of_key, Arguments... arguments) {
    if (member.bucket != nullptr) return f(member.bucket, arguments...);
    return f_of_key(member.table, member.key, member.key_size, arguments...);
}

class LimitsReplay {
  public:
    LimitsReplay(const std::string &limits, const std::vector<std::string> &steps, const Manner &manner)
        : waiters_(clock_.get(), steps, manner) {
        for (const std::string &limit : split(limits, ';')) create(limit);
        for (const std::string &s : steps)
            if (!testing::Test::HasFailure()) step(s);
        if (!testing::Test::HasFailure()) waiters_.await_those_due();
    }
    ~LimitsReplay() {
        for (auto &[name, bucket] : buckets_) tb_close(bucket.get());
        for (auto &[name, table] : tables_) tb_table_close(table.get());
        waiters_.await_all();
    }
    LimitsReplay(const LimitsReplay &) = delete;
    LimitsReplay &operator=(const LimitsReplay &) = delete;

  private:
    void create(const std::string &written) {
        tb_config limit = tb_test::config_of(0, 0, clock_.get());
        limit.on_wake = Waiters::on_wake;
        limit.wake_user = &waiters_;
        const Words words = split(written, ' ');
        int64_t keys = 0;
        for (std::size_t i = 1; i < words.size(); ++i) {
            if (words[i].starts_with("keys=")) {
                keys = std::stoll(words[i].substr(5));
            } else if (!read_limit(words[i], &limit)) {
                ADD_FAILURE() << "unknown limit " << words[i];
            }
        }
        if (keys == 0) {
            buckets_[words[0]] = tb_test::bucket_of(limit);
        } else {
            tables_[words[0]] = tb_test::table_of(limit, keys);
        }
    }

    // "r" or "u.a".
    tb_member member(const std::string &name, double n = 0) {
        const auto dot = name.find('.');
        if (dot == std::string::npos) return {buckets_.at(name).get(), nullptr, nullptr, 0, n};
        const std::string &key = *keys_.insert(name.substr(dot + 1)).first;
        return {nullptr, tables_.at(name.substr(0, dot)).get(), key.data(), key.size(), n};
    }
    Members members(const Words &words) {
        Members members;
        for (const std::string &word : words) {
            const auto colon = word.find(':');
            if (colon == std::string::npos) continue;
            members.names.push_back(word.substr(0, colon));
            members.all.push_back(member(members.names.back(), std::stod(word.substr(colon + 1))));
        }
        return members;
    }

    void step(const std::string &text) {
        SCOPED_TRACE(text);
        const Step step(text);
        if (step.at) waiters_.move_clock(*step.at);
        if (step.words.empty()) return;
        const Words &words = step.words;
        if (const auto slash = words[0].find('/'); slash != std::string::npos) {
            Words rest = words;
            rest[0] = words[0].substr(slash + 1);
            return of_one(words[0].substr(0, slash), rest, step.name);
        }
        if (words[0] == "all") return allow(words);
        if (words[0] == "resv") return reserve(step.name, words);
        if (words[0] == "cancel") return cancel(words.at(1));
        if (words[0] == "wait") return wait(step.name, words);
        EXPECT_TRUE(waiters_.run(words)) << "unknown step";
    }

    // ---- Of several members

    static Answer answer(const Members &members, tb_status status, const tb_refusal &refusal) {
        Answer answer{status};
        if (refusal.member >= 0) answer.by = members.names.at(static_cast<std::size_t>(refusal.member));
        answer.wait_ns = refusal.retry_after_ns;
        return answer;
    }
    static constexpr tb_refusal kNoRefusal{-1, 0, -1};

    void allow(const Words &words) {
        const Members m = members(words);
        tb_refusal refusal = kNoRefusal;
        const tb_status status = tb_allow_all(m.all.data(), m.all.size(), &refusal);
        SaidAnswer::of(words).value().expect(answer(m, status, refusal));
    }

    void reserve(const std::string &name, const Words &words) {
        const Members m = members(words);
        const int64_t most = option(words, "max") ? duration(*option(words, "max")) : TB_FOREVER;
        std::vector<tb_reservation> reserved(m.all.size());
        tb_refusal refusal = kNoRefusal;
        int64_t wait_ns = -1;
        const tb_status status = tb_reserve_all(m.all.data(), m.all.size(), most, reserved.data(), &wait_ns, &refusal);
        if (const auto said = SaidAnswer::of(words)) return said->expect(answer(m, status, refusal));
        expect_success(status);
        EXPECT_EQ(wait_ns, duration(words.back()));
        reservations_[name] = {m, reserved};
    }

    void cancel(const std::string &name) {
        auto &[m, reserved] = reservations_.at(name);
        expect_success(tb_cancel_all(m.all.data(), m.all.size(), reserved.data()));
    }

    void wait(const std::string &name, const Words &words) {
        const Members m = members(words);
        const int64_t timeout_ns = within(words);
        const int32_t rank = priority(words);
        const auto waiter = std::make_shared<tb_waiter_all *>(nullptr);
        Waiters::Calls calls;
        calls.is_of_one = false;
        calls.sleep = [=] {
            tb_refusal refusal = kNoRefusal;
            const tb_status status = tb_wait_all(m.all.data(), m.all.size(), timeout_ns, rank, &refusal);
            return answer(m, status, refusal);
        };
        calls.enter = [=](uint64_t tag) {
            tb_refusal refusal = kNoRefusal;
            int64_t wait_ns = -1;
            const tb_status status =
                tb_enqueue_all(m.all.data(), m.all.size(), timeout_ns, rank, tag, waiter.get(), &wait_ns, &refusal);
            return answer(m, status, refusal);
        };
        calls.check = [=] {
            tb_refusal refusal = kNoRefusal;
            int64_t wait_ns = -1;
            const tb_status status = tb_waiter_all_check(*waiter, &wait_ns, &refusal);
            if (status != TB_PENDING) tb_waiter_all_leave(*waiter);
            return answer(m, status, refusal);
        };
        calls.leave = [=] { tb_waiter_all_leave(*waiter); };
        waiters_.enter(name, words, calls);
    }

    // ---- Of one member, or of a table

    void of_one(const std::string &name, const Words &words, const std::string &waiter) {
        const std::string &verb = words[0];
        if (verb == "rate" || verb == "burst" || verb == "close") return change(name, words);
        const tb_member m = member(name);
        if (verb == "peek") {
            double tokens = NAN;
            expect_success(ask(m, tb_available, tb_table_available, &tokens));
            EXPECT_EQ(tokens, std::stod(words.at(1)));
        } else if (verb == "take") {
            const tb_status status = ask(m, tb_allow, tb_table_allow, std::stod(words.at(1)));
            SaidAnswer::of(words).value().expect({status});
        } else if (verb == "wait") {
            wait_for_one(waiter, m, words);
        } else if (verb == "force") {
            int64_t *const any = nullptr;
            expect_success(ask(m, tb_charge, tb_table_charge, std::stod(words.at(1)), any));
        } else if (verb == "add") {
            expect_success(ask(m, tb_refund, tb_table_refund, std::stod(words.at(1))));
        } else if (verb == "reset") {
            expect_success(tb_reset(m.bucket, std::stod(words.at(1))));
        } else if (verb == "set") {
            expect_success(tb_set_tokens(m.bucket, std::stod(words.at(1))));
        } else {
            ADD_FAILURE() << "unknown step";
        }
    }

    void change(const std::string &name, const Words &words) {
        const auto bucket = buckets_.find(name);
        const auto change = [&](auto f, auto f_of_table, auto... value) {
            expect_success(bucket != buckets_.end() ? f(bucket->second.get(), value...)
                                                    : f_of_table(tables_.at(name).get(), value...));
        };
        if (words[0] == "close") return change(tb_close, tb_table_close);
        if (words[0] == "burst") return change(tb_set_capacity, tb_table_set_capacity, std::stod(words.at(1)));
        const Rate r = rate(words.at(1));
        change(tb_set_rate, tb_table_set_rate, r.tokens * 1e9 / static_cast<double>(r.period_ns));
    }

    void wait_for_one(const std::string &name, const tb_member &m, const Words &words) {
        const double n = std::stod(words.at(1));
        const int64_t timeout_ns = within(words);
        const int32_t rank = priority(words);
        const auto number = std::make_shared<uint64_t>(0);
        Waiters::Calls calls;
        calls.sleep = [=] { return Answer{ask(m, tb_wait_with, tb_table_wait_with, n, timeout_ns, rank)}; };
        calls.enter = [=](uint64_t tag) {
            int64_t wait_ns = -1;
            return Answer{ask(m, tb_enqueue, tb_table_enqueue, n, timeout_ns, rank, tag, number.get(), &wait_ns)};
        };
        calls.check = [=] {
            int64_t wait_ns = -1;
            return Answer{ask(m, tb_waiter_check, tb_table_waiter_check, *number, &wait_ns)};
        };
        calls.leave = [=] { expect_success(ask(m, tb_waiter_leave, tb_table_waiter_leave, *number)); };
        waiters_.enter(name, words, calls);
    }

    const tb_test::ClockHandle clock_ = tb_test::manual_clock();
    std::set<std::string> keys_;
    std::map<std::string, tb_test::BucketHandle> buckets_;
    std::map<std::string, tb_test::TableHandle> tables_;
    std::map<std::string, std::pair<Members, std::vector<tb_reservation>>> reservations_;
    Waiters waiters_;
};

class LimitRows : public InEachManner {};

TEST_P(LimitRows, EveryRowOfTheFile) {
    EXPECT_GE(replay<LimitsReplay>(TB_SOURCE "/tests/conformance/limits.txt"), 60);
}
TB_TEST_IN_EACH_MANNER(LimitRows);

}  // namespace
