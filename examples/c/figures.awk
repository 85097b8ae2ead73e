# Reads what throttle --log wrote of a source that was idle once, and prints, burst not counted, the percentage of the
# limit reached while the source ran, and the bytes of the first second after the idle (the longest gap).
# Usage: awk -v rate=10000000 -v burst=262144 -f figures.awk LOG
{
    time[NR] = $1 / 1e9
    amount[NR] = $2
    sent += $2
    if (NR > 1 && time[NR] - time[NR - 1] > gap) {
        gap = time[NR] - time[NR - 1]
        resumed = NR
    }
}
END {
    for (i = resumed; i <= NR && time[i] <= time[resumed] + 1; ++i) first_second += amount[i]
    printf "%.1f %.0f\n", 100 * (sent - 2 * burst) / (rate * (time[NR] - time[1] - gap)), first_second
}
