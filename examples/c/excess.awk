# Reads what throttle --log wrote and prints by how much the fullest window exceeds burst + rate * (its length):
# never above 0. The window from one chunk to a later one, both included, starts at the first's time.
# Usage: awk -v rate=10000000 -v burst=262144 -f excess.awk LOG
{
    allowed = rate * $1 / 1e9
    if (NR == 1 || sent - allowed < base) base = sent - allowed
    sent += $2
    if (NR == 1 || sent - allowed - base - burst > excess) excess = sent - allowed - base - burst
}
END { printf "%.3f\n", excess }
