// A client as the header asks for: it calls the script by its name, and with its text where the server does not know
// it.
#ifndef TOKENBUCKET_TESTS_REMOTE_CALLER_H
#define TOKENBUCKET_TESTS_REMOTE_CALLER_H

#include <string>

#include "tests/remote/script_clock.h"

namespace tb_test {

struct Outcome {
    std::string error;  // of the server: neither a grant nor a denial
    tb_status status;
    tb_remote_answer answer;

    bool is_granted() const { return error.empty() && status == TB_SUCCESS; }
    bool is_denied() const { return error.empty() && status == TB_DENIED; }
};

inline Outcome outcome_of(const tb_remote *remote, const Numbers &arguments, const RedisReply &reply) {
    if (reply.type == '-') return {reply.text, TB_E_UNAVAILABLE, {}};
    const Told t = read(remote, arguments, reply);
    return {"", t.status, t.answer};
}

inline Words words_with_text(Words words) {
    words[0] = "EVAL";
    words[1] = tb_remote_script();
    return words;
}

inline Words words_by_name(const Words &keys, const Numbers &arguments) {
    return ScriptServer::words(tb_remote_script_sha1(), keys, arguments);
}

inline bool is_no_script(const RedisReply &reply) {
    return reply.type == '-' && reply.text.rfind("NOSCRIPT", 0) == 0;
}

class Caller {
  public:
    Caller(const std::string &path, const tb_remote *remote) : client(path), remote_(remote) {}

    RedisReply evaluate(const Words &keys, const Numbers &arguments) {
        const Words words = words_by_name(keys, arguments);
        const RedisReply reply = client.ask(words);
        if (!is_no_script(reply)) return reply;
        ++texts;
        return client.ask(words_with_text(words));
    }
    Outcome ask(const std::string &key, const Numbers &arguments) {
        return outcome_of(remote_, arguments, evaluate(keys_of(key, arguments), arguments));
    }
    Outcome take(const std::string &key, double n) { return ask(key, asked(remote_, tb_remote_take, n)); }
    double left(const std::string &key) { return ask(key, asked(remote_, tb_remote_peek, 1)).answer.remaining; }
    // As many takes of one token as are granted; the last is denied.
    int drain(const std::string &key) {
        int granted = 0;
        Outcome last = take(key, 1);
        for (; last.is_granted(); last = take(key, 1)) ++granted;
        EXPECT_TRUE(last.is_denied()) << last.error;
        return granted;
    }

    RedisClient client;
    int texts = 0;  // sent

  private:
    const tb_remote *const remote_;
};

}  // namespace tb_test

#endif
