// What a process knows of keys without asking: tokens that it has leased, and until when a key is denied.
#ifndef TOKENBUCKET_CAPI_REDIS_SRC_LOCAL_KEYS_H
#define TOKENBUCKET_CAPI_REDIS_SRC_LOCAL_KEYS_H

#include <pthread.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "capi/redis/src/process.h"

namespace tb::redis {

// A denial that the server has told: the bucket holds less than n until until_ns, and is full at full_ns.
struct Denial {
    double n;
    int64_t until_ns;
    int64_t full_ns;
};

// Room for 1024 keys of at most 128 bytes; of 8 that share a place the one that was not used for longest makes room. A
// key that does not fit is answered as one of which nothing is known.
class LocalKeys {
  public:
    // The most tokens held of a key, 0: none.
    explicit LocalKeys(int64_t lease);
    ~LocalKeys() { ::pthread_mutex_destroy(&lock_); }
    LocalKeys(const LocalKeys &) = delete;
    LocalKeys &operator=(const LocalKeys &) = delete;

    // Spends n tokens of what is held of a key. must_fill: the caller, and no other thread, is to take up to *amount
    // for it and call filled(), also with 0; so what is held, and what is taken for it, is never more than the lease.
    enum class Spending { spent, must_fill, must_ask };
    Spending spend(std::string_view key, int64_t n, int64_t *amount);
    // Adds what was taken and spends n of it, if there is enough. *left: what is held then.
    bool filled(std::string_view key, int64_t taken, int64_t n, int64_t *left);

    // Is the key known to be denied n tokens now?
    bool is_denied(std::string_view key, double n, int64_t now_ns, Denial *denial);
    void deny(std::string_view key, const Denial &denial);

    // A key of which something is held, which is then no longer; false: there is none. The key has room for
    // kMostKeySize bytes.
    bool take_out(char *key, std::size_t *key_size, int64_t *held);

    static constexpr std::size_t kMostKeySize = 128;

  private:
    static constexpr std::size_t kSets = 128;
    static constexpr std::size_t kWays = 8;

    // One with last_use 0 is free.
    struct Entry {
        uint64_t last_use;
        int64_t held;
        bool is_filling;
        std::size_t key_size;
        Denial denial;
        char key[kMostKeySize];
    };

    void follow_fork();
    Entry *find(std::string_view key);
    Entry *find_or_make(std::string_view key);
    Entry *set_of(std::string_view key);

    const int64_t lease_;
    ProcessCheck process_;
    pthread_mutex_t lock_;
    // Under the lock.
    uint64_t uses_ = 0;
    Entry entries_[kSets * kWays];
};

}  // namespace tb::redis

#endif
