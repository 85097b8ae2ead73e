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
	"time"
	"unsafe"
)

func openShared(name string, s *settings) (*bucket, error) {
	open := func(text *C.char, flags C.uint32_t) C.tbgo_shared_result {
		return C.tbgo_shared_open(s.config(nil), text, flags)
	}
	check := C.tbgo_config_check(s.config(nil))
	handle, err := s.open(name, open, check, func(handle C.uintptr_t) settings { return bucketOf(handle, nil).limit() })
	if err != nil {
		return nil, err
	}
	return bucketOf(handle, nil), nil
}

func openSharedTable(name string, s *settings) (*table, error) {
	size := s.tableConfig()
	open := func(text *C.char, flags C.uint32_t) C.tbgo_shared_result {
		return C.tbgo_shared_table_open(s.config(nil), size, text, flags)
	}
	check := C.tbgo_table_config_check(s.config(nil), size)
	handle, err := s.open(name, open, check, func(handle C.uintptr_t) settings { return tableOf(handle).limit() })
	if err != nil {
		return nil, err
	}
	return tableOf(handle), nil
}

// open returns what was opened. check says what is wrong with the settings; limitOf frees what it is given.
func (s *settings) open(name string, open func(*C.char, C.uint32_t) C.tbgo_shared_result, check C.tb_config_fault,
	limitOf func(C.uintptr_t) settings) (C.uintptr_t, error) {
	text := C.CString(name)
	defer C.free(unsafe.Pointer(text))
	flags := C.uint32_t(0)
	if s.adopt {
		flags = C.TB_SHARED_ADOPT
	}
	r := open(text, flags)
	status := Status(r.status)
	if status == Success {
		return r.value, nil
	}
	if check.field != nil {
		return 0, s.refused(status, C.GoString(check.field), C.GoString(check.allowed))
	}
	field, inForce := s.differing(status, int32(r.fault)), "what is in force there"
	if field == "capacity" || field == "rate_tokens" {
		if r = open(text, C.TB_SHARED_ADOPT); Status(r.status) != Success {
			return 0, sharedError(name, r)
		}
		inForce = limitOf(r.value).inForce(field, s.period)
	}
	if field == "" {
		return 0, sharedError(name, r)
	}
	argument, value := s.argument(field)
	why := ArgumentError{ErrMismatch, argument, inForce + ", which WithAdopt takes", value}
	return 0, &SharedError{ErrMismatch, name, errors.New(why.text())}
}

// differing is the field of the library that is another one there, and that WithAdopt would take; "" if there is none.
func (s *settings) differing(status Status, fault int32) string {
	if status != ErrMismatch { // of ErrSystem the fault is an errno
		return ""
	}
	switch fault {
	case C.TB_SHARED_CAPACITY:
		return "capacity"
	case C.TB_SHARED_RATE:
		return "rate_tokens"
	case C.TB_SHARED_FULL:
		return "when_full"
	case C.TB_SHARED_PLACES:
		if s.maxBytes != 0 {
			return "max_bytes"
		}
		return "max_keys"
	}
	return ""
}

// inForce is the field of a limit, in tokens per period.
func (s settings) inForce(field string, period time.Duration) string {
	if field == "rate_tokens" {
		s.tokens, s.period = s.tokens*(float64(period)/float64(s.period)), period
	}
	_, value := s.argument(field)
	return fmt.Sprint(value)
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
	case ErrClosed:
		return &SharedError{s, name, errors.New("until RemoveShared removes the name")}
	default:
		return s.err()
	}
}
