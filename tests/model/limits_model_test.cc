// Random traces of decisions over several limits, buckets and keys of tables, whose waiters are no threads. Each member
// has a model of its own, tests/model/waits_model.h, and what the header says of several of them together stands here:
// after each step every answer, the tokens, those who wait and those who were woken are the same.
//
// Beside that the promises are checked on what was granted, without a model: no member grants more in any window than
// it holds, gains and is given back; whoever is of one member is not served before those in front of it; and when all
// have left, the tokens are what came in less what was granted.
//
// Whoever is woken comes at once: how tokens count that are due and not collected when a wait ends no rule tells.
#include <algorithm>
#include <cmath>
#include <iostream>
#include <list>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/model/waits_model.h"
#include "tests/support/effort.h"
#include "tests/support/table.h"
#include "tests/support/trace.h"
#include "tests/support/waiter.h"

namespace {

using waits_model::Change;
using waits_model::kForever;
using waits_model::kParts;
using waits_model::whole_ns;
using Model = waits_model::Bucket;
using State = waits_model::Waiter::State;

constexpr int64_t kToken = 1000000000;  // units

const std::vector<int64_t> kRates{1, 1, 2, 3, 4, 6};
const std::vector<int64_t> kCapacities{kToken, 2 * kToken, 3 * kToken, 10 * kToken, 10 * kToken};
const std::vector<int64_t> kAmounts{kToken / 10, kToken / 10, kToken / 2, kToken / 2, kToken,     kToken,     kToken,
                                    2 * kToken,  2 * kToken,  3 * kToken, 123456789,  123456789,  1,          1,
                                    kToken / 4,  kToken / 4,  kToken / 3, kToken / 3, 7 * kToken, 20 * kToken};
const std::vector<int64_t> kTimes{0, 1, 100000000, 100000000, 333333333, 500000000, 500000000, 1000000000, 3000000000};
const std::vector<int64_t> kLimits{0,        1,        kForever, kForever,  kForever,   kForever,
                                   kForever, kForever, kForever, 500000000, 2000000000, 5000000000};
const std::vector<int32_t> kPriorities{0, 0, 0, 1, -1, INT32_MAX, INT32_MIN};

struct Op {
    enum Kind {
        allow_all,
        reserve_all,
        cancel_all,
        enqueue_all,
        enqueue,  // for one member
        leave,
        take,
        charge,
        refund,
        reset,
        set_rate,
        set_capacity,
        close,
        advance,
        to_next  // sets the clock to the next time at which a waiter is due, or beyond it
    } kind;
    uint64_t seed;  // of all else that it needs
};

struct Case {
    uint64_t limits;  // the seed of them
    std::vector<Op> ops;
};

double tokens(int64_t units) {
    return static_cast<double>(units) / static_cast<double>(kToken);
}

// What one member has granted and was given, in the order of calls. A grant of a later time may be taken out until
// then.
class Ledger {
  public:
    explicit Ledger(const waits_model::Tank &start) : start_(start) {}

    void add(Change::Kind kind, int64_t at, int64_t amount, int grant = 0) {
        changes_.push_back({kind, at, amount, grant});
    }
    // Of later times than this.
    void take_out(int grant, int64_t now) {
        std::erase_if(changes_, [=](const Change &c) { return c.waiter == grant && c.at > now; });
    }
    void take_out_all_after(int64_t now) {
        std::erase_if(changes_, [=](const Change &c) { return c.at > now; });
    }
    // A reservation keeps the time that it was told, to the nanosecond, when the rate changes.
    void round_all_after(int64_t now) {
        for (Change &c : changes_)
            if (c.at > now) c.at = whole_ns(c.at) * kParts;
    }
    int64_t level(int64_t at) const {
        waits_model::Tank t = start_;
        for (const Change &c : in_order())
            if (c.at <= at) c.apply(&t);
        t.grow(at);
        return t.level;
    }
    // By how much the window that holds most exceeds the gain and the gifts in it.
    int64_t most_in_a_window() const {
        int64_t sum = 0, most = 0, at = 0;
        waits_model::Tank t = start_;
        for (const Change &c : in_order()) {
            sum = std::max<int64_t>(0, sum - start_.rate * (c.at - at));
            at = c.at;
            t.grow(at);
            const int64_t before = t.level;
            c.apply(&t);
            if (c.waiter != 0) sum += c.amount;
            if (c.kind == Change::put || c.kind == Change::set)
                sum = std::max<int64_t>(0, sum - std::max<int64_t>(0, t.level - before));
            most = std::max(most, sum);
        }
        return most;
    }

  private:
    std::vector<Change> in_order() const {
        std::vector<Change> sorted = changes_;
        std::stable_sort(sorted.begin(), sorted.end(), [](const Change &a, const Change &b) { return a.at < b.at; });
        return sorted;
    }

    const waits_model::Tank start_;
    std::vector<Change> changes_;
};

struct Limit {
    Limit(const waits_model::Tank &start, int64_t max_waiters)
        : model(start, kForever, max_waiters), ledger(start), rate(start.rate) {}

    tb_member member{};
    int table = -1;
    Model model;
    Ledger ledger;
    int64_t rate;
    bool is_closed = false;
    bool is_steady = true;  // its limit has not changed
    int resets = 0;
};

// f of a bucket, or f_of_key of a key.
template <class F, class G, class... Arguments>
tb_status ask(const Limit &limit, F f, G f_of_key, Arguments... arguments) {
    const tb_member &m = limit.member;
    return m.bucket != nullptr ? f(m.bucket, arguments...) : f_of_key(m.table, m.key, m.key_size, arguments...);
}

class Trial {
  public:
    explicit Trial(const Case &c) {
        tb_test::Trace dice(c.limits);
        for (int64_t left = dice.between(1, 3); left > 0; --left) add_bucket(&dice);
        for (int64_t left = dice.below(3); left > 0; --left) add_table(&dice);
        for (const Op &op : c.ops) {
            if (!fault_.empty()) return;
            tb_test::Trace draws(op.seed);
            step(op.kind, &draws);
            compare();
            come();
        }
        finish();
    }
    Trial(const Trial &) = delete;
    Trial &operator=(const Trial &) = delete;
    ~Trial() {
        for (auto &[id, host] : hosts_) tb_waiter_all_leave(host.all);
    }

    const std::string &fault() const { return fault_; }
    const std::string &story() const { return story_; }
    int64_t granted() const { return granted_; }  // waits for several that had to wait

  private:
    // What a wait or a reservation has in one member.
    struct Part {
        Limit *limit;
        int64_t n;
        int resets;
        bool is_granted = false;  // due, and in the ledger
        bool has = false;         // and collected
    };
    struct Host {
        std::vector<Part> parts;
        tb_waiter_all *all;  // null: a waiter of one member, by its number
        uint64_t number;
        int32_t priority;
        int64_t knows_ns;  // when it will come by itself
        bool woken;
        int64_t since_ns = 0;
        int64_t woken_ns = 0;
    };
    struct Reserved {
        std::vector<Part> parts;
        std::vector<tb_member> members;
        std::vector<tb_reservation> reservations;
        bool may_be_void = false;  // a key has been full since, and may have lost its place
    };
    struct Refusal {
        tb_status status = TB_SUCCESS;
        int32_t member = -1;
        int64_t retry_ns = -1;

        // One whose queue is full may yet grant, which others that say TB_FOREVER never do.
        void add(tb_status s, std::size_t i, int64_t ns) {
            if (s == TB_SUCCESS || s == TB_PENDING) return;
            const bool is_longer = ns > retry_ns || (ns == retry_ns && status == TB_QUEUE_FULL && s != status);
            if (member >= 0 && !is_longer) return;
            *this = {s, static_cast<int32_t>(i), ns};
        }
    };
    static constexpr tb_refusal kNoRefusal{-1, 0, -1};

    // ---- Limits

    tb_config config(int64_t capacity, int64_t rate, int64_t max_waiters) {
        tb_config c = tb_test::config_of(tokens(capacity), static_cast<double>(rate), clock_.get());
        c.max_waiters = max_waiters;
        c.on_wake = [](void *self, uint64_t tag) { static_cast<Trial *>(self)->wake(static_cast<int>(tag)); };
        c.wake_user = this;
        return c;
    }
    void add_bucket(tb_test::Trace *dice) {
        const waits_model::Tank start{0, 0, dice->pick(kCapacities), dice->pick(kRates)};
        const int64_t max_waiters = dice->one_in(4) ? dice->between(1, 3) : 0;
        const int64_t level = dice->one_in(2) ? dice->below(start.capacity + 1) : 0;
        tb_config c = config(start.capacity, start.rate, max_waiters);
        c.initial_tokens = tokens(level);
        buckets_.push_back(tb_test::bucket_of(c));
        limits_.emplace_back(parts({0, level, start.capacity, start.rate}), max_waiters);
        limits_.back().member.bucket = buckets_.back().get();
        tell("bucket", {start.capacity, start.rate, level, max_waiters});
    }
    void add_table(tb_test::Trace *dice) {
        static const char *const kKeys = "ab";
        const int64_t capacity = dice->pick(kCapacities);
        const int64_t rate = dice->pick(kRates);
        const int64_t max_waiters = dice->one_in(4) ? dice->between(1, 3) : 0;
        tables_.push_back(tb_test::table_of(config(capacity, rate, max_waiters), 100));
        for (int key = 0; key < 2; ++key) {
            limits_.emplace_back(parts({0, capacity, capacity, rate}), max_waiters);
            limits_.back().member = {nullptr, tables_.back().get(), kKeys + key, 1, 0};
            limits_.back().table = static_cast<int>(tables_.size()) - 1;
        }
        tell("table", {capacity, rate, max_waiters});
    }
    static waits_model::Tank parts(const waits_model::Tank &units) {
        return {0, units.level * kParts, units.capacity * kParts, units.rate};
    }

    // Up to four, or all.
    std::vector<Part> draw_members(tb_test::Trace *draws) {
        std::vector<Limit *> left;
        for (Limit &limit : limits_) left.push_back(&limit);
        const auto all = std::ssize(left);
        const int64_t count = draws->one_in(8) ? all : draws->between(1, std::min<int64_t>(4, all));
        std::vector<Part> drawn;
        for (int64_t i = 0; i < count; ++i) {
            const auto at =
                left.begin() + static_cast<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(draws->below(std::ssize(left))));
            drawn.push_back({*at, draws->pick(kAmounts), (*at)->resets});
            left.erase(at);
        }
        return drawn;
    }
    static std::vector<tb_member> members(const std::vector<Part> &parts) {
        std::vector<tb_member> all;
        for (const Part &p : parts) {
            all.push_back(p.limit->member);
            all.back().n = tokens(p.n);
        }
        return all;
    }

    // ---- Judging

    int64_t now() const { return now_ns_; }
    int64_t now_part() const { return now_ns_ * kParts; }
    int64_t index(const Limit *limit) const {
        int64_t i = 0;
        for (const Limit &other : limits_) {
            if (&other == limit) return i;
            ++i;
        }
        return -1;
    }
    void tell(const char *what, const std::vector<int64_t> &numbers) {
        story_ += std::string("    ") + what;
        for (const int64_t n : numbers) story_ += " " + std::to_string(n);
        story_ += "\n";
    }
    void tell_parts(const char *what, const std::vector<Part> &parts, std::vector<int64_t> numbers) {
        for (const Part &p : parts) {
            numbers.push_back(index(p.limit));
            numbers.push_back(p.n);
        }
        tell(what, numbers);
    }
    void fail(const std::string &what) {
        if (fault_.empty()) fault_ = what + " at " + std::to_string(now()) + " ns";
    }
    void expect(int64_t seen, int64_t right, const char *what) {
        if (seen != right) fail(std::string(what) + " " + std::to_string(seen) + ", right is " + std::to_string(right));
    }
    void expect_refusal(const tb_refusal &seen, const Refusal &right) {
        expect(seen.member, right.member, "the member that refuses");
        expect(seen.retry_after_ns, right.retry_ns, "its time");
    }

    // The answer to a take, and the time until it would be granted.
    static tb_status take_answer(const Limit &limit, int64_t n, int64_t *retry_ns) {
        *retry_ns = TB_FOREVER;
        if (limit.is_closed) return TB_CLOSED;
        if (n * kParts > limit.model.capacity()) return TB_EXCEEDS_CAPACITY;
        const int64_t missing = std::max<int64_t>(0, n * kParts - limit.model.available());
        const int64_t per_ns = limit.rate * kParts;
        *retry_ns = (missing + per_ns - 1) / per_ns;
        return missing == 0 ? TB_SUCCESS : TB_DENIED;
    }

    void granted_at(Limit *limit, int64_t at, int64_t n, int grant) {
        limit->ledger.add(Change::spend, at, n * kParts, grant);
    }

    // ---- Steps

    void step(Op::Kind kind, tb_test::Trace *draws) {
        switch (kind) {
            case Op::allow_all:
                return allow_all(draws);
            case Op::reserve_all:
                return reserve_all(draws);
            case Op::cancel_all:
                return cancel_all(draws);
            case Op::enqueue_all:
                return enqueue_all(draws);
            case Op::enqueue:
                return enqueue(draws);
            case Op::leave:
                if (!hosts_.empty())
                    leave(std::next(hosts_.begin(), static_cast<std::ptrdiff_t>(draws->below(std::ssize(hosts_))))
                              ->first);
                return;
            case Op::take:
            case Op::charge:
            case Op::refund:
            case Op::reset:
            case Op::set_capacity:
                return change_one(kind, draws);
            case Op::set_rate:
                return set_rate(draws);
            case Op::close:
                return close(draws);
            case Op::advance:
                return advance(now() + draws->pick(kTimes));
            case Op::to_next:
                if (const int64_t next = next_due(); next != TB_FOREVER)
                    advance(next + (draws->one_in(2) ? 0 : draws->pick(kTimes)));
                return;
        }
    }

    void allow_all(tb_test::Trace *draws) {
        const std::vector<Part> parts = draw_members(draws);
        const std::vector<tb_member> all = members(parts);
        tell_parts("allow_all", parts, {});
        Refusal right;
        for (std::size_t i = 0; i < parts.size(); ++i) {
            int64_t ns = 0;
            const tb_status s = take_answer(*parts[i].limit, parts[i].n, &ns);
            right.add(s, i, ns);
        }
        tb_refusal refusal = kNoRefusal;
        expect(tb_allow_all(all.data(), all.size(), &refusal), right.status, "tb_allow_all");
        expect_refusal(refusal, right);
        if (right.status != TB_SUCCESS) return;
        const int grant = ++ids_;
        for (const Part &p : parts) {
            p.limit->model.take(p.n * kParts);
            granted_at(p.limit, now_part(), p.n, grant);
        }
    }

    void reserve_all(tb_test::Trace *draws) {
        if (reserved_.size() >= 4) return;
        const std::vector<Part> parts = draw_members(draws);
        const std::vector<tb_member> all = members(parts);
        const int64_t most = draws->pick(kLimits);
        const int grant = ++ids_;
        std::vector<int64_t> waits;
        Refusal right;
        for (std::size_t i = 0; i < parts.size(); ++i) {
            int64_t ns = 0;
            tb_status s = take_answer(*parts[i].limit, parts[i].n, &ns);
            waits.push_back(ns);
            if (s == TB_DENIED) {
                Model tried = parts[i].limit->model;
                s = tried.reserve(grant, parts[i].n * kParts, kForever, &waits.back());
            }
            if (s == TB_SUCCESS && waits.back() > most) s = TB_TIMED_OUT;
            right.add(s, i, waits.back());
        }
        tell_parts("reserve_all", parts, {most});
        tb_refusal refusal = kNoRefusal;
        int64_t wait_ns = -1;
        Reserved r{parts, all, std::vector<tb_reservation>(all.size())};
        expect(tb_reserve_all(all.data(), all.size(), most, r.reservations.data(), &wait_ns, &refusal), right.status,
               "tb_reserve_all");
        expect_refusal(refusal, right);
        if (right.status != TB_SUCCESS || !fault_.empty()) return;
        expect(wait_ns, *std::max_element(waits.begin(), waits.end()), "tb_reserve_all's time");
        for (std::size_t i = 0; i < parts.size(); ++i) {
            Model *const model = &parts[i].limit->model;
            int64_t ns = 0;
            model->reserve(grant, parts[i].n * kParts, kForever, &ns);
            expect(r.reservations[i].wait_ns, ns, "a reservation's time");
            int64_t at = now_part();
            for (const waits_model::Reservation &pending : model->reservations())
                if (pending.id == grant) at = pending.at;
            granted_at(parts[i].limit, at, parts[i].n, grant);
        }
        reserved_[grant] = r;
    }

    void cancel_all(tb_test::Trace *draws) {
        if (reserved_.empty()) return;
        cancel(std::next(reserved_.begin(), static_cast<std::ptrdiff_t>(draws->below(std::ssize(reserved_))))->first);
    }
    void cancel(int grant) {
        Reserved r = reserved_.at(grant);
        reserved_.erase(grant);
        if (r.may_be_void) return;
        tell("cancel_all", {grant});
        expect(tb_cancel_all(r.members.data(), r.members.size(), r.reservations.data()), TB_SUCCESS, "tb_cancel_all");
        bool all_due = true;
        for (const tb_reservation &reservation : r.reservations) all_due = all_due && reservation.ready_at_ns <= now();
        if (all_due) return;
        for (std::size_t i = 0; i < r.parts.size(); ++i) {
            const Part &p = r.parts[i];
            if (r.reservations[i].ready_at_ns <= now()) {
                give_back(p);
            } else {
                p.limit->model.cancel(grant);
                p.limit->ledger.take_out(grant, now_part());
            }
        }
    }

    // As by tb_settle with 0.
    void give_back(const Part &p) {
        if (p.limit->is_closed || p.limit->resets != p.resets) return;
        p.limit->model.refund(p.n * kParts);
        p.limit->ledger.add(Change::put, now_part(), p.n * kParts);
    }

    void enqueue_all(tb_test::Trace *draws) {
        Host host{draw_members(draws), nullptr, 0, draws->pick(kPriorities), 0, false};
        const std::vector<tb_member> all = members(host.parts);
        const int64_t most = draws->pick(kLimits);
        const int id = ++ids_;
        tell_parts("enqueue_all", host.parts, {id, most, host.priority});
        const Refusal right = probe(id, host, most);
        tb_status status = right.status;
        if (status == TB_SUCCESS) status = enter(id, &host, most);
        tb_refusal refusal = kNoRefusal;
        int64_t wait_ns = -1;
        expect(tb_enqueue_all(all.data(), all.size(), most, host.priority, static_cast<uint64_t>(id), &host.all,
                              &wait_ns, &refusal),
               status, "tb_enqueue_all");
        expect_refusal(refusal, right);
        if (status == TB_PENDING) {
            expect(wait_ns, wait_of(id, host), "tb_enqueue_all's time");
            host.knows_ns = now() + wait_ns;
            host.woken = early_.contains(id);
            host.since_ns = now();
            hosts_[id] = host;
        }
    }

    void enqueue(tb_test::Trace *draws) {
        Host host{draw_members(draws), nullptr, 0, draws->pick(kPriorities), 0, false};
        host.parts.erase(host.parts.begin() + 1, host.parts.end());
        const Limit &limit = *host.parts[0].limit;
        const int64_t most = draws->pick(kLimits);
        const int id = ++ids_;
        tell_parts("enqueue", host.parts, {id, most, host.priority});
        tb_status status = probe(id, host, most).status;
        if (status == TB_SUCCESS) status = enter(id, &host, most);
        int64_t wait_ns = -1;
        expect(ask(limit, tb_enqueue, tb_table_enqueue, tokens(host.parts[0].n), most, host.priority,
                   static_cast<uint64_t>(id), &host.number, &wait_ns),
               status, "tb_enqueue");
        if (status == TB_PENDING) {
            host.knows_ns = now() + wait_ns;
            host.woken = early_.contains(id);
            host.since_ns = now();
            hosts_[id] = host;
        }
    }

    static Refusal probe(int id, const Host &host, int64_t most) {
        Refusal refusal;
        for (std::size_t i = 0; i < host.parts.size(); ++i) {
            const Part &p = host.parts[i];
            int64_t ns = 0;
            Model tried = p.limit->model;
            const tb_status s = tried.enter(id, p.n * kParts, most, host.priority, &ns);
            refusal.add(s, i, s == TB_TIMED_OUT ? ns : TB_FOREVER);
        }
        return refusal;
    }
    // TB_SUCCESS or TB_PENDING.
    tb_status enter(int id, Host *host, int64_t most) {
        bool all_have = true;
        for (Part &p : host->parts) {
            int64_t ns = 0;
            p.has = p.limit->model.enter(id, p.n * kParts, most, host->priority, &ns) == TB_SUCCESS;
            p.is_granted = p.has;
            if (p.has) granted_at(p.limit, now_part(), p.n, id);
            all_have = all_have && p.has;
        }
        return all_have ? TB_SUCCESS : TB_PENDING;
    }
    // Until the next of its members grants.
    int64_t wait_of(int id, const Host &host) const {
        int64_t ns = TB_FOREVER;
        for (const Part &p : host.parts)
            if (!p.has) ns = std::min(ns, whole_ns(p.limit->model.find(id)->at) - now());
        return ns;
    }

    void change_one(Op::Kind kind, tb_test::Trace *draws) {
        Limit *const limit =
            &*std::next(limits_.begin(), static_cast<std::ptrdiff_t>(draws->below(std::ssize(limits_))));
        const int64_t n = draws->pick(kAmounts);
        const int64_t capacity = draws->pick(kCapacities);
        tell(kind == Op::take     ? "take"
             : kind == Op::charge ? "charge"
             : kind == Op::refund ? "refund"
             : kind == Op::reset  ? "reset"
                                  : "set_capacity",
             {index(limit), kind == Op::set_capacity ? capacity : n});
        int64_t *const any = nullptr;
        tb_status right = limit->is_closed ? TB_CLOSED : TB_SUCCESS;
        tb_status s = right;
        if (kind == Op::take) {
            int64_t ns = 0;
            right = take_answer(*limit, n, &ns);
            s = ask(*limit, tb_allow, tb_table_allow, tokens(n));
            if (right == TB_SUCCESS) {
                limit->model.take(n * kParts);
                granted_at(limit, now_part(), n, ++ids_);
            }
        } else if (kind == Op::charge) {
            s = ask(*limit, tb_charge, tb_table_charge, tokens(n), any);
            if (right != TB_SUCCESS) return expect(s, right, "a charge");
            limit->ledger.add(Change::spend, now_part(), n * kParts);
            limit->model.charge(n * kParts);
        } else if (kind == Op::refund) {
            s = ask(*limit, tb_refund, tb_table_refund, tokens(n));
            if (right != TB_SUCCESS) return expect(s, right, "a refund");
            limit->ledger.add(Change::put, now_part(), n * kParts);
            limit->model.refund(n * kParts);
        } else if (kind == Op::reset) {
            const int64_t most = limit->model.capacity() / kParts;
            const int64_t kept = limit->table >= 0 ? most : std::min(n, most);
            s = limit->table >= 0 ? tb_table_remove(limit->member.table, limit->member.key, limit->member.key_size)
                                  : tb_reset(limit->member.bucket, tokens(kept));
            if (right != TB_SUCCESS) return expect(s, right, "a reset");
            ++limit->resets;
            limit->ledger.take_out_all_after(now_part());
            limit->ledger.add(Change::set, now_part(), kept * kParts);
            limit->model.reset(kept * kParts);
        } else if (limit->table < 0) {
            s = tb_set_capacity(limit->member.bucket, tokens(capacity));
            if (right != TB_SUCCESS) return expect(s, right, "a capacity");
            limit->is_steady = false;
            limit->ledger.add(Change::set_capacity, now_part(), capacity * kParts);
            limit->model.set_capacity(capacity * kParts);
        }
        expect(s, right, "a take or change");
    }

    void set_rate(tb_test::Trace *draws) {
        const Limit &chosen =
            *std::next(limits_.begin(), static_cast<std::ptrdiff_t>(draws->below(std::ssize(limits_))));
        const int64_t rate = draws->pick(kRates);
        tell("set_rate", {index(&chosen), rate});
        const double per_second = static_cast<double>(rate);
        const tb_status s = chosen.table < 0 ? tb_set_rate(chosen.member.bucket, per_second)
                                             : tb_table_set_rate(chosen.member.table, per_second);
        expect(s, chosen.is_closed ? TB_CLOSED : TB_SUCCESS, "a rate");
        for (Limit &limit : limits_) {
            if (!is_same(limit, chosen) || limit.is_closed) continue;
            limit.is_steady = false;
            if (limit.rate != rate) limit.ledger.round_all_after(now_part());
            limit.rate = rate;
            limit.ledger.add(Change::set_rate, now_part(), rate);
            limit.model.set_rate(rate);
        }
    }
    // The bucket, or a key of the same table.
    static bool is_same(const Limit &limit, const Limit &chosen) {
        return chosen.table < 0 ? &limit == &chosen : limit.table == chosen.table;
    }

    void close(tb_test::Trace *draws) {
        if (!draws->one_in(6)) return;
        const Limit &chosen =
            *std::next(limits_.begin(), static_cast<std::ptrdiff_t>(draws->below(std::ssize(limits_))));
        tell("close", {index(&chosen)});
        grant_due();
        expect(chosen.table < 0 ? tb_close(chosen.member.bucket) : tb_table_close(chosen.member.table), TB_SUCCESS,
               "a close");
        for (Limit &limit : limits_) {
            if (!is_same(limit, chosen)) continue;
            if (!limit.is_closed) limit.model.close();
            limit.is_closed = true;
        }
    }

    void advance(int64_t to_ns) {
        tell("@", {to_ns});
        now_ns_ = to_ns;
        for (Limit &limit : limits_) limit.model.look(to_ns);
        expect(tb_manual_clock_set(clock_.get(), to_ns), TB_SUCCESS, "the clock");
    }

    // ---- Those who wait

    void wake(int id) {
        const auto found = hosts_.find(id);
        if (found == hosts_.end()) return early_.insert(id), void();
        Host &host = found->second;
        if (!host.woken) host.woken_ns = now();
        host.woken = true;
    }

    // What has happened to a part and was not collected.
    static bool has_news(int id, const Part &p) {
        const waits_model::Waiter *const w = p.limit->model.find(id);
        return w != nullptr && (w->state == State::due || w->state == State::ended);
    }
    static bool is_refused(int id, const Part &p, bool of_several) {
        if (of_several && p.limit->is_closed) return true;
        const waits_model::Waiter *const w = p.limit->model.find(id);
        return w != nullptr && w->state == State::ended && w->outcome != TB_SUCCESS;
    }
    static bool is_refused(int id, const Host &host) {
        return std::any_of(host.parts.begin(), host.parts.end(),
                           [&](const Part &p) { return is_refused(id, p, host.all != nullptr); });
    }

    // Whoever is woken comes, in turn from the first or from the last.
    void come() {
        from_the_last_ = !from_the_last_;
        while (fault_.empty()) {
            int next = 0;
            for (const auto &[id, host] : hosts_) {
                if (!host.woken && host.knows_ns > now()) continue;
                if (next == 0 || from_the_last_) next = id;
            }
            if (next == 0) break;
            check(next);
            compare();
        }
        check_order();
    }

    void check(int id) {
        Host &host = hosts_.at(id);
        tell("check", {id});
        host.woken = false;
        int64_t wait_ns = -1;
        tb_refusal refusal = kNoRefusal;
        const bool refused = is_refused(id, host);
        std::set<tb_status> answers;
        std::set<int32_t> by;
        if (refused) {
            for (std::size_t i = 0; i < host.parts.size(); ++i) {
                if (!is_refused(id, host.parts[i], host.all != nullptr)) continue;
                by.insert(static_cast<int32_t>(i));
                const waits_model::Waiter *const w = host.parts[i].limit->model.find(id);
                const bool ended_before = w != nullptr && w->state == State::ended && w->outcome != TB_SUCCESS;
                answers.insert(ended_before ? w->outcome : TB_CLOSED);
            }
            give_up(id, &host);
        } else {
            answers = {collect(id, &host)};
        }
        const tb_status s = host.all != nullptr ? tb_waiter_all_check(host.all, &wait_ns, &refusal)
                                                : ask(*host.parts[0].limit, tb_waiter_check, tb_table_waiter_check,
                                                      host.number, &wait_ns);
        if (!answers.contains(s)) expect(s, *answers.begin(), "a waiter's check");
        if (host.all != nullptr && refused && !by.contains(refusal.member)) fail("the wrong member is named");
        if (answers.contains(TB_PENDING)) {
            expect(wait_ns, wait_of(id, host), "a waiter's time");
            host.knows_ns = now() + wait_ns;
            return;
        }
        if (answers.contains(TB_SUCCESS)) {
            expect(wait_ns, 0, "the time of one that has got all");
            if (host.all == nullptr) served_.push_back({id, host.parts[0].limit, host.priority, host.woken_ns});
            if (host.parts.size() > 1) ++granted_;
        }
        if (host.all != nullptr) expect_same(host.all, s, refusal);
        tb_waiter_all_leave(host.all);
        hosts_.erase(id);
    }
    void expect_same(tb_waiter_all *all, tb_status answer, const tb_refusal &by) {
        int64_t wait_ns = -1;
        tb_refusal refusal = kNoRefusal;
        expect(tb_waiter_all_check(all, &wait_ns, &refusal), answer, "a second check");
        expect(refusal.member, by.member, "the member in a second check");
        expect(refusal.retry_after_ns, by.retry_after_ns, "its time in a second check");
    }
    // Takes what is due.
    tb_status collect(int id, Host *host) {
        bool all_have = true;
        for (Part &p : host->parts) {
            if (!p.has && has_news(id, p)) {
                int64_t ns = 0;
                p.has = p.limit->model.check(id, &ns) == TB_SUCCESS;
                p.resets = p.limit->resets;
            }
            all_have = all_have && p.has;
        }
        return all_have ? TB_SUCCESS : TB_PENDING;
    }
    void give_up(int id, Host *host) {
        for (Part &p : host->parts) {
            const waits_model::Waiter *const w = p.limit->model.find(id);
            if (p.has) {
                give_back(p);
            } else if (w != nullptr && w->state == State::ended) {
                int64_t ns = 0;
                p.limit->model.check(id, &ns);
            } else {
                p.limit->model.leave(id);
                p.limit->ledger.take_out(id, -1);
            }
        }
    }
    void leave(int id) {
        Host host = hosts_.at(id);
        tell("leave", {id});
        hosts_.erase(id);
        give_up(id, &host);
        if (host.all != nullptr) return tb_waiter_all_leave(host.all);
        expect(ask(*host.parts[0].limit, tb_waiter_leave, tb_table_waiter_leave, host.number), TB_SUCCESS,
               "tb_waiter_leave");
    }

    // Nobody of a higher priority, or of the same and who came before, waits there since before it was woken.
    void check_order() {
        for (const Served &s : served_)
            for (const auto &[id, host] : hosts_) {
                if (host.all != nullptr || host.woken || host.parts[0].limit != s.limit) continue;
                const bool before = host.priority > s.priority || (host.priority == s.priority && id < s.id);
                if (before && host.since_ns < s.woken_ns)
                    fail(std::to_string(s.id) + " is served before " + std::to_string(id));
            }
        served_.clear();
    }

    // ---- Comparing

    int64_t next_due() const {
        int64_t next = TB_FOREVER;
        for (const Limit &limit : limits_)
            if (const waits_model::Waiter *const w = limit.model.first()) next = std::min(next, whole_ns(w->at));
        return next;
    }

    // The cancelling of what is not there: the library looks at the queue. Until then takes that use what would have
    // overflowed before a reservation count twice.
    static void look(const Limit &limit) {
        tb_reservation none{1, 1, 1, 0};
        ask(limit, tb_cancel, tb_table_cancel, &none);
    }

    void grant_due() {
        for (auto &[id, host] : hosts_)
            for (Part &p : host.parts) {
                const waits_model::Waiter *const w = p.limit->model.find(id);
                if (p.is_granted || w == nullptr || w->state != State::due) continue;
                p.is_granted = true;
                granted_at(p.limit, w->due_at, p.n, id);
            }
    }

    void compare() {
        grant_due();
        int64_t waiting = 0;
        for (Limit &limit : limits_) {
            look(limit);
            double left = 0;
            expect(ask(limit, tb_available, tb_table_available, &left), TB_SUCCESS, "tb_available");
            if (std::llround(left * static_cast<double>(kToken)) != limit.model.available() / kParts)
                expect(std::llround(left * static_cast<double>(kToken)), limit.model.available() / kParts,
                       ("the tokens of " + std::to_string(index(&limit))).c_str());
            waiting += limit.model.count(State::waiting);
            if (limit.table >= 0 && limit.model.available() == limit.model.capacity()) forget(&limit);
        }
        expect(tb_test::waiting(clock_.get()), waiting, "the number of those who wait");
        expect(tb_test::next_due(clock_.get()), next_due(), "the time of the next");
        for (const auto &[id, host] : hosts_) {
            if (host.woken) continue;
            for (const Part &p : host.parts) {
                const waits_model::Waiter *const w = p.limit->model.find(id);
                if (has_news(id, p) || is_refused(id, p, host.all != nullptr))
                    fail("not woken, though something has happened: " + std::to_string(id));
                if (w != nullptr && w == p.limit->model.first() && whole_ns(w->at) < host.knows_ns)
                    fail("not woken, though it is due earlier: " + std::to_string(id));
            }
        }
    }
    // A key that is full may lose its place, and with it what of a reservation is due.
    void forget(const Limit *limit) {
        for (auto &[grant, r] : reserved_)
            for (const Part &p : r.parts) r.may_be_void = r.may_be_void || p.limit == limit;
    }

    // When all have left nothing is lost, and no window holds too much.
    void finish() {
        while (!hosts_.empty() && fault_.empty()) {
            leave(hosts_.begin()->first);
            compare();
            come();
        }
        while (!reserved_.empty() && fault_.empty()) {
            cancel(reserved_.begin()->first);
            compare();
        }
        if (!fault_.empty()) return;
        for (Limit &limit : limits_) {
            for (const waits_model::Reservation &r : limit.model.reservations())
                now_ns_ = std::max(now_ns_, whole_ns(r.at));
        }
        advance(now());
        compare();
        for (const Limit &limit : limits_) {
            double left = 0;
            expect(ask(limit, tb_available, tb_table_available, &left), TB_SUCCESS, "tb_available");
            expect(std::llround(left * static_cast<double>(kToken)), limit.ledger.level(now_part()) / kParts,
                   ("what is left of " + std::to_string(index(&limit))).c_str());
            const int64_t most = limit.model.capacity() + (limit.rate + 1) * kParts;
            if (limit.is_steady && limit.ledger.most_in_a_window() > most)
                fail("a window of " + std::to_string(index(&limit)) + " holds too much");
        }
    }

    struct Served {
        int id;
        const Limit *limit;
        int32_t priority;
        int64_t woken_ns;
    };

    const tb_test::ClockHandle clock_ = tb_test::manual_clock();
    std::vector<tb_test::BucketHandle> buckets_;
    std::vector<tb_test::TableHandle> tables_;
    std::list<Limit> limits_;
    std::map<int, Host> hosts_;
    std::set<int> early_;  // woken before the call that made them has returned
    std::map<int, Reserved> reserved_;
    std::vector<Served> served_;
    int64_t now_ns_ = 0;
    bool from_the_last_ = false;
    int ids_ = 0;
    int64_t granted_ = 0;
    std::string fault_;
    std::string story_;
};

const std::vector<Op::Kind> kKinds{Op::allow_all,   Op::allow_all,   Op::reserve_all, Op::cancel_all,   Op::enqueue_all,
                                   Op::enqueue_all, Op::enqueue_all, Op::enqueue_all, Op::enqueue_all,  Op::enqueue,
                                   Op::enqueue,     Op::enqueue,     Op::leave,       Op::take,         Op::charge,
                                   Op::refund,      Op::reset,       Op::set_rate,    Op::set_capacity, Op::close,
                                   Op::advance,     Op::advance,     Op::to_next,     Op::to_next,      Op::to_next};

TEST(LimitsModel, AgreesInRandomTraces) {
    const uint64_t steps = support::effort("TB_LIMITS_STEPS", 400000, 20000);
    const uint64_t seed = support::effort("TB_SEED", 20251129, 20251129);
    tb_test::Trace dice(seed);
    uint64_t done = 0, granted = 0;
    for (int i = 0; done < steps; ++i) {
        Case c{dice.draw(), {}};
        for (int64_t left = dice.between(20, 100); left > 0; --left) c.ops.push_back({dice.pick(kKinds), dice.draw()});
        const Trial trial(c);
        if (!trial.fault().empty()) {
            const auto fault_of = [&](const std::vector<Op> &ops) { return Trial({c.limits, ops}).fault(); };
            const Trial least({c.limits, tb_test::shrunk(c.ops, fault_of, 8)});
            FAIL() << least.fault() << "\n" << least.story() << "trace " << i << ", seed " << seed;
        }
        done += c.ops.size();
        granted += static_cast<uint64_t>(trial.granted());
    }
    std::cout << done << " steps, " << granted << " waits for several members granted, seed " << seed << "\n";
    EXPECT_GT(granted, steps / 100);
}

}  // namespace
