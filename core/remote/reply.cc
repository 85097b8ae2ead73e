#include "core/remote/reply.h"

namespace tb {
namespace {

class Reader {
  public:
    Reader(const char *text, std::size_t size) : at_(text), end_(text + size) {}

    bool is_at_end() const { return at_ == end_; }
    bool skip(char c) {
        if (at_ == end_ || *at_ != c) return false;
        ++at_;
        return true;
    }
    // The rest of a line: a number of at most 18 digits, and the line end.
    bool number(int64_t *number) {
        const bool negative = skip('-');
        int64_t n = 0;
        int digits = 0;
        for (; at_ != end_ && *at_ >= '0' && *at_ <= '9'; ++at_, ++digits) {
            if (digits == 18) return false;
            n = n * 10 + (*at_ - '0');
        }
        *number = negative ? -n : n;
        return digits != 0 && skip('\r') && skip('\n');
    }

  private:
    const char *at_;
    const char *const end_;
};

// The numbers of the text, which are `length`; where `numbers` is null they are only checked.
bool read_numbers(Reader reader, std::size_t length, int64_t *numbers) {
    for (std::size_t i = 0; i < length; ++i) {
        int64_t number = 0;
        if (!reader.skip(':') || !reader.number(&number)) return false;
        if (numbers != nullptr) numbers[i] = number;
    }
    return reader.is_at_end();
}

}  // namespace

Status parse_reply(const char *text, std::size_t size, int64_t *numbers, std::size_t room, std::size_t *count) {
    Reader reader(text, size);
    int64_t length = 1;
    if (reader.skip('*') && !reader.number(&length)) return Status::invalid_argument;
    if (length < 0 || static_cast<uint64_t>(length) > room) return Status::invalid_argument;
    const std::size_t wanted = static_cast<std::size_t>(length);
    if (!read_numbers(reader, wanted, nullptr)) return Status::invalid_argument;
    read_numbers(reader, wanted, numbers);
    *count = wanted;
    return Status::success;
}

}  // namespace tb
