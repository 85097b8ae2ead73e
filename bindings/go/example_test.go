//go:build cgo

package tokenbucket_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"tokenbucket"
)

func Example() {
	limiter, err := tokenbucket.New(100, 50) // bursts of 100, then 50 per second
	if err != nil {
		log.Fatal(err)
	}
	if limiter.Allow() {
		fmt.Println("served")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := limiter.WaitN(ctx, 5); err == nil {
		fmt.Println("served at the cost of 5")
	}
	if err := limiter.WaitN(ctx, 101); errors.Is(err, tokenbucket.ErrExceedsCapacity) {
		fmt.Println(err)
	}
	// Output:
	// served
	// served at the cost of 5
	// tokenbucket: exceeds capacity: more tokens than the bucket can ever hold
}

// The headers that tell an HTTP client when to come back.
func ExampleLimiter_Take() {
	clock, _ := tokenbucket.NewManualClock(0)
	limiter, _ := tokenbucket.New(2, 0.5, tokenbucket.WithClock(clock))
	for i := 0; i < 3; i++ {
		decision, err := limiter.Take(1)
		fmt.Println(err == nil, decision.Remaining, decision.RetryAfter, decision.ResetAfter)
	}
	// Output:
	// true 1 0s 2s
	// true 0 0s 4s
	// false 0 2s 4s
}

// A form that asks for a limit, and says what is wrong with it.
func ExampleArgumentError() {
	_, err := tokenbucket.New(100, -1)
	fmt.Println(err)
	var refused *tokenbucket.ArgumentError
	if errors.As(err, &refused) {
		fmt.Println(refused.Argument, refused.Value)
	}
	// Output:
	// tokenbucket: tokensPerSecond must be from 1e-9 to 1e10 tokens per second, got -1
	// tokensPerSecond -1
}

// A limit for each user.
func ExampleTable() {
	users, err := tokenbucket.NewTable(2, 1, 100000) // each: bursts of 2, then 1 per second
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(users.Allow("ann"), users.Allow("ann"), users.Allow("ann"), users.Allow("bob"))
	// Output:
	// true true false true
}

// Requests and what they cost in tokens, and a limit for each user: all grant, or nothing is taken.
func ExampleLimits() {
	clock, _ := tokenbucket.NewManualClock(0)
	requests, _ := tokenbucket.New(10, 1, tokenbucket.WithClock(clock))
	tokens, _ := tokenbucket.New(1000, 100, tokenbucket.WithClock(clock))
	users, _ := tokenbucket.NewTable(2, 1, 100000, tokenbucket.WithClock(clock))
	for _, cost := range []float64{350, 800, 350} {
		limits := tokenbucket.Limits{requests.Member(1), tokens.Member(cost), users.Member("ann", 1)}
		refusal, err := limits.Take()
		fmt.Println(err == nil, refusal.Member, refusal.RetryAfter, requests.Tokens())
	}
	// Output:
	// true -1 0s 9
	// false 1 1.5s 9
	// true -1 0s 8
}

// A test that moves the clock needs no sleep.
func ExampleManualClock() {
	clock, _ := tokenbucket.NewManualClock(0)
	limiter, _ := tokenbucket.New(1, 10, tokenbucket.WithClock(clock))
	fmt.Println(limiter.Allow(), limiter.Allow())
	_ = clock.Advance(100 * time.Millisecond)
	fmt.Println(limiter.Allow())
	// Output:
	// true false
	// true
}
