/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tokenbucket.h>

static const char help[] =
    "Usage: throttle --rate RATE [OPTION]...\n"
    "\n"
    "Copies standard input to standard output no faster than RATE bytes per second.\n"
    "In any window of t seconds at most BURST + RATE * t leaves, however long the\n"
    "source was idle or the reader stalled before it.\n"
    "\n"
    "Options:\n"
    "  -r, --rate RATE    bytes per second: 0.000000001 to 10GB/s\n"
    "  -b, --burst BURST  the most that leaves at once: 2 to 1000TB (default: what\n"
    "                     RATE allows in a tenth of a second)\n"
    "  -l, --lines        RATE and BURST count lines, which are passed on whole (up\n"
    "                     to 64 KiB each)\n"
    "  -p, --progress     shows progress even where standard error is no terminal\n"
    "  -q, --quiet        shows no progress\n"
    "      --stats        says at the end what was copied, and how long it waited\n"
    "      --log FILE     writes for each chunk: nanoseconds since the start, amount\n"
    "  -h, --help         shows this help\n"
    "      --version      shows the version\n"
    "\n"
    "Amounts:\n"
    "  A decimal number with an optional suffix. k or K, M, G and T mean powers of\n"
    "  1000; Ki, Mi, Gi and Ti mean powers of 1024. A B for bytes may follow, and a\n"
    "  rate may end in /s: 512K, 10MB and 1MiB/s are rates.\n"
    "\n"
    "Progress:\n"
    "  On a terminal, if standard output goes elsewhere: the amount copied, the rate\n"
    "  now and on average, and if standard input is a file, the time left.\n"
    "\n"
    "Signals:\n"
    "  SIGUSR1 doubles the rate, SIGUSR2 halves it; the burst stays. SIGINT, SIGTERM,\n"
    "  SIGHUP and a reader that has gone (SIGPIPE) end throttle as that signal.\n"
    "\n"
    "Exit status:\n"
    "  0  all was copied\n"
    "  1  reading, writing or waiting failed\n"
    "  2  wrong usage\n"
    "\n"
    "Examples:\n"
    "  tar -c photos | throttle --rate 2MB/s | ssh host 'tar -x'\n"
    "  throttle --lines --rate 10 <urls | xargs -n 1 curl -O\n";

/* Reads a decimal number, a suffix, a B where bytes are counted, and /s where it is a rate. */
static bool parse_amount(const char *text, bool lines, bool rate, double *out_amount) {
    static const char prefixes[] = "kMGT";
    const size_t digits = strspn(text, "0123456789.");
    char *end;
    double amount = strtod(text, &end);
    if (digits == 0 || end != text + digits) return false;
    const char *const prefix = *end != '\0' ? strchr(prefixes, *end == 'K' ? 'k' : *end) : NULL;
    if (prefix != NULL) {
        ++end;
        const double base = *end == 'i' ? 1024 : 1000;
        if (*end == 'i') ++end;
        for (const char *p = prefixes; p <= prefix; ++p) amount *= base;
    }
    if (!lines && *end == 'B') ++end;
    if (rate && strncmp(end, "/s", 2) == 0) end += 2;
    *out_amount = amount;
    return *end == '\0';
}

static int usage(const char *problem, const char *value) {
    fprintf(stderr, "throttle: %s'%s'\nTry 'throttle --help'.\n", problem, value);
    return EXIT_USAGE;
}

/* The library's limits of a rate and of a capacity. */
static bool read_rate(const char *text, struct options *o) {
    return parse_amount(text, o->lines, true, &o->rate) && o->rate >= 1e-9 && o->rate <= 1e10;
}

static bool read_burst(const char *text, struct options *o) {
    return parse_amount(text, o->lines, false, &o->burst) && o->burst >= 2 && o->burst <= 1e15;
}

/* Amounts are read last, as --lines tells what they count. */
static int read_amounts(const char *rate, const char *burst, struct options *o) {
    if (rate == NULL) return usage("--rate is needed, such as ", "--rate 10MB/s");
    if (!read_rate(rate, o)) {
        return usage(o->lines ? "--rate must be from 0.000000001 to 10G lines per second, such as 0.5 or 10K, not "
                              : "--rate must be from 0.000000001 to 10GB/s, such as 512K, 10MB or 1MiB/s, not ",
                     rate);
    }
    if (burst == NULL) {
        o->burst = o->rate / 10 > 2 ? o->rate / 10 : 2;
    } else if (!read_burst(burst, o)) {
        return usage(o->lines ? "--burst must be from 2 to 1000T lines, such as 100 or 1K, not "
                              : "--burst must be from 2 to 1000TB, such as 64K or 1MiB, not ",
                     burst);
    }
    return -1;
}

static int show(const char *text) {
    return fputs(text, stdout) >= 0 && fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int parse_options(int argc, char **argv, struct options *out_options) {
    enum { STATS = 256, LOG, VERSION };
    static const struct option names[] = {
        {"rate", required_argument, NULL, 'r'},  {"burst", required_argument, NULL, 'b'},
        {"lines", no_argument, NULL, 'l'},       {"progress", no_argument, NULL, 'p'},
        {"quiet", no_argument, NULL, 'q'},       {"stats", no_argument, NULL, STATS},
        {"log", required_argument, NULL, LOG},   {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, VERSION}, {NULL, 0, NULL, 0}};
    static char name[] = "throttle";
    struct options *const o = out_options;
    const char *rate = NULL, *burst = NULL;
    if (argc > 0) argv[0] = name; /* by which getopt_long begins its messages */
    for (int option; (option = getopt_long(argc, argv, "r:b:lpqh", names, NULL)) != -1;) {
        switch (option) {
            case 'r':
                rate = optarg;
                break;
            case 'b':
                burst = optarg;
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
            case STATS:
                o->stats = true;
                break;
            case LOG:
                o->log_path = optarg;
                break;
            case 'h':
                return show(help);
            case VERSION:
                printf("throttle (tokenbucket) %s\n", tb_library_version_string());
                return show("");
            default:
                fputs("Try 'throttle --help'.\n", stderr);
                return EXIT_USAGE;
        }
    }
    if (optind < argc) return usage("it copies standard input and takes no argument such as ", argv[optind]);
    return read_amounts(rate, burst, o);
}
