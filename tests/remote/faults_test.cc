// The server dies, hangs, forgets, fails over and runs out of memory. Nothing of that is a grant or a denial, and what
// comes back on top is what the header says. The limit is so slow that a test counts whole tokens.
#include <arpa/inet.h>
#include <netinet/in.h>

#include <chrono>

#include "tests/remote/caller.h"

namespace {

using namespace tb_test;

constexpr double kCapacity = 50;

class RemoteFaults : public testing::Test {
  protected:
    const RemoteHandle remote = remote_of(config_of(kCapacity, 1e-4, nullptr), 0);
};

TEST_F(RemoteFaults, AServerThatIsKilledAndEmptyGivesOneCapacityMore) {
    RedisServer redis;
    {
        Caller caller(redis.path(), remote.get());
        EXPECT_EQ(caller.drain("k"), kCapacity);
        redis.end(SIGKILL);
        EXPECT_THROW(caller.take("k", 1), std::runtime_error);
        EXPECT_FALSE(RedisClient(redis.path()).is_open());
    }
    redis.start();
    Caller again(redis.path(), remote.get());
    EXPECT_EQ(again.drain("k"), kCapacity);
    EXPECT_EQ(again.texts, 1);
}

// What it has told is on its disk: killed amid a stream of takes it grants nothing twice.
TEST_F(RemoteFaults, AServerThatWritesEachCallToDiskGivesNothingMore) {
    RedisServer redis({"--appendonly", "yes", "--appendfsync", "always"});
    int granted = 0;
    for (int killed = 0; killed < 3; ++killed) {
        Caller caller(redis.path(), remote.get());
        for (int i = 0; i < 10; ++i) granted += caller.take("k", 1).is_granted() ? 1 : 0;
        EXPECT_EQ(granted, 10 * (killed + 1));
        // Sent, and not waited for.
        const Words words = words_by_name({"k"}, asked(remote.get(), tb_remote_take, 1));
        for (int i = 0; i < 3; ++i) caller.client.send(words);
        if (caller.client.receive().type != '-') ++granted;
        redis.end(SIGKILL);
        redis.start();
        const double left = Caller(redis.path(), remote.get()).left("k");
        EXPECT_LE(left, kCapacity - granted + 1e-2);
        EXPECT_GE(left, kCapacity - granted - 2);  // the two whose replies nobody read
        granted = 10 * (killed + 1);
        const Numbers reset = asked(remote.get(), tb_remote_reset, kCapacity - granted);
        EXPECT_TRUE(Caller(redis.path(), remote.get()).ask("k", reset).is_granted());
    }
    EXPECT_EQ(Caller(redis.path(), remote.get()).drain("k"), kCapacity - granted);
}

// A caller that gives up loses at most the tokens of its call.
TEST_F(RemoteFaults, AServerThatHangsGrantsNothingUntilItGoesOn) {
    RedisServer redis;
    Caller before(redis.path(), remote.get());
    EXPECT_TRUE(before.take("k", 10).is_granted());
    redis.signal(SIGSTOP);
    constexpr int kCalls = 3;
    const auto began = std::chrono::steady_clock::now();
    for (int i = 0; i < kCalls; ++i) {
        Caller caller(redis.path(), remote.get());
        caller.client.give_up_after_ms(20);
        EXPECT_THROW(caller.take("k", 1), std::runtime_error);
    }
    EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(2));
    redis.signal(SIGCONT);
    const double left = Caller(redis.path(), remote.get()).left("k");
    EXPECT_LE(left, kCapacity - 10 + 1e-2);
    EXPECT_GE(left, kCapacity - 10 - kCalls);
}

TEST_F(RemoteFaults, AScriptThatIsForgottenIsSentOnce) {
    const RemoteHandle fast = remote_of(config_of(kCapacity, 1, nullptr), 0);
    RedisServer redis;
    Caller caller(redis.path(), fast.get());
    RedisClient other(redis.path());
    int flushes = 0, granted = 0;
    const auto began = std::chrono::steady_clock::now();
    for (int i = 0; i < 5000; ++i) {
        if (i % 500 == 0) flushes += other.ask({"SCRIPT", "FLUSH"}).text == "OK" ? 1 : 0;
        const Outcome o = caller.take("k", 1);
        EXPECT_TRUE(o.is_granted() || o.is_denied()) << o.error;
        granted += o.is_granted() ? 1 : 0;
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    EXPECT_EQ(caller.texts, flushes);
    EXPECT_LE(granted, kCapacity + seconds + 1e-3);
    EXPECT_GE(granted, kCapacity);
}

// ---- Failover

int free_port() {
    const int s = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    const bool is_bound = ::bind(s, reinterpret_cast<sockaddr *>(&address), size) == 0 &&
                          ::getsockname(s, reinterpret_cast<sockaddr *>(&address), &size) == 0;
    ::close(s);
    return is_bound ? ntohs(address.sin_port) : 0;
}

void wait_for(RedisClient &client, const char *section, const char *text) {
    for (int tries = 0; tries < 1000; ++tries) {
        if (client.ask({"INFO", section}).text.find(text) != std::string::npos) return;
        ::usleep(10000);
    }
    ADD_FAILURE() << "never: " << text;
}

// What the new primary has not heard of is granted again, and no more; the old one grants nothing from then on.
TEST_F(RemoteFaults, AReplicaThatLagsGivesWhatItHasNotHeardOf) {
    const std::string first_port = std::to_string(free_port()), second_port = std::to_string(free_port());
    RedisServer first({"--port", first_port, "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0"});
    RedisServer second({"--port", second_port, "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0"});
    Caller old(first.path(), remote.get()), promoted(second.path(), remote.get());
    promoted.client.ask({"REPLICAOF", "127.0.0.1", first_port});
    wait_for(promoted.client, "replication", "master_link_status:up");
    EXPECT_TRUE(old.take("k", 20).is_granted());
    EXPECT_EQ(old.client.ask({"WAIT", "1", "5000"}).number, 1);
    promoted.client.ask({"REPLICAOF", "NO", "ONE"});
    EXPECT_TRUE(old.take("k", 17).is_granted());

    EXPECT_EQ(promoted.drain("k"), kCapacity - 20);
    EXPECT_EQ(promoted.texts, 1);  // scripts do not follow
    old.client.ask({"REPLICAOF", "127.0.0.1", second_port});
    wait_for(old.client, "replication", "master_link_status:up");
    EXPECT_TRUE(old.take("k", 1).is_denied());
    EXPECT_EQ(old.take("other", 1).error.substr(0, 8), "READONLY");
    EXPECT_EQ(promoted.left("other"), kCapacity);
}

// ---- Memory

TEST_F(RemoteFaults, AServerWithoutMemoryRefusesWithAnError) {
    RedisServer redis;
    Caller caller(redis.path(), remote.get());
    EXPECT_TRUE(caller.take("k", 20).is_granted());
    caller.client.ask({"CONFIG", "SET", "maxmemory", "1"});
    EXPECT_EQ(caller.take("k", 1).error.substr(0, 3), "OOM");
    EXPECT_EQ(caller.take("new", 1).error.substr(0, 3), "OOM");
    EXPECT_TRUE(caller.take("k", 40).is_denied());  // writes nothing
    const Numbers charge = asked(remote.get(), tb_remote_charge, 1);
    EXPECT_EQ(caller.ask("k", charge).error.substr(0, 3), "OOM");
    caller.client.ask({"CONFIG", "SET", "maxmemory", "0"});
    EXPECT_EQ(caller.drain("k"), kCapacity - 20);
    EXPECT_EQ(caller.drain("new"), kCapacity);
}

// Each eviction of a bucket gives one capacity, and one of another key nothing.
TEST_F(RemoteFaults, AnEvictedBucketIsFull) {
    RedisServer redis({"--maxmemory-policy", "allkeys-lru"});
    Caller caller(redis.path(), remote.get());
    EXPECT_EQ(caller.drain("k"), kCapacity);
    const std::string info = caller.client.ask({"INFO", "memory"}).text;
    const std::size_t at = info.find("used_memory:") + 12;
    const int64_t used = std::stoll(info.substr(at));
    caller.client.ask({"CONFIG", "SET", "maxmemory", std::to_string(used + 1000000)});
    const std::string filling(1000, 'x');
    int64_t sets = 0, evictions = 0;
    int granted = 0;
    for (; evictions < 3 && sets < 100000; ++sets) {
        caller.client.ask({"SET", "filling:" + std::to_string(sets), filling});
        if (sets % 10 != 0 || caller.client.ask({"EXISTS", "k"}).number != 0) continue;
        ++evictions;
        granted += caller.drain("k");
    }
    EXPECT_EQ(evictions, 3);
    EXPECT_EQ(granted, 3 * kCapacity);
}

}  // namespace
