// Takes of several keys, of limiters on one server.
#ifndef TOKENBUCKET_CAPI_REDIS_SRC_MANY_H
#define TOKENBUCKET_CAPI_REDIS_SRC_MANY_H

#include <tokenbucket_redis.h>

#include <cstddef>

namespace tb::redis {

// As tb_redis_take_many and tb_redis_take_all, for a count in range and an output that is not null.
tb_status take_many(const tb_redis_member *members, std::size_t count, tb_decision *decisions);
tb_status take_all(const tb_redis_member *members, std::size_t count, tb_refusal *refusal);

}  // namespace tb::redis

#endif
