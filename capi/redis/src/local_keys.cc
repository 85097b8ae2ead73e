#include "capi/redis/src/local_keys.h"

#include <algorithm>
#include <cstring>

namespace tb::redis {

LocalKeys::LocalKeys(int64_t lease) : lease_(lease), entries_{} {
    ::pthread_mutex_init(&lock_, nullptr);
}

// What is held is the parent's.
void LocalKeys::follow_fork() {
    process_.follow([this] {
        ::pthread_mutex_init(&lock_, nullptr);
        uses_ = 0;
        std::fill(std::begin(entries_), std::end(entries_), Entry{});
    });
}

LocalKeys::Entry *LocalKeys::set_of(std::string_view key) {
    uint64_t hash = 0xcbf29ce484222325;
    for (const char c : key) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return entries_ + (hash ^ hash >> 32) % kSets * kWays;
}

LocalKeys::Entry *LocalKeys::find(std::string_view key) {
    Entry *const set = set_of(key);
    for (Entry *e = set; e < set + kWays; ++e) {
        if (e->last_use != 0 && std::string_view(e->key, e->key_size) == key) {
            e->last_use = ++uses_;
            return e;
        }
    }
    return nullptr;
}

// Null: the key is too long, or all that share its place are being filled.
LocalKeys::Entry *LocalKeys::find_or_make(std::string_view key) {
    if (key.size() > kMostKeySize) return nullptr;
    if (Entry *const there = find(key)) return there;
    Entry *const set = set_of(key);
    Entry *oldest = nullptr;
    for (Entry *e = set; e < set + kWays; ++e)
        if (!e->is_filling && (oldest == nullptr || e->last_use < oldest->last_use)) oldest = e;
    if (oldest == nullptr) return nullptr;
    *oldest = {++uses_, 0, false, key.size(), {}, {}};
    std::copy(key.begin(), key.end(), oldest->key);
    return oldest;
}

LocalKeys::Spending LocalKeys::spend(std::string_view key, int64_t n, int64_t *amount) {
    follow_fork();
    const LockGuard hold(&lock_);
    Entry *const e = find_or_make(key);
    if (e == nullptr) return Spending::must_ask;
    if (e->held >= n) {
        *amount = e->held -= n;
        return Spending::spent;
    }
    if (e->is_filling) return Spending::must_ask;
    e->is_filling = true;
    *amount = lease_ - e->held;
    return Spending::must_fill;
}

bool LocalKeys::filled(std::string_view key, int64_t taken, int64_t n, int64_t *left) {
    follow_fork();
    const LockGuard hold(&lock_);
    Entry *const e = find(key);  // which has kept its place
    e->is_filling = false;
    e->held += taken;
    if (e->held < n) return false;
    *left = e->held -= n;
    return true;
}

bool LocalKeys::is_denied(std::string_view key, double n, int64_t now_ns, Denial *denial) {
    follow_fork();
    const LockGuard hold(&lock_);
    const Entry *const e = find(key);
    if (e == nullptr || n < e->denial.n || now_ns >= e->denial.until_ns) return false;
    *denial = e->denial;
    return true;
}

void LocalKeys::deny(std::string_view key, const Denial &denial) {
    follow_fork();
    const LockGuard hold(&lock_);
    if (Entry *const e = find_or_make(key)) e->denial = denial;
}

bool LocalKeys::take_out(char *key, std::size_t *key_size, int64_t *held) {
    follow_fork();
    const LockGuard hold(&lock_);
    for (Entry &e : entries_) {
        if (e.held == 0) continue;
        std::copy_n(e.key, e.key_size, key);
        *key_size = e.key_size;
        *held = e.held;
        e.held = 0;
        return true;
    }
    return false;
}

}  // namespace tb::redis
