"""The command line of the client."""

import argparse
import re
import sys

from tokenbucket import __version__

NAME = "polite_client"
HELP = """\
Usage: polite_client [OPTION]... PORT TIME

Asks the server at PORT of this machine for TIME, as much as its two quotas
allow. Prints what the server says about that as JSON.

  PORT  what server.py prints: 1 to 65535
  TIME  a number of seconds, or with a unit, as 500ms, 5s and 2min: 0.1s to 24h

Options:
  -q, --quiet  shows no progress
  -h, --help   shows this help
  --version    shows the version

Progress:
  On a terminal: the requests that were answered, their rate now and on average,
  and the time left.

Exit status:
  0  it asked for TIME
  1  the server did not answer, or the report was not written
  2  wrong usage
"""
UNITS = {"": 1, "ms": 0.001, "s": 1, "min": 60, "h": 3600}


def complain(why):
    print(f"{NAME}: {why}", file=sys.stderr)


class Parser(argparse.ArgumentParser):
    def format_help(self):
        return HELP

    def error(self, message):
        kind, _, rest = message.partition(": ")
        if kind == "unrecognized arguments":
            option = "unrecognized option" if rest.startswith("-") else "it takes no argument such as"
            message = f"{option} '{rest}'"
        elif kind == "the following arguments are required":
            message = "PORT and TIME are needed, such as '8080 5s'"
        else:
            message = f"{kind.replace('argument ', '')} {rest}"
        complain(f"{message}\nTry '{NAME} --help'.")
        sys.exit(2)


def port(text):
    if not re.fullmatch("[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"must be from 1 to 65535, such as 8080, not '{text}'")
    return int(text)


def seconds(text):
    parts = re.fullmatch(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ms|s|min|h|)", text)
    value = float(parts[1]) * UNITS[parts[2]] if parts else 0
    if not 0.1 <= value <= 86400:
        raise argparse.ArgumentTypeError(f"must be from 0.1s to 24h, such as 500ms, 5s or 2min, not '{text}'")
    return value


def parse(words):
    """Port, seconds and quiet. Ends the program where it cannot, or where only help is asked for."""
    parser = Parser(prog=NAME, allow_abbrev=False)
    parser.add_argument("port", metavar="PORT", type=port)
    parser.add_argument("seconds", metavar="TIME", type=seconds)
    parser.add_argument("-q", "--quiet", action="store_true")
    parser.add_argument("--version", action="version", version=f"{NAME} (tokenbucket) {__version__}")
    return parser.parse_args(words)
