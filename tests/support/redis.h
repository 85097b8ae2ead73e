// A server of Redis for one test, in a temporary folder without a port, and a client for it.
#ifndef TOKENBUCKET_TESTS_SUPPORT_REDIS_H
#define TOKENBUCKET_TESTS_SUPPORT_REDIS_H

#include <signal.h>
#if defined(__linux__)
#include <sys/prctl.h>
#endif
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace tb_test {

struct RedisReply {
    char type = 0;  // : a number, $ a text, _ nothing, + a status, - an error, * an array
    int64_t number = 0;
    std::string text;
    std::vector<RedisReply> elements;
};

// One connection. send() without receive() puts a question into the pipeline.
class RedisClient {
  public:
    explicit RedisClient(const std::string &path) : socket_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        is_open_ = ::connect(socket_, reinterpret_cast<const sockaddr *>(&address), sizeof address) == 0;
    }
    ~RedisClient() { ::close(socket_); }
    RedisClient(const RedisClient &) = delete;
    RedisClient &operator=(const RedisClient &) = delete;

    bool is_open() const { return is_open_; }
    // A server that says nothing for so long counts as gone.
    void give_up_after_ms(int64_t ms) {
        const timeval limit{static_cast<time_t>(ms / 1000), static_cast<suseconds_t>(ms % 1000 * 1000)};
        ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    }

    RedisReply ask(const std::vector<std::string> &words) {
        send(words);
        return receive();
    }
    void send(const std::vector<std::string> &words) {
        out_ += "*" + std::to_string(words.size()) + "\r\n";
        for (const std::string &word : words) out_ += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
    }
    RedisReply receive() {
        flush();
        const std::string line = this->line();
        RedisReply reply;
        reply.type = line[0];
        reply.text = line.substr(1);
        if (reply.type == ':') reply.number = std::stoll(reply.text);
        if (reply.type == '$') {
            const long size = std::stol(reply.text);
            if (size < 0) return {'_', 0, "", {}};
            reply.text = bytes(static_cast<std::size_t>(size) + 2).substr(0, static_cast<std::size_t>(size));
        }
        if (reply.type == '*')
            for (long left = std::stol(reply.text); left > 0; --left) reply.elements.push_back(receive());
        return reply;
    }

  private:
    void flush() {
        std::size_t sent = 0;
        while (sent < out_.size()) {
            const ssize_t n = ::send(socket_, out_.data() + sent, out_.size() - sent, MSG_NOSIGNAL);
            if (n <= 0) throw std::runtime_error("the server is gone");
            sent += static_cast<std::size_t>(n);
        }
        out_.clear();
    }
    void read_more() {
        char buffer[65536];
        const ssize_t n = ::recv(socket_, buffer, sizeof buffer, 0);
        if (n <= 0) throw std::runtime_error("the server is gone");
        in_.erase(0, read_);
        read_ = 0;
        in_.append(buffer, static_cast<std::size_t>(n));
    }
    std::string bytes(std::size_t size) {
        while (in_.size() - read_ < size) read_more();
        read_ += size;
        return in_.substr(read_ - size, size);
    }
    std::string line() {
        std::size_t end = 0;
        while ((end = in_.find("\r\n", read_)) == std::string::npos) read_more();
        const std::string text = in_.substr(read_, end - read_);
        read_ = end + 2;
        return text;
    }

    const int socket_;
    bool is_open_ = false;
    std::string out_;
    std::string in_;
    std::size_t read_ = 0;
};

// Ends with the test. The program is told to be skipped where there is no redis-server.
class RedisServer {
  public:
    // With further options, each a word.
    explicit RedisServer(std::vector<std::string> options = {}) : options_(std::move(options)) {
        if (std::system("command -v redis-server >/dev/null") != 0) {
            std::puts("skipped: redis-server is not installed");
            std::fflush(stdout);
            std::_Exit(77);
        }
        char name[] = "/tmp/tokenbucket-redis-XXXXXX";
        if (::mkdtemp(name) == nullptr) throw std::runtime_error("no temporary folder");
        folder_ = name;
        start();
    }
    ~RedisServer() {
        end(SIGTERM);
        std::filesystem::remove_all(folder_);
    }
    RedisServer(const RedisServer &) = delete;
    RedisServer &operator=(const RedisServer &) = delete;

    std::string path() const { return folder_ + "/s"; }

    void signal(int number) const {
        if (process_ > 0) ::kill(process_, number);
    }
    void end(int number) {
        if (process_ <= 0) return;
        signal(number);
        ::waitpid(process_, nullptr, 0);
        process_ = 0;
    }
    // Again, with what is in its folder.
    void start() {
        std::vector<std::string> words{
            "redis-server", "--port", "0",     "--unixsocket", path(),      "--save",        "",
            "--appendonly", "no",     "--dir", folder_,        "--logfile", folder_ + "/log"};
        words.insert(words.end(), options_.begin(), options_.end());
        std::vector<char *> arguments;
        for (std::string &word : words) arguments.push_back(word.data());
        arguments.push_back(nullptr);
        process_ = ::fork();
        if (process_ == 0) {
#if defined(__linux__)
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // also if the test is killed
#endif
            ::execvp(arguments[0], arguments.data());
            std::_Exit(127);
        }
        for (int tries = 0; tries < 3000; ++tries) {
            RedisClient client(path());
            if (client.is_open() && client.ask({"PING"}).text == "PONG") return;
            ::usleep(10000);
        }
        throw std::runtime_error("redis-server does not answer");
    }

  private:
    const std::vector<std::string> options_;
    std::string folder_;
    pid_t process_ = 0;
};

}  // namespace tb_test

#endif
