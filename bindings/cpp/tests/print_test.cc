// Answers on streams, and in std::format where there is one.
#include <gtest/gtest.h>

#include <chrono>
#include <sstream>
#include <string>
#include <string_view>

#include "tokenbucket.hpp"

namespace {

using namespace std::chrono_literals;
using tokenbucket::Bucket;
using tokenbucket::Config;
using tokenbucket::Limits;
using tokenbucket::ManualClock;
using tokenbucket::Status;

template <class Answer>
std::string printed(const Answer &answer) {
    std::ostringstream out;
    out << answer;
    return out.str();
}

// Ten tokens, four a second, on a manual clock.
class CppPrint : public testing::Test {
  protected:
    static Config config_on(const ManualClock &clock) {
        Config config;
        config.capacity = 10;
        config.rate_tokens = 4;
        config.clock = clock.get();
        return config;
    }

    ManualClock clock;
    Bucket bucket{config_on(clock)};
};

TEST_F(CppPrint, AStatusIsItsMessage) {
    EXPECT_EQ(printed(Status::closed), "closed: the bucket was closed");
    EXPECT_EQ(printed(Status{99}), "unknown status");
}

TEST_F(CppPrint, AResultIsItsStatusOrTheArgumentThatWasRefused) {
    EXPECT_EQ(printed(bucket.allow(10)), "success: done, or the tokens are granted");
    EXPECT_EQ(printed(bucket.allow()), "denied: not enough tokens now");
    EXPECT_EQ(printed(bucket.allow(-1)), "n must be finite and more than 0, got -1");
    EXPECT_EQ(printed(bucket.take_up_to(0)), "most must be finite and more than 0, got 0");
    EXPECT_EQ(printed(Bucket::create(0, 1)), "capacity must be from 1e-6 to 1e15 tokens, got 0");
    EXPECT_EQ(printed(Limits(bucket.member(11)).allow()), tokenbucket::message(Status::exceeds_capacity));
    EXPECT_EQ(printed(bucket.allow(-1).message()), "n must be finite and more than 0, got -1");
}

TEST_F(CppPrint, ADecisionTellsWhatIsLeftAndWhenToComeBack) {
    EXPECT_EQ(printed(bucket.take(7.5)), "success: done, or the tokens are granted; 2.5 left");
    EXPECT_EQ(printed(bucket.take(3)), "denied: not enough tokens now; 2.5 left, retry after 0.125s");
    EXPECT_EQ(printed(bucket.take(0)), "n must be finite and more than 0, got 0");
    EXPECT_EQ(printed(bucket.take(11)), "n must be at most the capacity, got 11");
}

#if defined(__cpp_lib_format)
TEST_F(CppPrint, AFormatIsThatOfText) {
    EXPECT_EQ(std::format("{}", Status::closed), "closed: the bucket was closed");
    EXPECT_EQ(std::format("{:>41}", bucket.allow(-1)), " n must be finite and more than 0, got -1");
    EXPECT_EQ(std::format("{:*<32}", Status::closed), "closed: the bucket was closed***");
    EXPECT_EQ(std::format("{}", bucket.take(7.5)), "success: done, or the tokens are granted; 2.5 left");
    EXPECT_EQ(std::format("{:.6}", Limits(bucket.member()).allow()), "succes");
    EXPECT_EQ(std::format("{}", bucket.allow(-1).message()), "n must be finite and more than 0, got -1");
}
#endif

}  // namespace
