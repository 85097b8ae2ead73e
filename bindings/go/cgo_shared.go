//go:build cgo

package tokenbucket

/*
#include <stdlib.h>
#include "shim_shared.h"
*/
import "C"

import (
	"errors"
	"fmt"
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
	switch status := Status(r.status); {
	case status == Success:
		return bucketOf(r.value, nil), nil
	case status == ErrMismatch && (r.fault == C.TB_SHARED_CAPACITY || r.fault == C.TB_SHARED_RATE):
		return nil, s.otherLimit(name, text)
	case status == ErrInvalidArgument || status == ErrOutOfRange:
		if f := C.tbgo_config_check(s.config(nil)); f.field != nil {
			return nil, s.refused(status, C.GoString(f.field), C.GoString(f.allowed))
		}
	}
	return nil, sharedError(name, r)
}

// otherLimit says what limit is in force under that name.
func (s *settings) otherLimit(name string, text *C.char) error {
	r := C.tbgo_shared_open(s.config(nil), text, C.TB_SHARED_ADOPT)
	if Status(r.status) != Success {
		return sharedError(name, r)
	}
	found := bucketOf(r.value, nil).limit()
	why := ArgumentError{ErrMismatch, "tokensPerSecond", fmt.Sprint(found.rate(), ", which is in force"), s.rate()}
	if found.capacity != s.capacity {
		why = ArgumentError{ErrMismatch, "capacity", fmt.Sprint(found.capacity, ", which is in force"), s.capacity}
	}
	return &SharedError{ErrMismatch, name, errors.New(why.text())}
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
	case ErrInvalidArgument:
		return refusedName(name)
	default:
		return s.err()
	}
}
