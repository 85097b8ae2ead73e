// What is sent to the server together: the questions of some threads, in their order.
#ifndef TOKENBUCKET_CAPI_REDIS_SRC_BATCH_H
#define TOKENBUCKET_CAPI_REDIS_SRC_BATCH_H

#include <tokenbucket.h>

#include <cstddef>
#include <cstdint>

#include "capi/redis/src/connection.h"
#include "capi/redis/src/wire.h"

struct redisReply;

namespace tb::redis {

// Takes from each of the members' buckets that has enough; or, if there are arguments, one call of the script with the
// members' keys, and a second key if there is one. The arguments and amounts have been accepted by tb_remote_*.
struct Question {
    const tb_remote_member *members;
    std::size_t count;  // 1 .. TB_REMOTE_MAX_KEYS
    const int64_t *arguments = nullptr;
    std::size_t argument_count = 0;
    const void *queue_key = nullptr;
    std::size_t queue_key_size = 0;

    // TB_SUCCESS: there is an answer. TB_E_UNAVAILABLE: there is none, of takes to at least one. TB_E_MISMATCH: of a
    // call; of takes that is one of `statuses`, as are TB_SUCCESS and TB_DENIED, which have answers.
    tb_status status = TB_E_UNAVAILABLE;
    tb_status *statuses = nullptr;  // of takes, `count` of them, and as many answers
    tb_remote_answer *answers = nullptr;
    int64_t *reply = nullptr;  // of a call
    std::size_t reply_room = 0;
    std::size_t reply_count = 0;
};

// Each question is asked by EVALSHA, and what NOSCRIPT refuses again with the text of the script. Takes that follow
// each other are one call for many keys. If that gets an error each is asked for by itself; some may then take twice,
// since a script that fails is not undone.
//
// Several takes of one token each from one bucket are two calls: as many tokens as there are for all but the last, then
// a take for the last. If that is denied, it is what all are told for whom there was no token. If not, a token has come
// between the two calls: the first of them has it, and the others are asked for again.
class Batch {
  public:
    static constexpr std::size_t kMostQuestions = 128;

    void clear() { question_count_ = take_count_ = 0; }
    // False: there is no room left. An empty batch has room for any question.
    bool add(Question *question);

    // Asks, and sets what the answers are. False: the connection failed, and what has no answer is TB_E_UNAVAILABLE.
    bool run(Connection *connection, int64_t deadline_ns, Failure *failure);

    // In a forked child.
    void forget() { wire_.forget(); }

  private:
    // A call; or takes: `count` from the place `first` on, in one call, or, if they are alike, in two.
    struct Command {
        Question *call;  // null: takes
        std::size_t first;
        std::size_t count;
        bool are_alike;
        bool as_text;
        const int64_t *arguments;
        std::size_t argument_count;
    };

    bool is_alike(std::size_t a, std::size_t b) const;
    void plan();
    void plan_takes(std::size_t first, std::size_t end, bool as_text);
    void add_takes(std::size_t first, std::size_t count, bool are_alike, bool as_text);

    bool exchange(Connection *connection, int64_t deadline_ns, Failure *failure);
    void write(Command *command);
    void write_takes(Command *command);
    void write_call(const Command &command, const tb_remote_member *members, std::size_t count, const Question *second);
    void read(const Command &command, const redisReply &reply, Failure *failure);
    void read_takes(const Command &command, const redisReply &reply, Failure *failure);
    void read_alike(const Command &command, const redisReply &reply, const redisReply &last, Failure *failure);
    std::size_t grant_alike(const Command &command, const redisReply &reply);
    tb_status read_take(std::size_t place, const int64_t *arguments, std::size_t argument_count,
                        const redisReply &reply);
    bool take_numbers(const redisReply &reply, std::size_t *count);
    tb_status status_of(const redisReply &reply, Failure *failure);
    void conclude();

    Question *questions_[kMostQuestions];
    std::size_t question_count_ = 0;

    // Of this round, and of the next.
    Command commands_[TB_REMOTE_MAX_KEYS + kMostQuestions];
    std::size_t command_count_ = 0;
    Command again_[TB_REMOTE_MAX_KEYS + kMostQuestions];
    std::size_t again_count_ = 0;

    // The takes of all questions in their order, and what is known of each: TB_E_UNAVAILABLE at first.
    std::size_t take_count_ = 0;
    tb_remote_member takes_[TB_REMOTE_MAX_KEYS];
    tb_status statuses_[TB_REMOTE_MAX_KEYS];
    tb_remote_answer answers_[TB_REMOTE_MAX_KEYS];

    std::size_t argument_end_ = 0;
    int64_t arguments_[6 * TB_REMOTE_MAX_KEYS];
    int64_t numbers_[3 * TB_REMOTE_MAX_KEYS];
    bool is_replica_ = false;
    Wire wire_;
};

}  // namespace tb::redis

#endif
