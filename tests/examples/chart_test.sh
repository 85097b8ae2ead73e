#!/usr/bin/env bash
# The chart and the figures of examples/run agree: of given chunks, a row that the rate reaches is drawn as reached.
set -euo pipefail
source "$TB_SOURCE/tests/support/shell.sh"
cd "$(fresh_folder chart_test)"

# log BYTES...: what throttle --log writes if so much leaves in each 100 ms, in two chunks.
log() {
    local at=0 bytes
    for bytes in "$@"; do
        printf '%d %d\n%d %d\n' $at $((bytes / 2)) $((at + 50000000)) $((bytes - bytes / 2))
        at=$((at + 100000000))
    done >log
}
draws() { # ROW...: at a limit of 8 MB/s; the axis follows them
    diff -u --label expected --label drawn <(printf '%s\n' "$@") <(awk -v rate=8000000 -f "$TB_SOURCE/examples/c/chart.awk" log | head -n 7) ||
        fail "the chart of $(xargs <log)"
}
# All that the limit allows, a burst more in the first and after an idle time of 300 ms; then 99.7 % of it.
log 880000 800000 800000 0 0 0 880000 797600 797600
draws ' 14.0 |' ' 12.0 |' ' 10.0 |' '  8.0 |###---### limit' '  6.0 |###   ###' '  4.0 |###   ###' '  2.0 |###   ###'
log 797600 797600 797600
draws ' 14.0 |' ' 12.0 |' ' 10.0 |' '  8.0 |### limit' '  6.0 |###' '  4.0 |###' '  2.0 |###'

# Each row, just below and at the eighth from which on it is the nearest; above the top row; nothing.
log 99999 100000 299999 300000 499999 500000 699999 700000 899999 900000 1099999 1100000 1299999 1300000 1499999 1500000 0
draws ' 14.0 |             ##^' ' 12.0 |           #####' ' 10.0 |         #######' '  8.0 |-------#########- limit' \
    '  6.0 |     ###########' '  4.0 |   #############' '  2.0 | ###############'

# A second at the limit and a burst, idle for 1.5 s, then a second just below the limit and a burst.
printf '%d %d\n' 0 4100000 1000000000 4000000 2500000000 4100000 3500000000 3952000 >log
said=$(awk -v rate=8000000 -v burst=100000 -f "$TB_SOURCE/examples/c/figures.awk" log)
[ "$said" = '99.7 8052000' ] || fail "the figures are $said"
