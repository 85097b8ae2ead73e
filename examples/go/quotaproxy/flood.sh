#!/usr/bin/env bash
# Floods quotaproxy from a million addresses while its clients go on as in demo.sh, and checks that they are granted the
# same, and that the memory stays. TB_BUILD: the library.
set -euo pipefail
exec bash "$(dirname "${BASH_SOURCE[0]}")/demo.sh" -floodtest
