// SipHash-1-3 (Aumasson and Bernstein): a keyed hash of bytes. Who does not know the key cannot find keys that collide.
#ifndef TOKENBUCKET_CORE_TABLE_SIPHASH_H
#define TOKENBUCKET_CORE_TABLE_SIPHASH_H

#include <cstddef>
#include <cstdint>

namespace tb {

struct HashSecret {
    uint64_t first;
    uint64_t second;
};

uint64_t siphash13(const HashSecret &secret, const void *bytes, std::size_t size);

}  // namespace tb

#endif
