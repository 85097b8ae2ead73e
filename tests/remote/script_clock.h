// The library's script, and the same text behind a clock of the test's own: the last two arguments are the time, and
// keys expire by it.
#ifndef TOKENBUCKET_TESTS_REMOTE_SCRIPT_CLOCK_H
#define TOKENBUCKET_TESTS_REMOTE_SCRIPT_CLOCK_H

#include <string>
#include <vector>

#include "tests/support/api.h"
#include "tests/support/redis.h"

namespace tb_test {

using Words = std::vector<std::string>;
using Numbers = std::vector<int64_t>;

// A key expires in the first millisecond after the one that SET names, as on the server.
inline constexpr const char *kTestClock = R"lua(
local server, usec, sec = redis, tonumber(table.remove(ARGV)), tonumber(table.remove(ARGV))
local now_ms = sec * 1000 + math.floor(usec / 1000)
local redis = {}
function redis.call(name, key, value, _, px)
    if name == 'TIME' then return {tostring(sec), tostring(usec)} end
    local expiry = server.call('GET', key .. '/expiry')
    if expiry and now_ms > tonumber(expiry) then server.call('DEL', key, key .. '/expiry') end
    if name == 'DEL' then return server.call('DEL', key, key .. '/expiry') end
    if name == 'SET' then
        server.call('SET', key .. '/expiry', now_ms + px)
        return server.call('SET', key, value)
    end
    return server.call(name, key)
end
)lua";

// The keys of a call with that second key, or without.
inline Words keys_of(const std::string &key, const Numbers &arguments) {
    const bool is_single = arguments.size() < 6 || arguments[5] < 3;
    if (is_single) return {key};
    std::string queue(key.size() + TB_REMOTE_QUEUE_KEY_ADDS, '?');
    size_t size = 0;
    EXPECT_EQ(tb_remote_queue_key(key.data(), key.size(), queue.data(), &size), TB_SUCCESS);
    return {key, queue.substr(0, size)};
}

// A server that knows both scripts, and a connection to it.
class ScriptServer {
  public:
    ScriptServer() : client(server.path()) {
        loaded = client.ask({"SCRIPT", "LOAD", tb_remote_script()}).text;
        timed = client.ask({"SCRIPT", "LOAD", std::string(kTestClock) + tb_remote_script()}).text;
    }

    // By the server's clock.
    Words words(const Words &keys, const Numbers &arguments) const { return words(loaded, keys, arguments); }
    // At that time, in microseconds.
    Words words_at(int64_t us, const Words &keys, Numbers arguments) const {
        arguments.push_back(us / 1000000);
        arguments.push_back(us % 1000000);
        return words(timed, keys, arguments);
    }
    static Words words(const std::string &sha1, const Words &keys, const Numbers &arguments) {
        Words words{"EVALSHA", sha1, std::to_string(keys.size())};
        words.insert(words.end(), keys.begin(), keys.end());
        for (const int64_t n : arguments) words.push_back(std::to_string(n));
        return words;
    }
    static Numbers numbers(const RedisReply &reply) {
        if (reply.type == ':') return {reply.number};
        EXPECT_EQ(reply.type, '*') << reply.text;
        Numbers numbers;
        for (const RedisReply &element : reply.elements) numbers.push_back(element.number);
        return numbers;
    }

    RedisServer server;
    RedisClient client;
    std::string loaded, timed;
};

// The program's server.
inline ScriptServer &server() {
    static ScriptServer s;
    return s;
}

// The arguments that ask(arguments, count) writes.
template <class Ask>
Numbers arguments_of(Ask ask) {
    int64_t arguments[TB_REMOTE_MAX_ARGUMENTS];
    size_t count = 0;
    EXPECT_EQ(ask(arguments, &count), TB_SUCCESS);
    return Numbers(arguments, arguments + count);
}

using WithAmount = tb_status (*)(const tb_remote *, double, int64_t *, size_t *);

inline Numbers asked(const tb_remote *remote, WithAmount ask, double n) {
    return arguments_of([=](int64_t *arguments, size_t *count) { return ask(remote, n, arguments, count); });
}

struct Told {
    tb_status status;
    tb_remote_answer answer;
};

inline Told read(const tb_remote *remote, const Numbers &arguments, const RedisReply &reply) {
    const Numbers numbers = ScriptServer::numbers(reply);
    Told t{};
    t.status = tb_remote_read(remote, arguments.data(), arguments.size(), numbers.data(), numbers.size(), &t.answer);
    return t;
}

// By the server's clock, and by the test's.
inline Told told(const tb_remote *remote, const std::string &key, WithAmount ask, double n) {
    const Numbers arguments = asked(remote, ask, n);
    return read(remote, arguments, server().client.ask(server().words(keys_of(key, arguments), arguments)));
}
inline Told told_at(int64_t us, const tb_remote *remote, const std::string &key, WithAmount ask, double n) {
    const Numbers arguments = asked(remote, ask, n);
    return read(remote, arguments, server().client.ask(server().words_at(us, keys_of(key, arguments), arguments)));
}

inline double unit_of(const tb_remote *remote) {
    tb_config config = config_of(1, 1, nullptr);
    EXPECT_EQ(tb_remote_get_limit(remote, &config), TB_SUCCESS);
    return config.unit;
}

inline int64_t up_to_us(int64_t ns) {
    return ns / 1000 + (ns % 1000 != 0 ? 1 : 0);
}

inline double decimal(int64_t digits, int exponent) {
    return std::stod(std::to_string(digits) + "e" + std::to_string(exponent));
}

}  // namespace tb_test

#endif
