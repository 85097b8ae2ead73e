// SPDX-License-Identifier: MIT
//
// What Bucket::open_shared and Table::open_shared say besides their status. Included by tokenbucket.hpp.
#ifndef TOKENBUCKET_SHARED_HPP
#define TOKENBUCKET_SHARED_HPP

#include <tokenbucket.h>

#include <cstdint>

#include "tokenbucket/result.hpp"

namespace tokenbucket {

// Why the memory of a name is not the bucket or table asked for. A later library may say another number.
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

// It as a sentence; static text.
inline const char *message(Difference difference) noexcept {
    return tb_shared_fault_message(static_cast<std::int32_t>(difference));
}

// Why shared memory was refused.
struct SharedFault {
    Difference difference{};  // with Status::mismatch
    int error_number = 0;     // with Status::system_error: an errno
};

namespace detail {

inline void tell(tb_status status, std::int32_t number, SharedFault *fault) noexcept {
    if (fault == nullptr) return;
    *fault = {};
    if (status == TB_E_MISMATCH) fault->difference = Difference{number};
    if (status == TB_E_SYSTEM) fault->error_number = number;
}

}  // namespace detail

// Removes the name of a shared bucket or table; see tb_shared_remove. *fault, which may be null, is always written.
inline Result<void> remove_shared(const char *name, SharedFault *fault = nullptr) noexcept {
    std::int32_t number = 0;
    const tb_status status = tb_shared_remove(name, &number);
    detail::tell(status, number, fault);
    return detail::done(status);
}

}  // namespace tokenbucket

#endif  // TOKENBUCKET_SHARED_HPP
