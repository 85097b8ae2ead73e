// Memory of a name that is the test's own, and the processes that use it.
#ifndef TOKENBUCKET_TESTS_SUPPORT_SHARED_H
#define TOKENBUCKET_TESTS_SUPPORT_SHARED_H

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "capi/include/tokenbucket.h"

namespace tb_test {

class SharedTest : public testing::Test {
  protected:
    void TearDown() override { std::filesystem::remove_all(path()); }

    static std::string name() { return "tokenbucket-test-" + std::to_string(owner); }
    static std::string path() { return "/dev/shm/" + name(); }

    // Writes into the file of that name.
    static void write(const std::string &bytes, off_t at) {
        const int file = ::open(path().c_str(), O_RDWR | O_CREAT, 0600);
        ASSERT_EQ(::pwrite(file, bytes.data(), bytes.size(), at), static_cast<ssize_t>(bytes.size()));
        ::close(file);
    }

    // Runs f in a child, whose exit status it is.
    template <class F>
    static pid_t in_child(F f) {
        const pid_t child = ::fork();
        if (child == 0) ::_exit(f());
        return child;
    }
    static int result_of(pid_t child) {
        int status = 0;
        ::waitpid(child, &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }

    // Each child waits for 2 tokens behind those before it, of an object of which nothing is left, and is served when
    // the parent refunds that. wait() and refund() return a status, available() tokens.
    template <class Wait, class Available, class Refund>
    static void expect_served_in_order(Wait wait, Available available, Refund refund) {
        constexpr int kChildren = 4;
        int pipe[2];
        ASSERT_EQ(::pipe(pipe), 0);
        std::vector<pid_t> children;
        for (char i = 0; i < kChildren; ++i) {
            children.push_back(in_child([&] { return wait() == TB_SUCCESS && ::write(pipe[1], &i, 1) == 1 ? 0 : 1; }));
            while (available() > -2.0 * (i + 1) + 1) ::usleep(1000);
        }
        for (char i = 0; i < kChildren; ++i) {
            EXPECT_EQ(refund(), TB_SUCCESS);
            char served = -1;
            EXPECT_EQ(::read(pipe[0], &served, 1), 1);
            EXPECT_EQ(served, i);
        }
        for (const pid_t child : children) EXPECT_EQ(result_of(child), 0);
        ::close(pipe[0]);
        ::close(pipe[1]);
    }

    static inline const pid_t owner = ::getpid();
};

}  // namespace tb_test

#endif
