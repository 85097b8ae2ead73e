// Where a server listens, and as whom to log in.
#ifndef TOKENBUCKET_CAPI_REDIS_SRC_ENDPOINT_H
#define TOKENBUCKET_CAPI_REDIS_SRC_ENDPOINT_H

#include <tokenbucket.h>

#include <cstdint>

#include "capi/redis/src/memory.h"

namespace tb::redis {

struct Endpoint {
    // Reads "unix:PATH", "HOST:PORT" or "[IPv6]:PORT" and copies the texts, of which the last two may be null. Called
    // once. TB_E_INVALID_ARGUMENT: no such address. TB_E_OUT_OF_MEMORY.
    tb_status init(const char *address, const char *user_name, const char *password_text, int32_t database_number);

    const char *path = nullptr;  // of a Unix socket; else null
    const char *host = nullptr;
    int port = 0;
    Text user;
    Text password;
    int32_t database = 0;

  private:
    bool read(char *address);

    Text address_;  // which path and host point into
};

}  // namespace tb::redis

#endif
