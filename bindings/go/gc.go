//go:build cgo && !tokenbucket_gc

package tokenbucket

// collectGarbage does nothing, unless the tag tokenbucket_gc asks for collections.
func collectGarbage() {}
