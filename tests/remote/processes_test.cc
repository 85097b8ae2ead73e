// Three processes that take from one key as fast as they can, while the script is flushed and, once, the server is
// killed and comes back empty. Of each grant it is known that it was between two times by the clock that the server
// has, too; so a window that surely holds too many is found.
#include <time.h>

#include <algorithm>
#include <fstream>

#include "tests/remote/caller.h"

namespace {

using namespace tb_test;

constexpr double kCapacity = 100, kRate = 3000;
constexpr int kProcesses = 3;
constexpr int64_t kLastsUs = 1200000, kKilledAfterUs = 500000;

int64_t now_us() {
    timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

struct Grant {
    int64_t asked_us, told_us;
};

// What a process does: it writes its grants into the file. A server that is gone is asked again.
int take_until(int64_t end_us, const std::string &path, const tb_remote *remote, const std::string &file) {
    std::ofstream log(file);
    while (now_us() < end_us) {
        try {
            Caller caller(path, remote);
            while (now_us() < end_us) {
                const int64_t asked_us = now_us();
                const Outcome o = caller.take("k", 1);
                const int64_t told_us = now_us();
                if (o.is_granted()) log << asked_us << " " << told_us << "\n";
                if (!o.is_granted() && !o.is_denied() && o.error.rfind("LOADING", 0) != 0) return 1;
            }
        } catch (const std::runtime_error &) {
            ::usleep(1000);
        }
    }
    return log.good() ? 0 : 1;
}

std::vector<Grant> read_grants(const std::string &file) {
    std::ifstream log(file);
    std::vector<Grant> grants;
    for (Grant g{}; log >> g.asked_us >> g.told_us;) grants.push_back(g);
    return grants;
}

// How many more than it may hold has the worst window? A grant is surely in it if its call is. Of a window that holds
// the time at which the server was empty one capacity more is allowed.
double worst_excess(std::vector<Grant> grants, int64_t killed_us, int64_t back_us) {
    const auto is_later = [](const Grant &a, const Grant &b) { return a.asked_us > b.asked_us; };
    std::sort(grants.begin(), grants.end(), is_later);
    std::vector<int64_t> told;  // of those asked no sooner than the window begins, in order
    double worst = -kCapacity;
    for (const Grant &first : grants) {
        told.insert(std::upper_bound(told.begin(), told.end(), first.told_us), first.told_us);
        for (std::size_t i = 0; i < told.size(); ++i) {
            const double us = static_cast<double>(told[i] - first.asked_us + 2);  // both ends are rounded
            const double more = first.asked_us <= back_us && told[i] >= killed_us ? kCapacity : 0;
            worst = std::max(worst, static_cast<double>(i + 1) - (kCapacity + more + kRate * us / 1e6));
        }
    }
    return worst;
}

TEST(RemoteProcesses, ShareOneLimitThroughAllThatHappens) {
    const RemoteHandle remote = remote_of(config_of(kCapacity, kRate, nullptr), 0);
    RedisServer redis;
    char name[] = "/tmp/tokenbucket-grants-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    const std::string folder = name;
    const int64_t start_us = now_us(), end_us = start_us + kLastsUs;
    pid_t children[kProcesses];
    for (int i = 0; i < kProcesses; ++i) {
        children[i] = ::fork();
        if (children[i] == 0)
            std::_Exit(take_until(end_us, redis.path(), remote.get(), folder + "/" + std::to_string(i)));
    }
    int64_t killed_us = 0, back_us = 0;
    while (now_us() < end_us) {
        ::usleep(50000);
        RedisClient(redis.path()).ask({"SCRIPT", "FLUSH"});
        if (killed_us != 0 || now_us() < start_us + kKilledAfterUs) continue;
        killed_us = now_us();
        redis.end(SIGKILL);
        redis.start();
        back_us = now_us();
    }
    std::vector<Grant> grants;
    for (int i = 0; i < kProcesses; ++i) {
        int status = -1;
        ::waitpid(children[i], &status, 0);
        EXPECT_EQ(status, 0);
        const std::vector<Grant> its = read_grants(folder + "/" + std::to_string(i));
        EXPECT_GT(its.size(), 100u);
        grants.insert(grants.end(), its.begin(), its.end());
    }
    std::filesystem::remove_all(folder);
    const double excess = worst_excess(grants, killed_us, back_us);
    std::cout << grants.size() << " grants; the fullest window has " << -excess << " tokens to spare\n";
    EXPECT_LE(excess, 1e-6);
    EXPECT_GT(static_cast<double>(grants.size()), kCapacity + kRate * 0.3);
}

}  // namespace
