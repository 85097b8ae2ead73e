# Reads what slowcp --log wrote and prints by how many bytes the fullest window exceeds burst + rate * (its length):
# never above 0. A piece was let through between its two times, so it lies in a window that holds both.
# Usage: sort -k2n LOG | awk -v rate=10000000 -v burst=262144 -f excess.awk
{
    begun[NR] = $1 / 1e9
    ended[NR] = $2 / 1e9
    bytes[NR] = $3
}
END {
    excess = -burst
    for (i = 1; i <= NR; ++i) {
        sum = 0
        for (j = 1; j <= NR; ++j) {
            if (begun[j] < begun[i]) continue
            sum += bytes[j]
            over = sum - burst - rate * (ended[j] - begun[i])
            if (over > excess) excess = over
        }
    }
    printf "%.0f\n", excess
}
