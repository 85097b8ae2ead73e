#include "capi/redis/src/many.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "capi/redis/src/handles.h"

namespace tb::redis {
namespace {

// `count` objects without a constructor; null if there is no memory.
template <class T>
class Array {
  public:
    explicit Array(std::size_t count) : data_(static_cast<T *>(std::malloc(count * sizeof(T)))) {}
    ~Array() { std::free(data_); }
    Array(const Array &) = delete;
    Array &operator=(const Array &) = delete;

    T *get() { return data_; }
    T &operator[](std::size_t i) { return data_[i]; }
    explicit operator bool() const { return data_ != nullptr; }

  private:
    T *const data_;
};

// Members as the server's script has them, with their keys on the server.
class RemoteMembers {
  public:
    explicit RemoteMembers(std::size_t count) : members_(count), keys_(count) {}
    ~RemoteMembers() {
        for (std::size_t i = 0; i < size_; ++i) keys_[i].~KeyBytes();
    }
    RemoteMembers(const RemoteMembers &) = delete;
    RemoteMembers &operator=(const RemoteMembers &) = delete;

    tb_status add(const tb_redis_member &m) {
        if (!members_ || !keys_) return TB_E_OUT_OF_MEMORY;
        KeyBytes *const key = new (&keys_[size_]) KeyBytes;
        ++size_;
        const tb_status s = m.limiter->limiter.key_on_server(m.key, m.key_size, key);
        members_[size_ - 1] = {m.limiter->limiter.remote(), key->view().data(), key->size(), m.n};
        return s;
    }
    tb_remote_member *get() { return members_.get(); }
    std::size_t size() const { return size_; }

  private:
    Array<tb_remote_member> members_;
    Array<KeyBytes> keys_;
    std::size_t size_ = 0;
};

// TB_SUCCESS: the amount is one that the bucket can hold.
tb_status check(const tb_redis_member &m) {
    int64_t arguments[TB_REMOTE_MAX_ARGUMENTS];
    size_t count = 0;
    return tb_remote_take(m.limiter->limiter.remote(), m.n, arguments, &count);
}

bool have_one_server(const tb_redis_member *members, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i)
        if (members[i].limiter == nullptr ||
            &members[i].limiter->limiter.server() != &members[0].limiter->limiter.server())
            return false;
    return true;
}

bool any_has_policy(const tb_redis_member *members, std::size_t count, int32_t policy) {
    return std::any_of(members, members + count,
                       [=](const tb_redis_member &m) { return m.limiter->limiter.fallback().policy() == policy; });
}

// Where the server is unavailable and no policy is TB_REDIS_ERROR. What can never be granted has its decision.
void decide_without_server(const tb_redis_member *members, std::size_t count, tb_decision *decisions) {
    for (std::size_t i = 0; i < count; ++i) {
        if (decisions[i].status == TB_EXCEEDS_CAPACITY) continue;
        KeyBytes key;
        Limiter &limiter = members[i].limiter->limiter;
        tb_status s = limiter.key_on_server(members[i].key, members[i].key_size, &key);
        if (s == TB_SUCCESS) s = limiter.fallback().take(key.view(), members[i].n, &decisions[i]);
        decisions[i].status = s;
    }
}

// The same for all members in one decision.
tb_status decide_all_without_server(const tb_redis_member *members, tb_remote_member *remotes, std::size_t count,
                                    tb_refusal *refusal) {
    if (any_has_policy(members, count, TB_REDIS_ERROR)) return TB_E_UNAVAILABLE;
    tb_member local[TB_MAX_MEMBERS];
    int32_t places[TB_MAX_MEMBERS];
    std::size_t local_count = 0;
    for (std::size_t i = 0; i < count; ++i) {
        const Fallback &fallback = members[i].limiter->limiter.fallback();
        if (fallback.policy() == TB_REDIS_CLOSED) {
            *refusal = {static_cast<int32_t>(i), 0, fallback.denial().retry_after_ns};
            return TB_DENIED;
        }
        if (fallback.policy() != TB_REDIS_LOCAL) continue;
        places[local_count] = static_cast<int32_t>(i);
        local[local_count++] = {nullptr, fallback.table(), remotes[i].key, remotes[i].key_size, members[i].n};
    }
    if (local_count == 0) return TB_SUCCESS;
    const tb_status s = tb_allow_all(local, local_count, refusal);
    if (s < TB_SUCCESS || s == TB_SUCCESS) return s;
    const int32_t refused = places[refusal->member];
    const tb_decision denial = members[refused].limiter->limiter.fallback().denial();
    *refusal = {refused, 0, s == TB_DENIED ? refusal->retry_after_ns : denial.retry_after_ns};
    return TB_DENIED;
}

}  // namespace

tb_status take_many(const tb_redis_member *members, std::size_t count, tb_decision *decisions) {
    if (!have_one_server(members, count)) return TB_E_INVALID_ARGUMENT;
    RemoteMembers remotes(count);
    Array<std::size_t> places(count);
    Array<tb_status> statuses(count);
    Array<tb_remote_answer> answers(count);
    Array<tb_decision> found(count);
    if (!places || !statuses || !answers || !found) return TB_E_OUT_OF_MEMORY;
    for (std::size_t i = 0; i < count; ++i) {
        const tb_status s = check(members[i]);
        found[i] = {s, 0, 0, TB_FOREVER, 0};
        if (s == TB_EXCEEDS_CAPACITY) continue;
        if (s != TB_SUCCESS) return s;
        places[remotes.size()] = i;
        if (const tb_status added = remotes.add(members[i]); added != TB_SUCCESS) return added;
    }
    if (remotes.size() > 0) {
        Question q{remotes.get(), remotes.size()};
        q.statuses = statuses.get();
        q.answers = answers.get();
        members[0].limiter->limiter.server().ask(&q);
        if (q.status == TB_SUCCESS) {
            for (std::size_t i = 0; i < remotes.size(); ++i) found[places[i]] = to_decision(statuses[i], answers[i]);
        } else if (q.status == TB_E_UNAVAILABLE && !any_has_policy(members, count, TB_REDIS_ERROR)) {
            decide_without_server(members, count, found.get());
        } else {
            return q.status;
        }
    }
    std::copy_n(found.get(), count, decisions);
    return TB_SUCCESS;
}

tb_status take_all(const tb_redis_member *members, std::size_t count, tb_refusal *refusal) {
    if (!have_one_server(members, count)) return TB_E_INVALID_ARGUMENT;
    RemoteMembers remotes(count);
    for (std::size_t i = 0; i < count; ++i)
        if (const tb_status s = remotes.add(members[i]); s != TB_SUCCESS) return s;

    int64_t arguments[5 * TB_MAX_MEMBERS + 1], reply[3 * TB_MAX_MEMBERS];
    Question q{remotes.get(), count, arguments};
    q.reply = reply;
    q.reply_room = 3 * TB_MAX_MEMBERS;
    const tb_status asked = tb_remote_take_all(remotes.get(), count, arguments, &q.argument_count);
    if (asked == TB_EXCEEDS_CAPACITY) {
        int32_t first = 0;
        while (check(members[first]) == TB_SUCCESS) ++first;
        *refusal = {first, 0, TB_FOREVER};
    }
    if (asked != TB_SUCCESS) return asked;

    members[0].limiter->limiter.server().ask(&q);
    if (q.status == TB_E_UNAVAILABLE) return decide_all_without_server(members, remotes.get(), count, refusal);
    if (q.status != TB_SUCCESS) return q.status;
    tb_status statuses[TB_MAX_MEMBERS];
    tb_remote_answer answers[TB_MAX_MEMBERS];
    const tb_status s =
        tb_remote_read_many(remotes.get(), count, arguments, q.argument_count, reply, q.reply_count, statuses, answers);
    if (s == TB_DENIED) {
        const auto sooner = [](const tb_remote_answer &a, const tb_remote_answer &b) {
            return a.retry_after_ns < b.retry_after_ns;
        };
        const tb_remote_answer *const last = std::max_element(answers, answers + count, sooner);
        *refusal = {static_cast<int32_t>(last - answers), 0, last->retry_after_ns};
    }
    return s == TB_E_INVALID_ARGUMENT ? TB_E_UNAVAILABLE : s;
}

}  // namespace tb::redis
