// SPDX-License-Identifier: MIT
//
// What Bucket::open_shared and Table::open_shared say besides their status. Included by tokenbucket.hpp.
#ifndef TOKENBUCKET_SHARED_HPP
#define TOKENBUCKET_SHARED_HPP

#include <tokenbucket.h>

#include <cstdint>
#include <cstring>

#include "tokenbucket/config.hpp"
#include "tokenbucket/result.hpp"

namespace tokenbucket {

/// Why the memory of a name is not the bucket or table asked for. A later library may say another number.
enum class Difference : std::int32_t {
    kind = TB_SHARED_KIND,
    owner = TB_SHARED_OWNER,
    mode = TB_SHARED_MODE,
    size = TB_SHARED_SIZE,
    layout = TB_SHARED_LAYOUT,
    boot = TB_SHARED_BOOT,
    clock = TB_SHARED_CLOCK,
    damaged = TB_SHARED_DAMAGED,
    capacity = TB_SHARED_CAPACITY,
    rate = TB_SHARED_RATE,
    object = TB_SHARED_OBJECT,
    places = TB_SHARED_PLACES,
    when_full = TB_SHARED_FULL,
};

/// It as a sentence; static text.
inline const char *message(Difference difference) noexcept {
    return tb_shared_fault_message(static_cast<std::int32_t>(difference));
}

/// Why shared memory was refused.
struct SharedFault {
    Difference difference{};  ///< with Status::mismatch
    int error_number = 0;     ///< with Status::system_error: an errno
};

namespace detail {

// False: it is no difference of the limits, or the bucket is gone.
inline bool append_difference(Message &message, std::int32_t number, const char *name, const tb_config &c) noexcept {
    if (number != TB_SHARED_CAPACITY && number != TB_SHARED_RATE) return false;
    tb_bucket *bucket = nullptr;
    if (tb_shared_open(&c, name, TB_SHARED_ADOPT, &bucket, nullptr) != TB_SUCCESS) return false;
    tb_config found;
    tb_config_init(&found, sizeof found);
    tb_get_limit(bucket, &found);
    tb_destroy(bucket);
    if (number == TB_SHARED_CAPACITY) {
        append(message, "capacity must be %.15g, got %.15g", found.capacity, c.capacity);
        return true;
    }
    append(message, "rate_tokens must be %.15g", found.rate_tokens);
    if (found.rate_period_ns != c.rate_period_ns) append(message, " in %.15gs", seconds(found.rate_period_ns));
    append(message, ", got %.15g", c.rate_tokens);
    if (found.rate_period_ns != c.rate_period_ns) append(message, " in %.15gs", seconds(c.rate_period_ns));
    return true;
}

inline void tell(tb_status status, std::int32_t number, SharedFault *fault) noexcept {
    if (fault == nullptr) return;
    *fault = {};
    if (status == TB_E_MISMATCH) fault->difference = Difference{number};
    if (status == TB_E_SYSTEM) fault->error_number = number;
}

// Why a name was not opened for the config; of another limit, what was found and what was asked for.
inline Message message_of(tb_status status, std::int32_t number, const char *name, const tb_config &c) noexcept {
    if (status == TB_E_INVALID_ARGUMENT || status == TB_E_OUT_OF_RANGE) {
        tb_config_fault fault{nullptr, nullptr};
        tb_config_check(&c, &fault);
        if (fault.field != nullptr) return message_of(fault, c, "rate_tokens");
    }
    const char *const shown = name == nullptr ? "" : name;
    Message message;
    if (status == TB_E_INVALID_ARGUMENT) append(message, "name must be %s, got %s", kBucketName, shown);
    if (status == TB_E_UNSUPPORTED && c.clock != nullptr) append(message, "clock must be null for a shared bucket");
    if (status != TB_E_MISMATCH && status != TB_E_SYSTEM) return message;
    append(message, "shared bucket \"%s\": ", shown);
    if (status == TB_E_SYSTEM)
        // NOLINTNEXTLINE(concurrency-mt-unsafe): the text of a known number is static
        append(message, "%s", std::strerror(number));
    else if (!append_difference(message, number, name, c))
        append(message, "%s", tb_shared_fault_message(number));
    return message;
}

// As above, of a table.
inline Message message_of(tb_status status, std::int32_t number, const char *name, const tb_config &limit,
                          const tb_table_config &config) noexcept {
    tb_config_fault fault{nullptr, nullptr};
    tb_table_config_check(&limit, &config, &fault);
    if (fault.field != nullptr) return message_of(fault, limit, "rate_tokens", &config);
    const char *const shown = name == nullptr ? "" : name;
    Message message;
    if (status == TB_E_INVALID_ARGUMENT) append(message, "name must be %s, got %s", kBucketName, shown);
    if (status == TB_E_MISMATCH) append(message, "shared table \"%s\": %s", shown, tb_shared_fault_message(number));
    // NOLINTNEXTLINE(concurrency-mt-unsafe): the text of a known number is static
    if (status == TB_E_SYSTEM) append(message, "shared table \"%s\": %s", shown, std::strerror(number));
    return message;
}

}  // namespace detail

/// Removes the name of a shared bucket or table; see tb_shared_remove. *fault, which may be null, is always written.
inline Result<void> remove_shared(const char *name, SharedFault *fault = nullptr) noexcept {
    std::int32_t number = 0;
    const tb_status status = tb_shared_remove(name, &number);
    detail::tell(status, number, fault);
    return detail::done(status, {detail::Kind::told, "name", 0, detail::kBucketName});
}

}  // namespace tokenbucket

#endif  // TOKENBUCKET_SHARED_HPP
