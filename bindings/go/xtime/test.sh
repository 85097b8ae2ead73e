#!/usr/bin/env bash
# Holds the Go package against golang.org/x/time/rate, and runs the tests of that with package tokenbucket/rate.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../env.sh
source "$TB_SOURCE/bindings/go/env.sh"

peer=/usr/share/gocode/src/golang.org/x/time
[[ -f $peer/rate/rate.go ]] || { echo "skipped: golang.org/x/time is not at $peer (Debian: golang-golang-x-time-dev)"; exit 77; }

cd "$TB_SOURCE/bindings/go/xtime"
quietly go vet ./...
quietly go test -count=1 ./...

# Their test files as they are, but for the import, as if they lay in the folder of the package. Vet would find fault with
# what they log of the inside of a limiter.
theirs=$TB_BUILD/go-xtime
rm -rf "$theirs"
mkdir -p "$theirs"
here=$TB_SOURCE/bindings/go/rate
replace=
for file in "$peer"/rate/*_test.go; do
    name=theirs_$(basename "$file")
    sed 's,"golang.org/x/time/rate","tokenbucket/rate",' "$file" > "$theirs/$name"
    replace+=${replace:+, }"\"$here/$name\": \"$theirs/$name\""
done
echo "{\"Replace\": {$replace}}" > "$theirs/overlay.json"
cd "$here"
go test -count=1 -vet=off -tags xtime -overlay "$theirs/overlay.json" -v . > "$theirs/log" 2>&1 || true

sed -n 's/^--- \(PASS\|FAIL\): \([^ ]*\) .*/\2 \1/p' "$theirs/log" | sort > "$theirs/answers"
sed -n 's/^\(Test[^ ]*\) .*/\1 FAIL/p' "$TB_SOURCE/bindings/go/xtime/differs.txt" | sort > "$theirs/expected"
ran=$(grep -ch '^func Test\|// Output:$' "$theirs"/theirs_*_test.go | awk '{ sum += $1 } END { print sum }')
if ((ran < 20)) || (($(grep -c . "$theirs/answers") < ran)) ||
    ! diff <(grep ' FAIL$' "$theirs/answers") "$theirs/expected"; then
    echo "the tests of golang.org/x/time/rate do not answer as differs.txt says:"
    cat "$theirs/log"
    exit 1
fi
