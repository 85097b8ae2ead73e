// What the opaque handles point to.
#ifndef TOKENBUCKET_CAPI_REDIS_SRC_HANDLES_H
#define TOKENBUCKET_CAPI_REDIS_SRC_HANDLES_H

#include <tokenbucket_redis.h>

#include "capi/redis/src/endpoint.h"
#include "capi/redis/src/limiter.h"
#include "capi/redis/src/server.h"

struct tb_redis {
    explicit tb_redis(const tb::redis::Server::Options &options) : server(&endpoint, options) {}

    tb::redis::Endpoint endpoint;
    tb::redis::Server server;
};

struct tb_redis_limiter {
    explicit tb_redis_limiter(tb_redis *its_server) : limiter(&its_server->server) {}

    tb::redis::Limiter limiter;
};

#endif
