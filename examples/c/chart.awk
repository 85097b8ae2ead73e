# Draws what throttle --log wrote: the rate of each 100 ms as a column of #, in quarters of the limit. A column has a # in
# the row of each quarter that it reaches, to the nearest quarter; - marks the limit where it is not reached, ^ what is
# above the top row.
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

function cell(quarters, row) {
    if (row == rows && quarters >= rows + 1) return paint(over, "^")
    if (quarters >= row) return paint(row > limit ? over : bar, "#")
    return row == limit ? paint(line, "-") : " "
}

END {
    rows = 7
    limit = 4
    if (last > 65) last = 65
    for (row = rows; row >= 1; --row) {
        text = painted = ""
        for (column = 0; column <= last; ++column) text = text cell(int(sum[column] * 10 / rate * limit + 0.5), row)
        sub(/ +$/, "", text)
        printf "%5.1f |%s%s%s\n", row / limit * rate / 1e6, text, plain, row == limit ? " limit" : ""
    }
    axis = ""
    for (column = 0; column <= last; ++column) axis = axis (column % 10 == 0 ? "+" : "-")
    printf " MB/s +%s\n       ", substr(axis, 2)
    for (second = 0; second * 10 <= last; ++second) printf second == 0 ? "%d" : "%10d", second
    printf " s\n"
}
