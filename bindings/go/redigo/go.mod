// Holds limits on a server against a real one, through redigo as Debian's golang-github-gomodule-redigo-dev ships it. A
// module of its own, so that tokenbucket has no dependencies.
module tokenbucket/redigo

go 1.19

require (
	github.com/gomodule/redigo v1.8.3
	tokenbucket v0.0.0
)

// Only redigo's own tests need it.
exclude github.com/stretchr/testify v1.5.1

replace (
	github.com/gomodule/redigo => /usr/share/gocode/src/github.com/gomodule/redigo
	tokenbucket => ../
)
