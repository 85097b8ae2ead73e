# Draws what throttle --log wrote: the rate of each 100 ms as a column of #, against a line at the limit (the top of the
# scale is 1.75 times the limit; ^ marks what is above it).
# Usage: awk -v rate=8000000 [-v bar=ESC -v over=ESC -v line=ESC -v plain=ESC] -f chart.awk LOG
{
    column = int($1 / 1e8)
    sum[column] += $2
    if (column > last) last = column
}

function paint(colour, character) {
    if (colour == painted) return character
    painted = colour
    return colour character
}

function cell(share, row) {
    if (row == rows && share > 1.75 + half) return paint(over, "^")
    if (share >= low + half) return paint(row > limit_row ? over : bar, "#")
    return low == 1 ? paint(line, "-") : " "
}

END {
    rows = 7
    limit_row = 4 # rows up to the limit
    half = 0.125
    if (last > 69) last = 69
    for (row = rows; row >= 1; --row) {
        low = (row - 1) / limit_row
        text = painted = ""
        for (column = 0; column <= last; ++column) text = text cell(sum[column] * 10 / rate, row)
        sub(/ +$/, "", text)
        printf "%5.1f |%s%s%s\n", low * rate / 1e6, text, plain, low == 1 ? " limit" : ""
    }
    axis = ""
    for (column = 0; column <= last; ++column) axis = axis (column % 10 == 0 ? "+" : "-")
    printf " MB/s +%s\n       ", substr(axis, 2)
    for (second = 0; second * 10 <= last; ++second) printf second == 0 ? "%d" : "%10d", second
    printf " s\n"
}
