// Random traces: draws, and what was done so far in words, for the message of a failure.
#ifndef TOKENBUCKET_TESTS_SUPPORT_TRACE_H
#define TOKENBUCKET_TESTS_SUPPORT_TRACE_H

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <utility>

namespace tb_test {

class Trace {
  public:
    explicit Trace(uint64_t seed) : random_(seed) {}

    uint64_t draw() { return random_(); }
    int64_t below(int64_t n) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(n)); }
    int64_t between(int64_t least, int64_t most) { return least + below(most - least + 1); }
    bool one_in(int64_t n) { return below(n) == 0; }
    template <class T>
    const auto &pick(const T &list) {
        return list[static_cast<std::size_t>(below(static_cast<int64_t>(std::size(list))))];
    }

    void note(const char *what, int64_t a) { text_ += std::string(what) + " " + std::to_string(a) + "; "; }
    void note(const char *what, int64_t a, int64_t b) {
        text_ += std::string(what) + " " + std::to_string(a) + " " + std::to_string(b) + "; ";
    }
    const std::string &text() const { return text_; }

  private:
    std::mt19937_64 random_;
    std::string text_;
};

// A trace, as a list of ops, without all that its fault does not need. Two faults are the same if their first `known`
// letters are; fault_of(trace) is empty if there is none.
template <class Ops, class FaultOf>
Ops shrunk(Ops ops, FaultOf fault_of, std::size_t known) {
    const auto kind_of = [&](const Ops &other) { return fault_of(other).substr(0, known); };
    const std::string kind = kind_of(ops);
    for (std::size_t i = ops.size(); i-- > 0;) {
        Ops less = ops;
        less.erase(less.begin() + static_cast<std::ptrdiff_t>(i));
        if (kind_of(less) != kind) continue;
        ops = std::move(less);
        i = ops.size();
    }
    return ops;
}

}  // namespace tb_test

#endif
