#include "capi/redis/src/endpoint.h"

#include <sys/un.h>

#include <cstddef>
#include <cstring>

namespace tb::redis {
namespace {

constexpr char kUnix[] = "unix:";
constexpr std::size_t kUnixSize = sizeof kUnix - 1;
constexpr std::size_t kMostPath = sizeof(sockaddr_un::sun_path) - 1;
constexpr int kMostPort = 65535;

bool read_port(const char *text, int *port) {
    int value = 0;
    if (*text == '\0') return false;
    for (; *text != '\0'; ++text) {
        if (*text < '0' || *text > '9') return false;
        value = 10 * value + (*text - '0');
        if (value > kMostPort) return false;
    }
    *port = value;
    return value > 0;
}

}  // namespace

tb_status Endpoint::init(const char *address, const char *user_name, const char *password_text,
                         int32_t database_number) {
    if (!address_.copy(address) || !user.copy(user_name) || !password.copy(password_text)) return TB_E_OUT_OF_MEMORY;
    database = database_number;
    return read(address_.get()) ? TB_SUCCESS : TB_E_INVALID_ARGUMENT;
}

bool Endpoint::read(char *address) {
    if (std::strncmp(address, kUnix, kUnixSize) == 0) {
        path = address + kUnixSize;
        const std::size_t size = std::strlen(path);
        return size > 0 && size <= kMostPath;
    }
    const bool in_brackets = address[0] == '[';
    char *const colon = std::strrchr(address, ':');
    if (colon == nullptr || !read_port(colon + 1, &port)) return false;
    char *const end = in_brackets ? colon - 1 : colon;
    host = in_brackets ? address + 1 : address;
    if (end <= host || (in_brackets && *end != ']')) return false;
    *end = '\0';
    return in_brackets || std::strchr(host, ':') == nullptr;
}

}  // namespace tb::redis
