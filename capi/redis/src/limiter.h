// One limit and its keys on a server.
#ifndef TOKENBUCKET_CAPI_REDIS_SRC_LIMITER_H
#define TOKENBUCKET_CAPI_REDIS_SRC_LIMITER_H

#include <tokenbucket_redis.h>

#include <string_view>

#include "capi/redis/src/fallback.h"
#include "capi/redis/src/key.h"
#include "capi/redis/src/local_keys.h"
#include "capi/redis/src/server.h"

namespace tb::redis {

// The answer is looked at if there is one: TB_SUCCESS, TB_DENIED.
tb_decision to_decision(tb_status status, const tb_remote_answer &answer);

// The functions do what those of the header do, with outputs that are not null, but for repaid_after_ns.
class Limiter {
  public:
    explicit Limiter(Server *server) : server_(*server) {}
    ~Limiter();
    Limiter(const Limiter &) = delete;
    Limiter &operator=(const Limiter &) = delete;

    // Called once; the config is whole.
    tb_status init(const tb_config *limit, const tb_redis_limiter_config &config);

    tb_status take(const void *key, size_t key_size, double n, tb_decision *decision);
    tb_status take_up_to(const void *key, size_t key_size, double most, double *taken);
    tb_status wait_for(const void *key, size_t key_size, double n, int64_t timeout_ns);
    tb_status reserve(const void *key, size_t key_size, double n, int64_t max_wait_ns, tb_reservation *reservation);
    tb_status cancel(const void *key, size_t key_size, tb_reservation *reservation);
    tb_status settle(const void *key, size_t key_size, tb_reservation *reservation, double actual);
    tb_status charge(const void *key, size_t key_size, double n, int64_t *repaid_after_ns);
    tb_status refund(const void *key, size_t key_size, double n);
    tb_status reset(const void *key, size_t key_size, double tokens);
    tb_status peek(const void *key, size_t key_size, double n, tb_remote_answer *answer);

    Server &server() { return server_; }
    Fallback &fallback() { return fallback_; }
    const tb_remote *remote() const { return remote_; }
    tb_status key_on_server(const void *key, size_t key_size, KeyBytes *out) const {
        return make_key(prefix(), key, key_size, out);
    }

  private:
    struct Call;

    std::string_view prefix() const { return prefix_.view(); }
    bool may_be_leased(double n) const;
    // `name` is the caller's key, `key` the one on the server.
    tb_status take_from_lease(std::string_view name, const KeyBytes &key, int64_t n, tb_decision *decision);
    tb_status take_from_bucket(std::string_view name, const KeyBytes &key, double n, tb_decision *decision);
    tb_decision repeated(const Denial &denial, double n, int64_t now) const;
    tb_status ask_up_to(const KeyBytes &key, double most, double *taken);
    void return_leases();

    Server &server_;
    KeyBytes prefix_;
    tb_remote *remote_ = nullptr;
    Fallback fallback_;
    double tokens_per_ns_ = 0;
    bool caches_denials_ = false;
    int64_t lease_ = 0;
    LocalKeys *keys_ = nullptr;  // if there are leases or cached denials
};

}  // namespace tb::redis

#endif
