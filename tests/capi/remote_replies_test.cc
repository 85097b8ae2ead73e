// Replies that no script sends, for arguments that no call has: whatever is read as an answer is one that the limit can
// give, and nothing overflows or is read out of bounds, as the builds with sanitizers know.
#include <memory>
#include <string>
#include <vector>

#include "tests/support/api.h"
#include "tests/support/trace.h"

namespace {

using namespace tb_test;
using Numbers = std::vector<int64_t>;

constexpr int64_t kToken = 1000000000, kTwo53 = int64_t{1} << 53;
constexpr double kCapacity = 100, kDebt = 20;  // tokens
const Numbers kLimit{10000, 1, 100 * kToken, 20 * kToken};

const int64_t kNumbers[] = {
    0,      1,          -1,          2,      5 * kToken, -5 * kToken, 100 * kToken, 120 * kToken,
    kTwo53, kTwo53 + 1, -kTwo53 - 1, 999999, INT64_MAX,  INT64_MIN,   -20 * kToken, 20 * kToken};

const int64_t kUsual[] = {0, 5 * kToken, kToken};

// Of that size to the byte, so that a sanitizer sees a read behind it.
template <class T>
std::unique_ptr<T[]> copy_of(const std::vector<T> &from) {
    std::unique_ptr<T[]> to(new T[from.size()]);
    std::copy(from.begin(), from.end(), to.get());
    return to;
}

Numbers some(Trace *dice, int64_t most) {
    Numbers numbers;
    for (int64_t n = dice->between(0, most); n > 0; --n)
        numbers.push_back(dice->one_in(2) ? dice->pick(kUsual) : dice->pick(kNumbers));
    return numbers;
}

void expect_possible(const tb_remote_answer &a) {
    EXPECT_TRUE(a.tokens >= 0 && a.tokens <= kCapacity + kDebt) << a.tokens;
    EXPECT_TRUE(a.remaining >= -kDebt && a.remaining <= kCapacity) << a.remaining;
    EXPECT_TRUE(a.retry_after_ns >= 0 && a.retry_after_ns <= 12 * kSecond) << a.retry_after_ns;
    EXPECT_TRUE(a.reset_after_ns >= 0 && a.reset_after_ns <= 12 * kSecond) << a.reset_after_ns;
}

class RemoteReplies : public testing::Test {
  protected:
    const RemoteHandle remote = remote_of(config_of(kCapacity, 10, nullptr), 2 * kSecond);
};

TEST_F(RemoteReplies, AreReadAsWhatTheLimitCanGiveOrNotAtAll) {
    Trace dice(20251130);
    int read = 0, reservations = 0;
    for (int i = 0; i < 200000; ++i) {
        Numbers arguments = dice.one_in(50) ? some(&dice, 4) : kLimit;
        if (!dice.one_in(20)) arguments.push_back(dice.one_in(2) ? 5 * kToken : dice.pick(kNumbers));
        const int64_t operation = dice.below(12);
        if (operation != 0 && arguments.size() == 5) arguments.push_back(operation);
        const Numbers reply = some(&dice, 7);
        const auto sent = copy_of(arguments), got = copy_of(reply);
        tb_remote_answer a{};
        const tb_status s = tb_remote_read(remote.get(), sent.get(), arguments.size(), got.get(), reply.size(), &a);
        if (s == TB_SUCCESS || s == TB_DENIED || s == TB_TIMED_OUT) {
            ++read;
            expect_possible(a);
        }
        tb_reservation r{};
        if (tb_remote_read_reservation(remote.get(), sent.get(), arguments.size(), got.get(), reply.size(), &r) ==
            TB_SUCCESS) {
            ++reservations;
            EXPECT_TRUE(r.wait_ns >= 0 && r.wait_ns <= 12 * kSecond && r.ready_at_ns >= r.wait_ns) << r.wait_ns;
        }
    }
    EXPECT_GT(read, 1000);
    EXPECT_GT(reservations, 5);
}

TEST_F(RemoteReplies, ToManyKeysToo) {
    Trace dice(20251130);
    const tb_remote_member members[] = {{remote.get(), "a", 1, 5}, {remote.get(), "b", 1, 5}};
    int read = 0;
    for (int i = 0; i < 200000; ++i) {
        Numbers arguments = kLimit;
        arguments.insert(arguments.end(), {dice.pick(kNumbers), dice.between(9, 10)});
        arguments.insert(arguments.end(), kLimit.begin(), kLimit.end());
        arguments.push_back(dice.pick(kNumbers));
        if (dice.one_in(20)) arguments[static_cast<std::size_t>(dice.below(11))] = dice.pick(kNumbers);
        Numbers reply;
        for (int n = 0; n < 6; ++n) reply.push_back(dice.one_in(2) ? dice.pick(kUsual) : dice.pick(kNumbers));
        const auto sent = copy_of(arguments), got = copy_of(reply);
        tb_status statuses[2];
        tb_remote_answer answers[2];
        if (tb_remote_read_many(members, 2, sent.get(), arguments.size(), got.get(), reply.size(), statuses, answers) <
            0)
            continue;
        ++read;
        for (const tb_remote_answer &a : answers) expect_possible(a);
    }
    EXPECT_GT(read, 300);
}

// A wait of centuries from a time of the far future: later than can be said.
TEST_F(RemoteReplies, ATimeThatIsTooLateIsForever) {
    constexpr int64_t kYear = int64_t{365} * 86400 * kSecond;
    tb_config config = config_of(1, 1, nullptr);
    config.rate_period_ns = kYear;
    const RemoteHandle slow = remote_of(config, 280 * kYear);
    int64_t arguments[TB_REMOTE_MAX_ARGUMENTS];
    size_t count = 0;
    ASSERT_EQ(tb_remote_reserve(slow.get(), 1, TB_FOREVER, arguments, &count), TB_SUCCESS);
    const int64_t ahead = arguments[3];
    const int64_t reply[] = {arguments[4], -ahead, 0, ahead, 7, 1764460800000000};
    tb_reservation r{};
    ASSERT_EQ(tb_remote_read_reservation(slow.get(), arguments, count, reply, 6, &r), TB_SUCCESS);
    EXPECT_GE(r.wait_ns, 279 * kYear);
    EXPECT_EQ(r.ready_at_ns, TB_FOREVER);
}

// Each text in a heap block of its size: any change of a byte of a good reply, and any part of it.
TEST_F(RemoteReplies, TextsAreReadWithinTheirBounds) {
    Trace dice(7);
    const std::string whole = "*6\r\n:5000000000\r\n:-20\r\n:0\r\n:123456789012345678\r\n:1\r\n:-0\r\n";
    for (int i = 0; i < 200000; ++i) {
        std::string text =
            whole.substr(0, static_cast<std::size_t>(dice.below(static_cast<int64_t>(whole.size()) + 1)));
        if (dice.one_in(2)) text = whole;
        for (int64_t n = dice.below(3); n > 0 && !text.empty(); --n) {
            const std::size_t at = static_cast<std::size_t>(dice.below(static_cast<int64_t>(text.size())));
            text[at] =
                dice.one_in(2) ? "*:$-+_,#(%~0123456789\r\n"[dice.below(23)] : static_cast<char>(dice.below(256));
        }
        const auto bytes = copy_of(std::vector<char>(text.begin(), text.end()));
        const std::size_t room = static_cast<std::size_t>(dice.between(0, TB_REMOTE_MAX_REPLY));
        const std::unique_ptr<int64_t[]> numbers(new int64_t[room]);
        size_t count = 99;
        const tb_status s = tb_remote_parse(bytes.get(), text.size(), room, numbers.get(), &count);
        EXPECT_TRUE(s == TB_SUCCESS ? count <= room : s == TB_E_INVALID_ARGUMENT && count == 99);
    }
}

}  // namespace
