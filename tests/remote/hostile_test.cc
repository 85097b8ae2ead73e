// What others have left under the keys of a bucket, and calls that no client of the library sends: an error, of which
// nothing is taken, or a decision within the limit.
#include "tests/remote/script_clock.h"
#include "tests/support/trace.h"

namespace {

using namespace tb_test;

constexpr int64_t kStartUs = 1764460800000000;
const std::string kKey = "v", kQueue = "q:{v}";

const WithAmount kCalls[] = {tb_remote_take,   tb_remote_take_up_to, tb_remote_peek,
                             tb_remote_charge, tb_remote_refund,     tb_remote_reset};

class RemoteHostile : public testing::Test {
  protected:
    RedisReply ask(const Words &words) { return server().client.ask(words); }
    RedisReply send(const Numbers &arguments) {
        return ask(server().words_at(kStartUs, keys_of(kKey, arguments), arguments));
    }
    // Nothing, but what is given.
    void set(const std::string &value, const std::string &record) {
        ask({"DEL", kKey, kKey + "/expiry", kQueue, kQueue + "/expiry"});
        if (!value.empty()) ask({"SET", kKey, value});
        if (!record.empty()) ask({"SET", kQueue, record});
    }
    Words stored() { return {ask({"GET", kKey}).text, ask({"GET", kQueue}).text}; }

    // One of each.
    std::vector<Numbers> calls() const {
        std::vector<Numbers> all;
        for (const WithAmount call : kCalls) all.push_back(asked(remote.get(), call, 1));
        for (const double n : {1.0, 10.0})
            all.push_back(arguments_of(
                [&](int64_t *to, size_t *count) { return tb_remote_reserve(remote.get(), n, TB_FOREVER, to, count); }));
        const tb_reservation r{1, 0, kStartUs * 1000, 12345};
        all.push_back(
            arguments_of([&](int64_t *to, size_t *count) { return tb_remote_cancel(remote.get(), &r, to, count); }));
        for (const double actual : {0.0, 0.5, 2.0})
            all.push_back(arguments_of(
                [&](int64_t *to, size_t *count) { return tb_remote_settle(remote.get(), &r, actual, to, count); }));
        return all;
    }

    const RemoteHandle remote = remote_of(config_of(10, 1, nullptr), 5 * kSecond);
};

const std::string kValues[] = {" ",    "hello", "nan",  "-nan", "inf", "-inf", "1e300", "-1e300",           "1e17",
                               "-5",   "-1e15", "1.5",  "0x1f", "7 7", "0",    "1e-9",  "4503599627370496", "true",
                               "\xff", "\r\n",  "0 {}", "1e"};

// Whatever is asked, and then by takes: no more than a full bucket.
TEST_F(RemoteHostile, AValueThatNoScriptWroteGrantsAtMostTheCapacity) {
    for (const std::string &value : kValues) {
        for (const Numbers &first : calls()) {
            set(value, "");
            const RedisReply reply = send(first);
            if (reply.type == '-') {
                EXPECT_EQ(stored()[0], value) << reply.text;
                continue;
            }
            const Told t = read(remote.get(), first, reply);
            EXPECT_GE(t.status, 0) << value;
            const Numbers take = asked(remote.get(), tb_remote_take, 1);
            double granted = first.size() < 6 || first[5] == 1 ? t.answer.tokens : 0;
            for (int i = 0; i < 30; ++i) granted += read(remote.get(), take, send(take)).answer.tokens;
            EXPECT_LE(granted, 10) << value;
        }
    }
}

std::string packed(const char *text, std::size_t size) {
    return {text, size};
}

// Packed texts that hold something else, too little, or no numbers.
TEST_F(RemoteHostile, ARecordThatNoScriptWroteIsAnErrorThatTakesNothing) {
    set("", "");
    send(asked(remote.get(), tb_remote_take, 8));
    const std::string two_left = stored()[0];
    const std::string records[] = {"hello",
                                   "5",
                                   "\x80",
                                   "\x90",
                                   "\xc0",
                                   "\x92\x01\x01",
                                   "\x94\xa1x\xa1x\xa1x\xa1x",
                                   "\x94\x01\x01\x01\xa1x",
                                   "\x94\x01\x01\xa1x\x01",
                                   "\x94\x01\x01\x01\xc0",
                                   "\x95\x01\x01\x01\x01\x01",
                                   packed("\x97\x01\x01\x00\x00\x01\xc0\xc0", 8),
                                   packed("\x94\x01\x01\x00\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", 13),
                                   "\xdd\xff\xff\xff\xff",
                                   std::string(10000, '\x91')};
    int errors = 0;
    for (const std::string &record : records) {
        for (const std::string &value : {two_left, std::string()}) {
            for (const Numbers &arguments : calls()) {
                set(value, record);
                const RedisReply reply = send(arguments);
                if (reply.type != '-') continue;
                ++errors;
                EXPECT_EQ(stored(), (Words{value, record})) << reply.text;
            }
        }
    }
    EXPECT_GT(errors, 100);
}

TEST_F(RemoteHostile, AKeyOfAnotherTypeIsAnErrorThatTakesNothing) {
    for (const Numbers &arguments : calls()) {
        const Words keys = keys_of(kKey, arguments);
        for (const std::string &key : keys) {
            set("", "");
            ask({"RPUSH", key, "1"});
            const RedisReply reply = send(arguments);
            EXPECT_EQ(reply.type, '-');
            EXPECT_NE(reply.text.find("WRONGTYPE"), std::string::npos) << reply.text;
            EXPECT_EQ(ask({"EXISTS", kKey, kQueue}).number, 1);
        }
    }
}

// Too few keys or arguments, or those of another operation. Takes from each of many keys are made one after the other,
// so those before the one that has no arguments are done.
TEST_F(RemoteHostile, ACallThatIsNoneIsAnErrorThatTakesNothingOrWithinTheLimit) {
    Trace dice(20251130);
    const std::vector<Numbers> good = calls();
    int errors = 0, decided = 0;
    for (int i = 0; i < 2500; ++i) {
        set("", "");
        send(asked(remote.get(), tb_remote_take, 8));
        const Words before = stored();
        Numbers arguments = dice.pick(good);
        if (arguments.size() > 5 && dice.one_in(2)) arguments[5] = dice.one_in(12) ? 11 : dice.between(0, 9);
        if (dice.one_in(2)) arguments.resize(static_cast<std::size_t>(dice.between(0, 9)));
        Words keys{kKey, kQueue, kKey};
        keys.resize(static_cast<std::size_t>(dice.between(0, 3)));
        const RedisReply reply = ask(server().words_at(kStartUs, keys, arguments));
        if (reply.type == '-') {
            ++errors;
            EXPECT_EQ(stored(), before) << reply.text;
        } else if (!keys.empty()) {
            ++decided;
            const std::string left = stored()[0];
            if (arguments.size() == 5) {
                EXPECT_GE(std::stoll(left), std::stoll(before[0]));
            }
        }
    }
    EXPECT_GT(errors, 200);
    EXPECT_GT(decided, 200);
}

}  // namespace
