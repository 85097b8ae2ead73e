#include "core/table/address.h"

#include <algorithm>
#include <string_view>

namespace tb {
namespace {

using std::string_view;

constexpr std::size_t kGroups = 8;
constexpr std::size_t kNone = ~std::size_t{0};

// string_view's own functions for these refer to the C++ library.
bool starts_with_gap(string_view text) {
    return text.size() >= 2 && text[0] == ':' && text[1] == ':';
}
string_view up_to(string_view text, std::size_t end) {
    return {text.data(), end};
}
string_view from(string_view text, std::size_t start) {
    return {text.data() + start, text.size() - start};
}

// The digits at the start of *text as a number up to `most`, which are removed; -1 if there is none, or it is larger or
// has more digits than `most`.
int take_number(string_view *text, int base, int most, std::size_t most_digits) {
    int value = 0;
    std::size_t digits = 0;
    for (; digits < text->size(); ++digits) {
        const char c = (*text)[digits];
        int digit = base;
        if (c >= '0' && c <= '9') digit = c - '0';
        if (c >= 'a' && c <= 'f') digit = c - 'a' + 10;
        if (c >= 'A' && c <= 'F') digit = c - 'A' + 10;
        if (digit >= base) break;
        if (digits == most_digits) return -1;
        value = value * base + digit;
    }
    text->remove_prefix(digits);
    return digits == 0 || value > most ? -1 : value;
}

bool is_port(string_view text) {
    return take_number(&text, 10, 65535, 5) >= 0 && text.empty();
}

// Four numbers without leading zeros, which some read as octal.
bool read_ipv4(string_view text, unsigned char *bytes) {
    for (int i = 0; i < 4; ++i) {
        if (i != 0) {
            if (text.empty() || text.front() != '.') return false;
            text.remove_prefix(1);
        }
        if (text.size() > 1 && text[0] == '0' && text[1] >= '0' && text[1] <= '9') return false;
        const int number = take_number(&text, 10, 255, 3);
        if (number < 0) return false;
        bytes[i] = static_cast<unsigned char>(number);
    }
    return text.empty();
}

// Groups of 16 bits, separated by colons, up to the end or a double colon; the last two may be an IPv4 address. How
// many were read, at most `room`; kNone if the text is none.
std::size_t read_groups(string_view *text, std::size_t room, unsigned char *bytes) {
    std::size_t groups = 0;
    for (;;) {
        const bool dotted = text->find('.') < text->find(':');
        if (dotted) {
            if (groups + 2 > room || !read_ipv4(*text, bytes + 2 * groups)) return kNone;
            text->remove_prefix(text->size());
            return groups + 2;
        }
        const int group = take_number(text, 16, 0xffff, 4);
        if (group < 0 || groups == room) return kNone;
        bytes[2 * groups] = static_cast<unsigned char>(group >> 8);
        bytes[2 * groups + 1] = static_cast<unsigned char>(group & 0xff);
        ++groups;
        if (text->empty() || starts_with_gap(*text)) return groups;
        if (text->front() != ':') return kNone;
        text->remove_prefix(1);
    }
}

bool read_ipv6(string_view text, unsigned char *bytes) {
    unsigned char before[2 * kGroups] = {};
    unsigned char behind[2 * kGroups] = {};
    const std::size_t first = starts_with_gap(text) ? 0 : read_groups(&text, kGroups, before);
    if (first == kNone) return false;
    std::size_t last = 0;
    if (!text.empty()) {
        if (first == kGroups) return false;
        text.remove_prefix(2);
        last = text.empty() ? 0 : read_groups(&text, kGroups - 1 - first, behind);
        if (last == kNone || !text.empty()) return false;
    } else if (first != kGroups) {
        return false;
    }
    std::fill(bytes, bytes + 2 * kGroups, static_cast<unsigned char>(0));
    std::copy(before, before + 2 * first, bytes);
    std::copy(behind, behind + 2 * last, bytes + 2 * (kGroups - last));
    return true;
}

bool is_mapped(const unsigned char *bytes) {
    constexpr unsigned char kPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return std::equal(kPrefix, kPrefix + 12, bytes);
}

// Takes off brackets and port, then a zone, which only IPv6 addresses have. One with more than one colon and no
// brackets has no port.
bool strip(string_view *text) {
    if (!text->empty() && text->front() == '[') {
        const std::size_t end = text->find(']');
        if (end == string_view::npos) return false;
        const string_view rest = from(*text, end + 1);
        if (!rest.empty() && (rest.front() != ':' || !is_port(from(rest, 1)))) return false;
        *text = from(up_to(*text, end), 1);
        if (text->find(':') == string_view::npos) return false;
    } else if (const std::size_t colon = text->find(':'); colon != string_view::npos && colon == text->rfind(':')) {
        if (!is_port(from(*text, colon + 1))) return false;
        *text = up_to(*text, colon);
    }
    const std::size_t zone = text->find('%');
    if (zone == string_view::npos) return true;
    if (zone + 1 == text->size() || text->find(':') > zone) return false;
    *text = up_to(*text, zone);
    return true;
}

void clear_behind(int prefix, unsigned char *bytes) {
    for (std::size_t i = 0; i < 2 * kGroups; ++i) {
        const int kept = std::clamp(prefix - 8 * static_cast<int>(i), 0, 8);
        bytes[i] = static_cast<unsigned char>(bytes[i] & (0xff00 >> kept));
    }
}

}  // namespace

bool read_address(const char *text, std::size_t size, int prefix, AddressKey *key) {
    string_view address(text, size);
    unsigned char bytes[AddressKey::kMostBytes] = {};
    if (!strip(&address)) return false;
    bool is_ipv4 = address.find(':') == string_view::npos;
    if (!(is_ipv4 ? read_ipv4(address, bytes) : read_ipv6(address, bytes))) return false;
    if (!is_ipv4 && is_mapped(bytes)) {
        std::copy(bytes + 12, bytes + 16, bytes);
        is_ipv4 = true;
    }
    if (!is_ipv4) clear_behind(prefix, bytes);
    key->size = is_ipv4 ? 4 : 16;
    std::copy(bytes, bytes + AddressKey::kMostBytes, key->bytes);
    return true;
}

}  // namespace tb
