#include "core/remote/keys.h"

namespace tb {
namespace {

char *append(char *at, std::string_view text) {
    for (const char c : text) *at++ = c;
    return at;
}

}  // namespace

std::string_view tag_of(std::string_view key) {
    for (std::size_t from = 0; from < key.size(); ++from) {
        if (key[from] != '{') continue;
        for (std::size_t to = from + 1; to < key.size(); ++to)
            if (key[to] == '}') return to == from + 1 ? key : std::string_view(key.data() + from + 1, to - from - 1);
        return key;
    }
    return key;
}

Status queue_key(std::string_view key, char *out, std::size_t *out_size) {
    const bool has_tag = tag_of(key).size() != key.size();
    if (!has_tag) {
        if (key.empty()) return Status::invalid_argument;
        for (const char c : key)
            if (c == '}') return Status::invalid_argument;
    }
    char *at = append(out, has_tag ? "q:" : "q:{");
    at = append(append(at, key), has_tag ? "" : "}");
    *out_size = static_cast<std::size_t>(at - out);
    return Status::success;
}

}  // namespace tb
