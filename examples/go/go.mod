module tokenbucket-examples

go 1.19

require tokenbucket v0.0.0

replace tokenbucket => ../../bindings/go
