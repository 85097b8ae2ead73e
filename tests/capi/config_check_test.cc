// Each field of a configuration that is refused is named, with what it must be, and the create function agrees.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "tests/support/api.h"

namespace {

using namespace tb_test;

const double kNan = std::nan("");

struct Case {
    std::function<void(tb_config *)> change;
    tb_status status;
    const char *field;
    const char *allowed;  // part of it
};

tb_config config_of(const Case &c) {
    tb_config config = tb_test::config_of(10, 5, nullptr);
    c.change(&config);
    return config;
}

void expect_fault(const tb_config_fault &fault, const char *field, const char *allowed) {
    ASSERT_NE(fault.field, nullptr) << field;
    EXPECT_STREQ(fault.field, field);
    ASSERT_NE(fault.allowed, nullptr) << field;
    EXPECT_NE(std::string(fault.allowed).find(allowed), std::string::npos) << field << ": " << fault.allowed;
}

void ignore(void *, const tb_event *) {}
void ignore_wake(void *, uint64_t) {}

const std::vector<Case> kLimits{
    {[](tb_config *c) { c->capacity = 0; }, TB_E_OUT_OF_RANGE, "capacity", "1e-6 to 1e15"},
    {[](tb_config *c) { c->capacity = -3; }, TB_E_OUT_OF_RANGE, "capacity", "1e-6 to 1e15"},
    {[](tb_config *c) { c->capacity = 2e15; }, TB_E_OUT_OF_RANGE, "capacity", "1e-6 to 1e15"},
    {[](tb_config *c) { c->capacity = kNan; }, TB_E_INVALID_ARGUMENT, "capacity", "1e-6 to 1e15"},
    {[](tb_config *c) { c->rate_tokens = 0; }, TB_E_OUT_OF_RANGE, "rate_tokens", "1e-9 to 1e10"},
    {[](tb_config *c) { c->rate_tokens = -1; }, TB_E_OUT_OF_RANGE, "rate_tokens", "1e-9 to 1e10"},
    {[](tb_config *c) { c->rate_tokens = 1e11; }, TB_E_OUT_OF_RANGE, "rate_tokens", "1e-9 to 1e10"},
    {[](tb_config *c) { c->rate_tokens = -kNan; }, TB_E_INVALID_ARGUMENT, "rate_tokens", "1e-9 to 1e10"},
    {[](tb_config *c) { c->rate_tokens = HUGE_VAL; }, TB_E_INVALID_ARGUMENT, "rate_tokens", "1e-9 to 1e10"},
    {[](tb_config *c) { c->rate_period_ns = 0; }, TB_E_INVALID_ARGUMENT, "rate_period_ns", "more than 0"},
    {[](tb_config *c) { c->rate_period_ns = -1; }, TB_E_INVALID_ARGUMENT, "rate_period_ns", "more than 0"},
    {[](tb_config *c) { c->rate_period_ns = INT64_MAX; }, TB_E_OUT_OF_RANGE, "rate_tokens", "1e-9 to 1e10"},
    {[](tb_config *c) { c->max_waiters = -1; }, TB_E_INVALID_ARGUMENT, "max_waiters", "0 or more"},
    {[](tb_config *c) { c->max_lateness_ns = -1; }, TB_E_INVALID_ARGUMENT, "max_lateness_ns", "0 or more"},
    {[](tb_config *c) { c->flags = 64; }, TB_E_UNSUPPORTED, "flags", "TB_PRECISE_WAIT"},
    {[](tb_config *c) { c->reserved = 1; }, TB_E_UNSUPPORTED, "reserved", "0"},
    {[](tb_config *c) { c->struct_size = 3; }, TB_E_INVALID_ARGUMENT, "struct_size", "init"},
};

TEST(ConfigCheck, NamesTheFieldOfABucket) {
    std::vector<Case> cases = kLimits;
    cases.push_back({[](tb_config *c) { c->initial_tokens = 11; }, TB_E_OUT_OF_RANGE, "initial_tokens", "capacity"});
    cases.push_back({[](tb_config *c) { c->initial_tokens = -2; }, TB_E_INVALID_ARGUMENT, "initial_tokens", "from 0"});
    for (const Case &c : cases) {
        const tb_config config = config_of(c);
        tb_config_fault fault{};
        EXPECT_EQ(tb_config_check(&config, &fault), c.status) << c.field;
        expect_fault(fault, c.field, c.allowed);
        tb_bucket *none = nullptr;
        EXPECT_EQ(tb_create_with(&config, &none), c.status) << c.field;
    }
}

TEST(ConfigCheck, NamesTheFieldOfATable) {
    tb_table_config keys{};
    ASSERT_EQ(tb_table_config_init(&keys, sizeof keys), TB_SUCCESS);
    keys.max_keys = 10;
    std::vector<Case> cases = kLimits;
    cases.push_back({[](tb_config *c) { c->initial_tokens = 5; }, TB_E_UNSUPPORTED, "initial_tokens", "TB_INITIALLY"});
    cases.push_back({[](tb_config *c) { c->flags = TB_STATISTICS; }, TB_E_UNSUPPORTED, "flags", "TB_STATISTICS"});
    cases.push_back({[](tb_config *c) { c->on_event = ignore; }, TB_E_UNSUPPORTED, "on_event", "NULL"});
    cases.push_back(
        {[](tb_config *c) { c->capacity = 1e-6, c->rate_tokens = 1e9; }, TB_E_OUT_OF_RANGE, "capacity", "unit"});
    for (const Case &c : cases) {
        const tb_config config = config_of(c);
        tb_config_fault fault{};
        EXPECT_EQ(tb_table_config_check(&config, &keys, &fault), c.status) << c.field;
        expect_fault(fault, c.field, c.allowed);
        tb_table *none = nullptr;
        EXPECT_EQ(tb_table_create_with(&config, &keys, &none), c.status) << c.field;
    }
}

TEST(ConfigCheck, NamesTheSizeOfATable) {
    struct {
        int64_t max_keys, max_bytes;
        int32_t when_full;
        tb_status status;
        const char *field, *allowed;
    } const cases[] = {
        {0, 0, 0, TB_E_INVALID_ARGUMENT, "max_keys", "1 or more"},
        {-1, 0, 0, TB_E_INVALID_ARGUMENT, "max_keys", "1 or more"},
        {0, 63, 0, TB_E_INVALID_ARGUMENT, "max_bytes", "64 or more"},
        {5, 640, 0, TB_E_INVALID_ARGUMENT, "max_bytes", "0 with max_keys"},
        {INT64_MAX, 0, 0, TB_E_OUT_OF_RANGE, "max_keys", "addressed"},
        {5, 0, 3, TB_E_UNSUPPORTED, "when_full", "TB_TABLE_DENY"},
    };
    const tb_config limit = tb_test::config_of(10, 5, nullptr);
    for (const auto &c : cases) {
        tb_table_config keys{};
        ASSERT_EQ(tb_table_config_init(&keys, sizeof keys), TB_SUCCESS);
        keys.max_keys = c.max_keys;
        keys.max_bytes = c.max_bytes;
        keys.when_full = c.when_full;
        tb_config_fault fault{};
        EXPECT_EQ(tb_table_config_check(&limit, &keys, &fault), c.status) << c.field;
        expect_fault(fault, c.field, c.allowed);
        tb_table *none = nullptr;
        EXPECT_EQ(tb_table_create_with(&limit, &keys, &none), c.status) << c.field;
    }
}

TEST(ConfigCheck, NamesTheFieldOfALimitOnAServer) {
    std::vector<Case> cases = kLimits;
    cases.push_back({[](tb_config *c) { c->initial_tokens = 5; }, TB_E_UNSUPPORTED, "initial_tokens", "server"});
    cases.push_back({[](tb_config *c) { c->max_waiters = 5; }, TB_E_UNSUPPORTED, "max_waiters", "server"});
    cases.push_back({[](tb_config *c) { c->flags = TB_STATISTICS; }, TB_E_UNSUPPORTED, "flags", "server"});
    cases.push_back({[](tb_config *c) { c->on_event = ignore; }, TB_E_UNSUPPORTED, "on_event", "server"});
    cases.push_back({[](tb_config *c) { c->on_wake = ignore_wake; }, TB_E_UNSUPPORTED, "on_wake", "server"});
    cases.push_back({[](tb_config *c) { c->max_lateness_ns = 5; }, TB_E_UNSUPPORTED, "max_lateness_ns", "server"});
    cases.push_back(
        {[](tb_config *c) { c->rate_tokens = 1234567.8901234; }, TB_E_OUT_OF_RANGE, "rate_tokens", "digits"});
    for (const Case &c : cases) {
        const tb_config config = config_of(c);
        tb_config_fault fault{};
        EXPECT_EQ(tb_remote_config_check(&config, 1000000000, &fault), c.status) << c.field;
        expect_fault(fault, c.field, c.allowed);
        tb_remote *none = nullptr;
        EXPECT_EQ(tb_remote_create(&config, 1000000000, &none), c.status) << c.field;
    }
    const tb_config limit = tb_test::config_of(10, 5, nullptr);
    tb_config_fault fault{};
    EXPECT_EQ(tb_remote_config_check(&limit, -1, &fault), TB_E_INVALID_ARGUMENT);
    expect_fault(fault, "max_wait_ns", "0 or more");
    EXPECT_EQ(tb_remote_config_check(&limit, INT64_MAX, &fault), TB_E_OUT_OF_RANGE);
    expect_fault(fault, "max_wait_ns", "shorter");
    const tb_config digits = tb_test::config_of(10, 3.141592653589793, nullptr);
    EXPECT_EQ(tb_remote_config_check(&digits, 60000000000, &fault), TB_E_OUT_OF_RANGE);
    expect_fault(fault, "rate_tokens", "digits");
}

TEST(ConfigCheck, OfAValidOneNamesNothing) {
    tb_config limit = tb_test::config_of(10, 5, nullptr);
    tb_table_config keys{};
    ASSERT_EQ(tb_table_config_init(&keys, sizeof keys), TB_SUCCESS);
    keys.max_keys = 10;
    const auto expect_none = [](tb_status status, tb_config_fault *fault) {
        EXPECT_EQ(status, TB_SUCCESS);
        EXPECT_EQ(fault->field, nullptr);
        EXPECT_EQ(fault->allowed, nullptr);
        *fault = {"", ""};
    };
    tb_config_fault fault{"", ""};
    expect_none(tb_config_check(&limit, &fault), &fault);
    expect_none(tb_table_config_check(&limit, &keys, &fault), &fault);
    expect_none(tb_remote_config_check(&limit, 0, &fault), &fault);
    EXPECT_EQ(tb_config_check(&limit, nullptr), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_table_config_check(&limit, &keys, nullptr), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_remote_config_check(&limit, 0, nullptr), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_config_check(nullptr, &fault), TB_E_INVALID_ARGUMENT);
    expect_fault(fault, "struct_size", "init");
    EXPECT_EQ(tb_table_config_check(&limit, nullptr, &fault), TB_E_INVALID_ARGUMENT);
    expect_fault(fault, "struct_size", "init");
}

}  // namespace
