/* SPDX-License-Identifier: MIT
 *
 * throttle: copies standard input to standard output no faster than a limit, with a bounded burst.
 *
 * In any window of t seconds, at most burst + rate * t leaves, however long the source was idle or the reader stalled.
 * Where signals change the rate, rate * t is what the rates in force add up to.
 * The data goes out in chunks; each is paid for by one tb_wait before it is written. A reader that stalls can hold one
 * paid chunk back while the bucket fills again, so the bucket holds the burst less one chunk.
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <tokenbucket.h>
#include <unistd.h>

enum { BUFFER_SIZE = 65536, EXIT_USAGE = 2 };

static const char help[] =
    "Usage: throttle --rate RATE [OPTION]...\n"
    "Copies standard input to standard output no faster than RATE bytes per second.\n"
    "In any window of t seconds at most BURST + RATE * t leaves, idle times before it or not.\n"
    "\n"
    "  -r, --rate RATE    bytes (lines with --lines) per second, such as 10M, 1.5Mi, 0.2\n"
    "  -b, --burst BURST  the most that leaves at once, at least 2 (default: 0.1 s of RATE)\n"
    "  -l, --lines        counts lines, and passes them on whole (up to 64 KiB)\n"
    "  -p, --progress     shows progress on standard error even where that is no terminal\n"
    "  -q, --quiet        shows no progress\n"
    "      --stats        says at the end what was copied, in which time, and how long it waited\n"
    "      --log FILE     writes for each chunk: nanoseconds since the start, amount\n"
    "  -h, --help         shows this text\n"
    "\n"
    "k or K, M, G and T mean powers of 1000; Ki, Mi, Gi and Ti powers of 1024.\n"
    "SIGUSR1 doubles the rate, SIGUSR2 halves it; the burst stays.\n"
    "Exit status: 0 all was copied; 1 reading, writing or limiting failed; 2 wrong usage.\n"
    "A signal, or a reader that has gone (SIGPIPE), ends throttle as that signal.\n";

struct options {
    double rate;
    double burst;
    bool lines;
    bool progress;
    bool quiet;
    bool stats;
    const char *log_path;
};

struct progress {
    bool shown;
    bool on_terminal;
    int64_t began_ns;
    int64_t shown_ns;
    double shown_total;
};

struct throttle {
    tb_bucket *bucket;
    double rate, burst;
    size_t chunk; /* the most bytes or lines paid for at once */
    bool lines;
    bool stats;
    FILE *log;
    struct progress progress;
    double total; /* bytes or lines written */
    double bytes; /* written */

    char buffer[BUFFER_SIZE];
    size_t begin, end; /* what was read and not yet written */
    bool at_eof;
    bool inside_line; /* the line at `begin` is paid for: its first part has left */
};

/* What to write next, and what it costs. */
struct chunk {
    size_t length;
    size_t cost;
};

enum outcome { GO_ON, COPIED, STOPPED, FAILED, UNPAID };

/* ---- Signals ----------------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t stop_signal;
/* Doublings less halvings of the rate: asked for, which only the handler writes, and done, which only the rest does. */
static volatile sig_atomic_t doublings_asked, doublings_done;

/* A signal between a look at these flags and the blocking call after it would not end that call; the alarm does. */
static void note_signal(int signal_number) {
    if (signal_number == SIGUSR1) {
        ++doublings_asked;
    } else if (signal_number == SIGUSR2) {
        --doublings_asked;
    } else if (signal_number != SIGALRM) {
        stop_signal = signal_number;
    }
    if (stop_signal != 0 || doublings_asked != doublings_done) alarm(1);
}

/* Without SA_RESTART, so that reads, writes and tb_wait end. A signal that was ignored (nohup) stays ignored. No signal
 * meets the handler of another. */
static void catch_signals(void) {
    static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGALRM};
    struct sigaction noted = {.sa_handler = note_signal};
    sigfillset(&noted.sa_mask);
    for (size_t i = 0; i < sizeof caught / sizeof *caught; ++i) {
        struct sigaction before;
        sigaction(caught[i], NULL, &before);
        if (before.sa_handler != SIG_IGN || caught[i] == SIGALRM) sigaction(caught[i], &noted, NULL);
    }
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL); /* reported by write as EPIPE */
}

static int end_by(int signal_number) {
    struct sigaction by_default = {.sa_handler = SIG_DFL};
    sigaction(signal_number, &by_default, NULL);
    raise(signal_number);
    return 128 + signal_number;
}

/* ---- Progress ---------------------------------------------------------------------------------------------------- */

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void print_amount(double amount, const char *of) {
    static const char *const prefixes[] = {"", "k", "M", "G", "T"};
    size_t i = 0;
    for (; amount >= 999.95 && i < 4; ++i) amount /= 1000;
    fprintf(stderr, "%.*f %s%s", i == 0 ? 0 : 1, amount, prefixes[i], of);
}

static double per_second(double amount, int64_t ns) {
    return ns > 0 ? amount * 1e9 / (double)ns : 0;
}

static const char *unit(const struct throttle *t) {
    return t->lines ? " lines" : "B";
}

static void print_progress(struct throttle *t, int64_t now) {
    struct progress *const p = &t->progress;
    fputs(p->on_terminal ? "\r" : "throttle: ", stderr);
    print_amount(t->total, unit(t));
    fputs(", now ", stderr);
    print_amount(per_second(t->total - p->shown_total, now - p->shown_ns), unit(t));
    fputs("/s, average ", stderr);
    print_amount(per_second(t->total, now - p->began_ns), unit(t));
    fputs(p->on_terminal ? "/s\033[K" : "/s\n", stderr);
    p->shown_ns = now;
    p->shown_total = t->total;
}

static int progress_interval_ms(const struct throttle *t) {
    return t->progress.on_terminal ? 250 : 1000;
}

static void show_progress(struct throttle *t) {
    if (!t->progress.shown) return;
    const int64_t now = now_ns();
    if (now - t->progress.shown_ns >= (int64_t)progress_interval_ms(t) * 1000000) print_progress(t, now);
}

static void end_progress(const struct throttle *t) {
    if (!t->progress.shown) return;
    const int64_t lasted_ns = now_ns() - t->progress.began_ns;
    fputs(t->progress.on_terminal ? "\r" : "throttle: ", stderr);
    print_amount(t->total, unit(t));
    fprintf(stderr, " in %.1f s, average ", (double)lasted_ns / 1e9);
    print_amount(per_second(t->total, lasted_ns), unit(t));
    fputs(t->progress.on_terminal ? "/s\033[K\n" : "/s\n", stderr);
}

/* ---- The limit --------------------------------------------------------------------------------------------------- */

static void complain(const char *what, tb_status status) {
    fprintf(stderr, "throttle: %s: %s: %s\n", what, tb_status_name(status), tb_status_message(status));
}

/* About 10 ms of the rate, at most half the burst. */
static size_t chunk_for(double rate, double burst) {
    double chunk = rate / 100;
    if (chunk > burst / 2) chunk = burst / 2;
    if (chunk > BUFFER_SIZE) chunk = BUFFER_SIZE;
    return chunk < 1 ? 1 : (size_t)chunk;
}

/* To be called only between chunks: for one that is paid for and not written, burst is capacity plus chunk as they
 * were. */
static tb_status set_rate(struct throttle *t, double rate) {
    const size_t chunk = chunk_for(rate, t->burst);
    const tb_status status = tb_set_rate(t->bucket, rate);
    if (status != TB_SUCCESS) return status;
    t->rate = rate;
    t->chunk = chunk;
    return tb_set_capacity(t->bucket, t->burst - (double)chunk);
}

static void print_limit(const struct throttle *t) {
    fputs(t->progress.on_terminal ? "\rlimit now " : "throttle: limit now ", stderr);
    print_amount(t->rate, unit(t));
    fputs(t->progress.on_terminal ? "/s\033[K\n" : "/s\n", stderr);
}

/* A doubling or halving beyond the limits of a bucket is refused, and the rate stays. */
static void follow_signals(struct throttle *t) {
    while (doublings_done != doublings_asked) {
        const bool up = doublings_done < doublings_asked;
        const tb_status status = set_rate(t, up ? t->rate * 2 : t->rate / 2);
        doublings_done += up ? 1 : -1;
        if (status != TB_SUCCESS) {
            complain(up ? "doubling the rate" : "halving the rate", status);
        } else if (t->progress.shown) {
            print_limit(t);
        }
    }
}

static enum outcome pay(struct throttle *t, size_t cost) {
    if (cost == 0) return GO_ON;
    if (stop_signal != 0) return STOPPED;
    const tb_status status = tb_wait(t->bucket, (double)cost);
    if (status == TB_SUCCESS) return GO_ON;
    if (status == TB_INTERRUPTED) return UNPAID;
    complain("tb_wait", status);
    return FAILED;
}

static void print_stats(const struct throttle *t) {
    tb_stats stats = {.struct_size = sizeof stats};
    const int64_t lasted_ns = now_ns() - t->progress.began_ns;
    const tb_status status = tb_get_stats(t->bucket, &stats);
    if (status != TB_SUCCESS) complain("tb_get_stats", status);
    fprintf(stderr, "throttle: bytes=%.0f", t->bytes);
    if (t->lines) fprintf(stderr, " lines=%.0f", t->total);
    fprintf(stderr, " seconds=%.3f mean_rate=%.1f waited_seconds=%.3f waits=%lld\n", (double)lasted_ns / 1e9,
            per_second(t->total, lasted_ns), (double)stats.total_wait_ns / 1e9, (long long)stats.waits);
}

/* ---- Copying ----------------------------------------------------------------------------------------------------- */

static enum outcome failed(const char *what) {
    fprintf(stderr, "throttle: %s: %s\n", what, strerror(errno));
    return FAILED;
}

static enum outcome stopped_or_failed(const char *what) {
    if (errno == EPIPE) stop_signal = SIGPIPE;
    return stop_signal != 0 ? STOPPED : failed(what);
}

/* Waits for a descriptor that may be slow or non-blocking. An error is left for the read or write to report. */
static enum outcome await(struct throttle *t, int fd, short events) {
    struct pollfd polled = {.fd = fd, .events = events};
    for (;;) {
        if (stop_signal != 0) return STOPPED;
        const int ready = poll(&polled, 1, t->progress.shown ? progress_interval_ms(t) : -1);
        show_progress(t);
        if (ready > 0 || (ready < 0 && errno != EINTR)) return GO_ON;
    }
}

static bool try_again(void) {
    return (errno == EINTR && stop_signal == 0) || errno == EAGAIN || errno == EWOULDBLOCK;
}

static enum outcome fill(struct throttle *t) {
    memmove(t->buffer, t->buffer + t->begin, t->end - t->begin);
    t->end -= t->begin;
    t->begin = 0;
    for (;;) {
        if (await(t, STDIN_FILENO, POLLIN) != GO_ON) return STOPPED;
        const ssize_t n = read(STDIN_FILENO, t->buffer + t->end, BUFFER_SIZE - t->end);
        if (n >= 0) {
            t->end += (size_t)n;
            t->at_eof = n == 0;
            return GO_ON;
        }
        if (!try_again()) return stopped_or_failed("standard input");
    }
}

/* Whole lines while there are any; part of a line only if nothing more of it can be had. */
static struct chunk next_lines(const struct throttle *t) {
    const char *const begin = t->buffer + t->begin;
    const size_t buffered = t->end - t->begin;
    struct chunk next = {0, 0};
    size_t ended = 0;
    while (ended < t->chunk) {
        const char *const newline = memchr(begin + next.length, '\n', buffered - next.length);
        if (newline == NULL) break;
        next.length = (size_t)(newline + 1 - begin);
        ++ended;
    }
    if (ended == 0 && (t->at_eof || buffered == BUFFER_SIZE)) next.length = buffered;
    if (next.length > 0) next.cost = (ended > 0 ? ended : 1) - (t->inside_line ? 1 : 0);
    return next;
}

static struct chunk next_bytes(const struct throttle *t) {
    const size_t buffered = t->end - t->begin;
    const size_t length = buffered < t->chunk ? buffered : t->chunk;
    return (struct chunk){length, length};
}

static enum outcome put(struct throttle *t, size_t length) {
    const size_t end = t->begin + length;
    while (t->begin < end) {
        if (await(t, STDOUT_FILENO, POLLOUT) != GO_ON) return STOPPED;
        const ssize_t n = write(STDOUT_FILENO, t->buffer + t->begin, end - t->begin);
        if (n >= 0) {
            t->begin += (size_t)n;
            t->bytes += (double)n;
        } else if (!try_again()) {
            return stopped_or_failed("standard output");
        }
    }
    return GO_ON;
}

static void account(struct throttle *t, size_t cost) {
    t->total += (double)cost;
    if (t->log != NULL) fprintf(t->log, "%lld %zu\n", (long long)(now_ns() - t->progress.began_ns), cost);
}

static enum outcome step(struct throttle *t) {
    follow_signals(t);
    const struct chunk next = t->lines ? next_lines(t) : next_bytes(t);
    if (next.length == 0) return t->at_eof ? COPIED : fill(t);
    const bool ends_line = t->buffer[t->begin + next.length - 1] == '\n';
    const enum outcome paid = pay(t, next.cost);
    if (paid == UNPAID) return GO_ON; /* again, by what signals have changed */
    if (paid != GO_ON) return paid;
    const enum outcome written = put(t, next.length);
    if (written != GO_ON) return written;
    t->inside_line = !ends_line;
    account(t, next.cost);
    return GO_ON;
}

static enum outcome copy(struct throttle *t) {
    enum outcome outcome = GO_ON;
    while (outcome == GO_ON) outcome = step(t);
    if (outcome == COPIED && close(STDOUT_FILENO) != 0) outcome = failed("standard output");
    if (t->log != NULL && fclose(t->log) != 0 && outcome == COPIED) outcome = failed("log");
    end_progress(t);
    if (t->stats) print_stats(t);
    return outcome;
}

/* ---- Options ----------------------------------------------------------------------------------------------------- */

static int usage(const char *problem, const char *value) {
    fprintf(stderr, "throttle: %s%s; --help shows the usage\n", problem, value);
    return EXIT_USAGE;
}

/* A plain decimal number with an optional suffix. */
static bool parse_amount(const char *text, double *out_amount) {
    static const struct {
        const char *name;
        double factor;
    } suffixes[] = {{"", 1},     {"k", 1e3},   {"K", 1e3},      {"M", 1e6},         {"G", 1e9},
                    {"T", 1e12}, {"Ki", 1024}, {"Mi", 1048576}, {"Gi", 1073741824}, {"Ti", 1099511627776}};
    const size_t digits = strspn(text, "0123456789.");
    char *end;
    const double number = strtod(text, &end);
    if (digits == 0 || end != text + digits) return false;
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; ++i) {
        if (strcmp(end, suffixes[i].name) == 0) {
            *out_amount = number * suffixes[i].factor;
            return true;
        }
    }
    return false;
}

/* The exit status, or -1 to go on. */
static int parse_options(int argc, char **argv, struct options *o) {
    static const struct option names[] = {{"rate", required_argument, NULL, 'r'},
                                          {"burst", required_argument, NULL, 'b'},
                                          {"lines", no_argument, NULL, 'l'},
                                          {"progress", no_argument, NULL, 'p'},
                                          {"quiet", no_argument, NULL, 'q'},
                                          {"log", required_argument, NULL, 'o'},
                                          {"stats", no_argument, NULL, 's'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    bool has_rate = false, has_burst = false;
    for (int option; (option = getopt_long(argc, argv, "r:b:lpqh", names, NULL)) != -1;) {
        switch (option) {
            case 'r':
                if (!parse_amount(optarg, &o->rate)) return usage("not a rate: ", optarg);
                has_rate = true;
                break;
            case 'b':
                if (!parse_amount(optarg, &o->burst)) return usage("not a burst: ", optarg);
                has_burst = true;
                break;
            case 'l':
                o->lines = true;
                break;
            case 'p':
                o->progress = true;
                break;
            case 'q':
                o->quiet = true;
                break;
            case 's':
                o->stats = true;
                break;
            case 'o':
                o->log_path = optarg;
                break;
            case 'h':
                fputs(help, stdout);
                return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
            default:
                return EXIT_USAGE; /* getopt_long has said why */
        }
    }
    if (optind < argc) return usage("unexpected argument: ", argv[optind]);
    if (!has_rate) return usage("--rate is needed", "");
    if (!has_burst) o->burst = o->rate / 10 > 2 ? o->rate / 10 : 2;
    if (o->burst < 2) return usage("--burst must be at least 2", "");
    return -1;
}

/* The exit status, or -1 to go on. */
static int set_up(struct throttle *t, const struct options *o) {
    t->rate = o->rate;
    t->burst = o->burst;
    t->lines = o->lines;
    t->stats = o->stats;
    t->chunk = chunk_for(o->rate, o->burst);
    tb_config config;
    tb_config_init(&config, sizeof config);
    config.capacity = o->burst - (double)t->chunk;
    config.rate_tokens = o->rate;
    config.flags = o->stats ? TB_STATISTICS : 0;
    const tb_status status = tb_create_with(&config, &t->bucket);
    if (status != TB_SUCCESS) {
        fprintf(stderr, "throttle: a limit of %g per second and bursts of %g: %s: %s\n", o->rate, o->burst,
                tb_status_name(status), tb_status_message(status));
        return status == TB_E_OUT_OF_RANGE ? EXIT_USAGE : EXIT_FAILURE;
    }
    if (o->log_path != NULL && (t->log = fopen(o->log_path, "w")) == NULL) {
        failed(o->log_path);
        return EXIT_FAILURE;
    }
    t->progress.on_terminal = isatty(STDERR_FILENO) == 1;
    t->progress.shown = !o->quiet && (o->progress || (t->progress.on_terminal && isatty(STDOUT_FILENO) == 0));
    t->progress.began_ns = t->progress.shown_ns = now_ns();
    return -1;
}

int main(int argc, char **argv) {
    struct options options = {0};
    static struct throttle throttle;
    int status = parse_options(argc, argv, &options);
    if (status == -1) status = set_up(&throttle, &options);
    if (status != -1) return status;
    catch_signals();
    const enum outcome outcome = copy(&throttle);
    tb_destroy(throttle.bucket);
    if (outcome == STOPPED) return end_by(stop_signal);
    return outcome == COPIED ? EXIT_SUCCESS : EXIT_FAILURE;
}
