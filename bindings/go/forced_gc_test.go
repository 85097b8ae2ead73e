//go:build cgo && tokenbucket_gc

package tokenbucket

const forcedGC = true
