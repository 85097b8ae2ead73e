#include "capi/redis/src/connection.h"

#include <errno.h>
#include <fcntl.h>
#include <hiredis.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "capi/redis/src/process.h"
#include "capi/redis/src/wire.h"

namespace tb::redis {
namespace {

// Until the descriptor is ready or the time is over: 0, or the number of what is wrong.
int wait_until_ready(int descriptor, short events, int64_t deadline_ns) {
    for (;;) {
        const int64_t left_ns = deadline_ns - now_ns();
        if (left_ns <= 0) return ETIMEDOUT;
        pollfd ready{descriptor, events, 0};
        const int n = ::poll(&ready, 1, static_cast<int>((left_ns + 999999) / 1000000));
        if (n > 0) return 0;
        if (n < 0 && errno != EINTR) return errno;
    }
}

}  // namespace

void Failure::set(const char *what, const char *why) {
    std::snprintf(text, sizeof text, "%s: %s", what, why);
}

bool Connection::fail(Failure *failure, const char *what, const char *why) {
    failure->set(what, why);
    close();
    return false;
}

void Connection::close() {
    if (context_ != nullptr) ::redisFree(context_);
    context_ = nullptr;
}

void Connection::forget() {
    if (context_ != nullptr) ::close(context_->fd);
    context_ = nullptr;
}

// Nothing is expected, so whatever there is to read is the end, or nothing that was asked for.
bool Connection::is_alive() const {
    char byte;
    const ssize_t n = ::recv(context_->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
}

Connection::Opened Connection::open(int64_t deadline_ns, Failure *failure) {
    if (context_ != nullptr && is_alive()) return Opened::already;
    close();
    return connect(deadline_ns, failure) && log_in(deadline_ns, failure) ? Opened::now : Opened::failed;
}

bool Connection::connect(int64_t deadline_ns, Failure *failure) {
    const char *const what = "connect";
    context_ = endpoint_.path != nullptr ? ::redisConnectUnixNonBlock(endpoint_.path)
                                         : ::redisConnectNonBlock(endpoint_.host, endpoint_.port);
    if (context_ == nullptr) return fail(failure, what, std::strerror(ENOMEM));
    if (context_->err != 0) return fail(failure, what, context_->errstr);
    ::fcntl(context_->fd, F_SETFD, FD_CLOEXEC);
    if (const int e = wait_until_ready(context_->fd, POLLOUT, deadline_ns); e != 0)
        return fail(failure, what, std::strerror(e));
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(context_->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    return error == 0 || fail(failure, what, std::strerror(error));
}

bool Connection::log_in(int64_t deadline_ns, Failure *failure) {
    Wire wire;
    int replies = 0;
    const char *const user = endpoint_.user.get(), *const password = endpoint_.password.get();
    if (password != nullptr) {
        wire.begin(user != nullptr ? 3 : 2);
        wire.word("AUTH");
        if (user != nullptr) wire.word(user);
        wire.word(password);
        ++replies;
    }
    if (endpoint_.database != 0) {
        wire.begin(2);
        wire.word("SELECT");
        wire.word(int64_t{endpoint_.database});
        ++replies;
    }
    if (replies > 0 && !send(wire.bytes(), deadline_ns, failure)) return false;
    for (; replies > 0; --replies) {
        redisReply *const reply = receive(deadline_ns, failure);
        if (reply == nullptr) return false;
        const bool refused = reply->type == REDIS_REPLY_ERROR;
        if (refused) fail(failure, "log in", reply->str);
        ::freeReplyObject(reply);
        if (refused) return false;
    }
    return true;
}

bool Connection::send(const Bytes &bytes, int64_t deadline_ns, Failure *failure) {
    const char *const what = "send";
    if (!bytes.is_complete()) return fail(failure, what, std::strerror(ENOMEM));
    for (std::size_t sent = 0; sent < bytes.size();) {
        const ssize_t n = ::send(context_->fd, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) {
            sent += static_cast<std::size_t>(n);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (const int e = wait_until_ready(context_->fd, POLLOUT, deadline_ns); e != 0)
                return fail(failure, what, std::strerror(e));
        } else if (errno != EINTR) {
            return fail(failure, what, std::strerror(errno));
        }
    }
    return true;
}

redisReply *Connection::receive(int64_t deadline_ns, Failure *failure) {
    const char *const what = "receive";
    for (;;) {
        void *reply = nullptr;
        if (::redisGetReplyFromReader(context_, &reply) != REDIS_OK) {
            fail(failure, what, context_->errstr);
            return nullptr;
        }
        if (reply != nullptr) return static_cast<redisReply *>(reply);
        if (const int e = wait_until_ready(context_->fd, POLLIN, deadline_ns); e != 0) {
            fail(failure, what, std::strerror(e));
            return nullptr;
        }
        if (::redisBufferRead(context_) != REDIS_OK) {
            fail(failure, what, context_->errstr);
            return nullptr;
        }
    }
}

}  // namespace tb::redis
