// A program as a user writes it.
package main

import (
	"fmt"
	"log"

	"tokenbucket"
)

func main() {
	limiter, err := tokenbucket.New(1, 0.001)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(limiter.Allow(), limiter.Allow())
}
