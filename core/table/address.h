// The key of a network address: one for each IPv4 address, and one for each IPv6 network of a given prefix.
#ifndef TOKENBUCKET_CORE_TABLE_ADDRESS_H
#define TOKENBUCKET_CORE_TABLE_ADDRESS_H

#include <cstddef>
#include <cstdint>

namespace tb {

struct AddressKey {
    static constexpr std::size_t kMostBytes = 16;

    unsigned char bytes[kMostBytes];
    std::size_t size;  // 4: IPv4; 16: IPv6, with zeros behind the prefix
};

// Reads an IPv4 or IPv6 address, with or without brackets, port and zone; a mapped IPv4 address is that address. The
// prefix is 0 .. 128. False if the text is no address; *key is written on success only.
bool read_address(const char *text, std::size_t size, int prefix, AddressKey *key);

}  // namespace tb

#endif
