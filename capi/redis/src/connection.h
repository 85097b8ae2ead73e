// A connection to a server, by hiredis, with one absolute deadline for each operation. hiredis connects, reads and
// takes replies apart. It does not write, since it would raise SIGPIPE, nor wait, since its time limit is for each
// system call and a server that sends byte by byte would stretch it.
#ifndef TOKENBUCKET_CAPI_REDIS_SRC_CONNECTION_H
#define TOKENBUCKET_CAPI_REDIS_SRC_CONNECTION_H

#include <cstddef>
#include <cstdint>

#include "capi/redis/src/endpoint.h"
#include "capi/redis/src/memory.h"

struct redisContext;
struct redisReply;

namespace tb::redis {

// What failed, in words.
struct Failure {
    char text[160] = "";

    void set(const char *what, const char *why);
};

// For one thread at a time. What fails closes the connection: a reply that comes late is never taken for another's.
class Connection {
  public:
    enum class Opened { already, now, failed };

    explicit Connection(const Endpoint *endpoint) : endpoint_(*endpoint) {}
    ~Connection() { close(); }
    Connection(const Connection &) = delete;
    Connection &operator=(const Connection &) = delete;

    // Connects and logs in, unless there is a connection that the server has not closed.
    Opened open(int64_t deadline_ns, Failure *failure);
    bool send(const Bytes &bytes, int64_t deadline_ns, Failure *failure);
    // The next reply, for freeReplyObject; null: failed.
    redisReply *receive(int64_t deadline_ns, Failure *failure);

    void close();
    // In a forked child: closes the descriptor and leaves the rest, which the parent may have been changing.
    void forget();

  private:
    bool is_alive() const;
    bool connect(int64_t deadline_ns, Failure *failure);
    bool log_in(int64_t deadline_ns, Failure *failure);
    bool fail(Failure *failure, const char *what, const char *why);

    const Endpoint &endpoint_;
    redisContext *context_ = nullptr;
};

}  // namespace tb::redis

#endif
