// Stands between a client and a server, and does to their bytes what networks do.
#ifndef TOKENBUCKET_TESTS_REDIS_PROXY_H
#define TOKENBUCKET_TESTS_REDIS_PROXY_H

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>

namespace tb_test {

// Serves one connection after the other. What it does is looked up anew for each piece of a reply.
class Proxy {
  public:
    enum class Manner {
        pass,
        swallow_questions,  // nothing reaches the server
        swallow_replies,
        cut_replies,   // the connection ends after a byte of a reply
        cut_questions  // the connection ends in a question
    };

    Proxy(const std::string &path, const std::string &server_path) : path_(path), server_path_(server_path) {
        listener_ = ::socket(AF_UNIX, SOCK_STREAM, 0);
        ::unlink(path.c_str());
        const sockaddr_un address = address_of(path);
        if (::bind(listener_, reinterpret_cast<const sockaddr *>(&address), sizeof address) != 0 ||
            ::listen(listener_, 64) != 0)
            throw std::runtime_error("no socket for the proxy");
        thread_ = std::thread([this] { serve(); });
    }
    ~Proxy() {
        ends_ = true;
        thread_.join();
        ::close(listener_);
        ::unlink(path_.c_str());
    }
    Proxy(const Proxy &) = delete;
    Proxy &operator=(const Proxy &) = delete;

    const std::string &path() const { return path_; }

    std::atomic<Manner> manner{Manner::pass};
    std::atomic<int> swallowed{0};         // questions
    std::atomic<int> pause_us{0};          // before each piece of a reply
    std::atomic<std::size_t> piece{4096};  // bytes of a reply that are passed on at a time

  private:
    static sockaddr_un address_of(const std::string &path) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        return address;
    }

    void serve() {
        while (!ends_) {
            pollfd waiting{listener_, POLLIN, 0};
            if (::poll(&waiting, 1, 20) <= 0) continue;
            const int client = ::accept(listener_, nullptr, nullptr);
            const int server = ::socket(AF_UNIX, SOCK_STREAM, 0);
            const sockaddr_un address = address_of(server_path_);
            if (::connect(server, reinterpret_cast<const sockaddr *>(&address), sizeof address) == 0)
                relay(client, server);
            ::close(client);
            ::close(server);
        }
    }

    // Until one side ends or a new client waits: a client gives up a connection by making another one.
    void relay(int client, int server) {
        while (!ends_) {
            pollfd both[] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
            if (::poll(both, 2, 20) <= 0) continue;
            if (both[0].revents != 0 && !pass_question(client, server)) return;
            if (both[1].revents != 0 && !pass_reply(server, client)) return;
        }
    }
    bool pass_question(int client, int server) {
        char bytes[65536];
        const ssize_t n = ::recv(client, bytes, sizeof bytes, 0);
        if (n <= 0 || manner == Manner::cut_questions) return false;
        if (manner == Manner::swallow_questions) return ++swallowed > 0;
        return ::send(server, bytes, static_cast<std::size_t>(n), MSG_NOSIGNAL) == n;
    }
    bool pass_reply(int server, int client) {
        char bytes[65536];
        const ssize_t n = ::recv(server, bytes, std::min(piece.load(), sizeof bytes), 0);
        if (n <= 0) return false;
        if (manner == Manner::swallow_replies) return true;
        if (pause_us > 0) ::usleep(static_cast<useconds_t>(pause_us));
        const ssize_t passed = manner == Manner::cut_replies ? 1 : n;
        return ::send(client, bytes, static_cast<std::size_t>(passed), MSG_NOSIGNAL) == n;
    }

    const std::string path_, server_path_;
    int listener_ = -1;
    std::atomic<bool> ends_{false};
    std::thread thread_;
};

}  // namespace tb_test

#endif
