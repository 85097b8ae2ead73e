// Two nodes of a cluster, between which a slot moves while calls go on: where a client follows MOVED and ASK as clients
// do, a bucket, its reservations and takes from many keys keep their limit.
#include <arpa/inet.h>
#include <netinet/in.h>

#include <array>
#include <memory>

#include "tests/remote/caller.h"

namespace {

using namespace tb_test;

constexpr double kCapacity = 50;

bool is_free(int port) {
    const int s = ::socket(AF_INET, SOCK_STREAM, 0);
    const int yes = 1;
    ::setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool is_bound = ::bind(s, reinterpret_cast<sockaddr *>(&address), sizeof address) == 0;
    ::close(s);
    return is_bound;
}

// Its bus has the port above it by 10000.
int free_port() {
    static int next = 20000 + ::getpid() % 20000;
    for (int tries = 0; tries < 10000; ++tries) {
        next = next < 50000 ? next + 1 : 20000;
        if (is_free(next) && is_free(next + 10000)) return next;
    }
    throw std::runtime_error("no free port");
}

struct Node {
    Node()
        : port(std::to_string(free_port())),
          server({"--cluster-enabled", "yes", "--port", port, "--bind", "127.0.0.1"}),
          client(server.path()) {
        id = client.ask({"CLUSTER", "MYID"}).text;
    }
    void ask(const Words &words) { EXPECT_EQ(client.ask(words).text, "OK") << words[1]; }

    const std::string port;
    const RedisServer server;
    RedisClient client;
    std::string id;
};

class RemoteCluster : public testing::Test {
  protected:
    static constexpr int kSlots = 16384;

    static void SetUpTestSuite() {
        nodes = std::make_unique<std::array<Node, 2>>();
        Node &a = (*nodes)[0], &b = (*nodes)[1];
        a.ask({"CLUSTER", "ADDSLOTSRANGE", "0", std::to_string(kSlots / 2 - 1)});
        b.ask({"CLUSTER", "ADDSLOTSRANGE", std::to_string(kSlots / 2), std::to_string(kSlots - 1)});
        b.ask({"CLUSTER", "MEET", "127.0.0.1", a.port});
        for (Node &node : *nodes)
            for (int tries = 0; !is_up(node) && tries < 1000; ++tries) ::usleep(10000);
    }
    static void TearDownTestSuite() { nodes.reset(); }
    // Does it see the cluster, and the other node as a primary of it?
    static bool is_up(Node &node) {
        const std::string info = node.client.ask({"CLUSTER", "INFO"}).text;
        const std::string seen = node.client.ask({"CLUSTER", "NODES"}).text;
        const std::size_t first = seen.find("master");
        return info.find("cluster_state:ok") != std::string::npos && first != std::string::npos &&
               seen.find("master", first + 1) != std::string::npos && seen.find("handshake") == std::string::npos;
    }

    Node &at(const std::string &port) { return (*nodes)[0].port == port ? (*nodes)[0] : (*nodes)[1]; }
    int64_t slot(const std::string &key) { return (*nodes)[0].client.ask({"CLUSTER", "KEYSLOT", key}).number; }
    // Where its slot is at first.
    Node &home(const std::string &key) { return (*nodes)[slot(key) < kSlots / 2 ? 0 : 1]; }
    Node &away(const std::string &key) { return (*nodes)[slot(key) < kSlots / 2 ? 1 : 0]; }

    RedisReply send(Node &node, const Words &words, bool asking) {
        if (asking) node.ask({"ASKING"});
        return node.client.ask(words);
    }
    // The port behind "MOVED slot host:port" and "ASK slot host:port".
    static std::string port_of(const std::string &text) { return text.substr(text.rfind(':') + 1); }

    RedisReply evaluate(const Words &keys, const Numbers &arguments) {
        const Words words = words_by_name(keys, arguments);
        Node *node = &at(known);
        bool asking = false;
        for (int hops = 0; hops < 5; ++hops) {
            RedisReply reply = send(*node, words, asking);
            if (is_no_script(reply)) reply = send(*node, words_with_text(words), asking);
            asking = reply.type == '-' && reply.text.rfind("ASK ", 0) == 0;
            const bool moved = reply.type == '-' && reply.text.rfind("MOVED ", 0) == 0;
            if (!asking && !moved) return reply;
            ++(asking ? asks : moves);
            node = &at(port_of(reply.text));
            if (moved) known = node->port;
        }
        return {'-', 0, "too many hops", {}};
    }
    Outcome ask(const std::string &key, const Numbers &arguments) {
        return outcome_of(remote.get(), arguments, evaluate(keys_of(key, arguments), arguments));
    }
    bool take(const std::string &key) {
        const Outcome o = ask(key, asked(remote.get(), tb_remote_take, 1));
        EXPECT_TRUE(o.is_granted() || o.is_denied()) << o.error;
        return o.is_granted();
    }
    Outcome reserve(const std::string &key, double n, tb_reservation *reservation) {
        const Numbers arguments = arguments_of(
            [&](int64_t *to, size_t *count) { return tb_remote_reserve(remote.get(), n, TB_FOREVER, to, count); });
        const RedisReply reply = evaluate(keys_of(key, arguments), arguments);
        const Outcome o = outcome_of(remote.get(), arguments, reply);
        if (!o.error.empty()) return o;
        const Numbers numbers = ScriptServer::numbers(reply);
        EXPECT_EQ(tb_remote_read_reservation(remote.get(), arguments.data(), arguments.size(), numbers.data(),
                                             numbers.size(), reservation),
                  TB_SUCCESS);
        return o;
    }
    Outcome cancel(const std::string &key, const tb_reservation &reservation) {
        return ask(key, arguments_of([&](int64_t *to, size_t *count) {
                       return tb_remote_cancel(remote.get(), &reservation, to, count);
                   }));
    }

    // The slot of that key moves from one node to the other; amid() is called after each step.
    template <class Amid>
    void move_slot(const std::string &key, Node *from, Node *to, Amid amid) {
        const std::string slot = std::to_string(this->slot(key));
        to->ask({"CLUSTER", "SETSLOT", slot, "IMPORTING", from->id});
        amid();
        from->ask({"CLUSTER", "SETSLOT", slot, "MIGRATING", to->id});
        amid();
        while (!HasFailure()) {
            const RedisReply keys = from->client.ask({"CLUSTER", "GETKEYSINSLOT", slot, "1"});
            if (keys.elements.empty()) break;
            from->ask({"MIGRATE", "127.0.0.1", to->port, keys.elements[0].text, "0", "5000"});
            amid();
        }
        to->ask({"CLUSTER", "SETSLOT", slot, "NODE", to->id});
        amid();
        from->ask({"CLUSTER", "SETSLOT", slot, "NODE", to->id});
        amid();
    }

    static std::unique_ptr<std::array<Node, 2>> nodes;
    const RemoteHandle remote = remote_of(config_of(kCapacity, 1e-4, nullptr), 1000000 * kSecond);
    std::string known = (*nodes)[0].port;  // where a client sends a call first
    int asks = 0, moves = 0;
};
std::unique_ptr<std::array<Node, 2>> RemoteCluster::nodes;

TEST_F(RemoteCluster, ABucketKeepsItsLimitWhileItsSlotMoves) {
    int granted = 0;
    const auto some = [&] {
        for (int i = 0; i < 3; ++i) granted += take("bucket") ? 1 : 0;
    };
    some();
    moves = 0;
    move_slot("bucket", &home("bucket"), &away("bucket"), some);
    EXPECT_GT(asks, 0);
    EXPECT_EQ(moves, 1);
    move_slot("bucket", &away("bucket"), &home("bucket"), some);
    while (take("bucket")) ++granted;
    EXPECT_EQ(granted, kCapacity);
}

// One whose key is new while the slot moves is made where the slot goes.
TEST_F(RemoteCluster, ANewBucketKeepsItsLimitWhileItsSlotMoves) {
    int granted = 0;
    move_slot("new", &home("new"), &away("new"), [&] { granted += take("new") ? 1 : 0; });
    while (take("new")) ++granted;
    EXPECT_EQ(granted, kCapacity);
}

// A call with two keys that lie on both sides, or of which one is absent, is an error while the slot moves; what was
// reserved is given back after it.
TEST_F(RemoteCluster, ReservationsMoveWithTheirBucket) {
    tb_reservation first{}, second{}, more{};
    EXPECT_TRUE(reserve("queue", 50, &first).is_granted());
    EXPECT_TRUE(reserve("queue", 20, &second).is_granted());
    EXPECT_GT(second.wait_ns, 0);
    int errors = 0;
    double reserved = 20;
    move_slot("queue", &home("queue"), &away("queue"), [&] {
        const Outcome o = reserve("queue", 1, &more);
        if (o.error.empty()) {
            reserved += 1;
        } else {
            ++errors;
            EXPECT_EQ(o.error.substr(0, 8), "TRYAGAIN");
        }
        EXPECT_FALSE(take("queue"));
    });
    EXPECT_GT(errors, 0);
    const Outcome back = cancel("queue", second);
    EXPECT_EQ(back.error, "");
    EXPECT_EQ(back.answer.tokens, 20);
    EXPECT_NEAR(back.answer.remaining, 20 - reserved, 1e-2);
}

TEST_F(RemoteCluster, TakesFromAllKeysOfATagMoveWithThem) {
    const Words keys{"{tag}1", "{tag}2", "{tag}3"};
    std::vector<tb_remote_member> members;
    for (const std::string &key : keys) members.push_back({remote.get(), key.data(), key.size(), 1});
    Numbers arguments(5 * keys.size() + 1);
    size_t count = 0;
    ASSERT_EQ(tb_remote_take_all(members.data(), members.size(), arguments.data(), &count), TB_SUCCESS);
    int granted = 0, errors = 0;
    const auto some = [&] {
        const RedisReply reply = evaluate(keys, arguments);
        if (reply.type == '-') {
            ++errors;
            EXPECT_EQ(reply.text.substr(0, 8), "TRYAGAIN");
            return false;
        }
        const bool all = ScriptServer::numbers(reply)[0] > 0;
        granted += all ? 1 : 0;
        return all;
    };
    some();
    move_slot("{tag}", &home("{tag}"), &away("{tag}"), some);
    EXPECT_GT(errors, 0);
    while (some()) {
    }
    EXPECT_EQ(granted, kCapacity);
    for (const std::string &key : keys) EXPECT_FALSE(take(key));
}

}  // namespace
