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

    static inline const pid_t owner = ::getpid();
};

}  // namespace tb_test

#endif
