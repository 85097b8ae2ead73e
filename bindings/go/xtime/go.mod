// Compares tokenbucket with golang.org/x/time/rate, as Debian's golang-golang-x-time-dev ships it. A module of its own,
// so that tokenbucket has no dependencies.
module tokenbucket/xtime

go 1.19

require (
	golang.org/x/time v0.3.0
	tokenbucket v0.0.0
)

replace (
	golang.org/x/time => /usr/share/gocode/src/golang.org/x/time
	tokenbucket => ../
)
