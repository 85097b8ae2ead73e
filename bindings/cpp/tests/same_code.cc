// Pairs of functions, once through the C++ class and once in C: they must compile to the same code. All are
// noexcept, as the class is: for all the compiler knows a C function may throw, and then no call is a tail call.
#include <string_view>

#include "tokenbucket.hpp"

using std::chrono::nanoseconds;
using tokenbucket::Bucket;
using tokenbucket::Limits;
using tokenbucket::Table;

namespace {

// What a program in C would keep of its limits.
struct CLimits {
    tb_member members[TB_MAX_MEMBERS];
    size_t count;
};

}  // namespace

extern "C" {

bool cpp_allow(Bucket &b) noexcept {
    return bool(b.allow(1));
}
bool c_allow(tb_bucket *const &b) noexcept {
    return tb_allow(b, 1) == TB_SUCCESS;
}

tb_status cpp_allow_status(Bucket &b, double n) noexcept {
    return static_cast<tb_status>(b.allow(n).status());
}
tb_status c_allow_status(tb_bucket *const &b, double n) noexcept {
    return tb_allow(b, n);
}

bool cpp_wait_for(Bucket &b) noexcept {
    return bool(b.wait_for(5, std::chrono::milliseconds(1500)));
}
bool c_wait_for(tb_bucket *const &b) noexcept {
    return tb_wait_for(b, 5, 1500000000) == TB_SUCCESS;
}

std::int64_t cpp_retry(Bucket &b) noexcept {
    return b.take(2).retry_after.count();
}
std::int64_t c_retry(tb_bucket *const &b) noexcept {
    tb_decision d{};
    tb_take(b, 2, &d);
    return d.retry_after_ns;
}

void cpp_refund(Bucket &b) noexcept {
    (void)b.refund(1);
}
void c_refund(tb_bucket *const &b) noexcept {
    tb_refund(b, 1);
}

bool cpp_table_allow(Table &t, std::string_view key) noexcept {
    return bool(t.allow(key));
}
bool c_table_allow(tb_table *const &t, std::string_view key) noexcept {
    return tb_table_allow(t, key.data(), key.size(), 1) == TB_SUCCESS;
}

std::int64_t cpp_table_retry(Table &t, std::string_view key) noexcept {
    return t.take(key, 2).retry_after.count();
}
std::int64_t c_table_retry(tb_table *const &t, std::string_view key) noexcept {
    tb_decision d{};
    tb_table_take(t, key.data(), key.size(), 2, &d);
    return d.retry_after_ns;
}

bool cpp_allow_all(const Limits &l) noexcept {
    return bool(l.allow());
}
bool c_allow_all(const CLimits &l) noexcept {
    tb_refusal refusal{-1, 0, 0};
    return tb_allow_all(l.members, l.count, &refusal) == TB_SUCCESS;
}

bool cpp_wait_all(const Limits &l) noexcept {
    return bool(l.wait_for(std::chrono::milliseconds(1500), 2));
}
bool c_wait_all(const CLimits &l) noexcept {
    tb_refusal refusal{-1, 0, 0};
    return tb_wait_all(l.members, l.count, 1500000000, 2, &refusal) == TB_SUCCESS;
}

std::int64_t cpp_retry_all(const Limits &l) noexcept {
    return l.allow().refusal().retry_after.count();
}
std::int64_t c_retry_all(const CLimits &l) noexcept {
    tb_refusal refusal{-1, 0, 0};
    tb_allow_all(l.members, l.count, &refusal);
    return refusal.retry_after_ns;
}
}
