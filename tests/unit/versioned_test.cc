// Records that are read while they are written.
#include "core/versioned.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <thread>

namespace {

constexpr std::size_t kFields = 64;

struct Record {
    std::array<uint64_t, kFields> fields;
};

Record of(uint64_t number) {
    Record r;
    r.fields.fill(number);
    return r;
}

bool is_of_one_piece(const Record &r) {
    for (const uint64_t field : r.fields)
        if (field != r.fields[0]) return false;
    return true;
}

TEST(Versioned, AVersionIsNeverUsedTwice) {
    tb::Versioned<Record> v;
    uint64_t last = v.version();
    EXPECT_TRUE(v.is_still(last));
    for (uint64_t i = 0; i < 100; ++i) {
        v.store(of(i));
        EXPECT_FALSE(v.is_still(last));
        EXPECT_GT(v.version(), last);
        last = v.version();
        EXPECT_TRUE(v.is_still(last));
        EXPECT_TRUE(v.is_whole());
        EXPECT_EQ(v.load().fields[kFields - 1], i);
    }
}

TEST(Versioned, FieldsAreReadByTheirOffset) {
    struct Two {
        uint64_t first;
        uint64_t second;
    };
    tb::Versioned<Two> v;
    v.store({3, 4});
    EXPECT_EQ(v.at<offsetof(Two, first)>(), 3u);
    EXPECT_EQ(v.at<offsetof(Two, second)>(), 4u);
}

// So many reads are torn, or so much is written where only one thread runs at a time.
constexpr int kTorn = 20000;
constexpr uint64_t kMost = 1000000;

class Writer {
  public:
    explicit Writer(tb::Versioned<Record> *v)
        : thread_([this, v] {
              while (!stop_) v->store(of(++written_));
          }) {}
    ~Writer() {
        stop_ = true;
        thread_.join();
    }
    uint64_t written() const { return written_; }

  private:
    std::atomic<uint64_t> written_{0};
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

TEST(Versioned, WhatIsStillTheSameWasReadWhole) {
    tb::Versioned<Record> v;
    const Writer writer(&v);
    uint64_t last = 0;
    for (int torn = 0; torn < kTorn && writer.written() < kMost;) {
        const uint64_t version = v.version();
        const Record read = v.load();
        if (!v.is_still(version)) {
            ++torn;
            continue;
        }
        ASSERT_TRUE(is_of_one_piece(read));
        ASSERT_GE(read.fields[0], last) << "never back to an older one";
        last = read.fields[0];
    }
}

TEST(Versioned, OneThatIsBeingWrittenIsNeverTheSame) {
    tb::Versioned<Record> v;
    const Writer writer(&v);
    for (int torn = 0; torn < kTorn && writer.written() < kMost;) {
        const uint64_t version = v.version();
        ASSERT_EQ(version % 2, 0u);
        if (!v.is_still(version)) {
            ++torn;
            continue;
        }
        const uint64_t first = v.at<0>();
        const uint64_t last = v.at<(kFields - 1) * sizeof(uint64_t)>();
        ASSERT_TRUE(first == last || !v.is_still(version));
    }
}

// In the child of a fork that came amid a write: no reader takes the half for a whole, and the next write mends it.
bool half_written_is_mended(tb::Versioned<Record> *v) {
    const uint64_t version = v->version();
    if (v->is_still(version) || version % 2 != 0) return false;
    v->store(of(7));
    const uint64_t next = v->version();
    return v->is_whole() && next > version && v->is_still(next) && v->load().fields[kFields - 1] == 7;
}

TEST(Versioned, AForkMayCutAWriteOff) {
    enum { mended, broken, missed };
    tb::Versioned<Record> v;
    const Writer writer(&v);
    while (writer.written() == 0) std::this_thread::yield();
    int outcome = missed;
    for (int tries = 0; outcome == missed && tries < 1000; ++tries) {
        const pid_t child = fork();
        if (child == 0) _exit(v.is_whole() ? missed : half_written_is_mended(&v) ? mended : broken);
        int status = 0;
        ASSERT_EQ(waitpid(child, &status, 0), child);
        ASSERT_TRUE(WIFEXITED(status));
        outcome = WEXITSTATUS(status);
    }
    EXPECT_EQ(outcome, mended);
}

}  // namespace
