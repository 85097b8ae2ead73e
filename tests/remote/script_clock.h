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
        EXPECT_EQ(reply.type, '*') << reply.text;
        Numbers numbers;
        for (const RedisReply &element : reply.elements) numbers.push_back(element.number);
        return numbers;
    }

    RedisServer server;
    RedisClient client;
    std::string loaded, timed;
};

}  // namespace tb_test

#endif
