//go:build cgo

package tokenbucket

/*
#include <stdlib.h>
#include "shim_shared.h"
*/
import "C"

import (
	"errors"
	"syscall"
	"unsafe"
)

func openShared(name string, s *settings) (*bucket, error) {
	text := C.CString(name)
	defer C.free(unsafe.Pointer(text))
	flags := C.uint32_t(0)
	if s.adopt {
		flags = C.TB_SHARED_ADOPT
	}
	r := C.tbgo_shared_open(s.config(nil), text, flags)
	if err := sharedError(name, r); err != nil {
		return nil, err
	}
	return bucketOf(r.value), nil
}

func removeShared(name string) error {
	text := C.CString(name)
	defer C.free(unsafe.Pointer(text))
	return sharedError(name, C.tbgo_shared_remove(text))
}

func sharedError(name string, r C.tbgo_shared_result) error {
	switch s := Status(r.status); s {
	case ErrMismatch:
		return &SharedError{s, name, errors.New(C.GoString(C.tb_shared_fault_message(C.int32_t(r.fault))))}
	case ErrSystem:
		return &SharedError{s, name, syscall.Errno(r.fault)}
	default:
		return s.err()
	}
}
