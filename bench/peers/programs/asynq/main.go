// The two programs of Asynq: `asynq-bench producer` enqueues, `asynq-bench worker` works. Orders and answers as in bench/peer.ts.
package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/hibiken/asynq"
)

const taskType = "job"

// What travels in a job.
type args struct {
	N       int    `json:"n"`
	Payload string `json:"payload"`
}

func main() {
	redis, err := asynq.ParseRedisURI(os.Getenv("BENCH_REDIS_URL"))
	must(err)
	switch os.Args[1] {
	case "producer":
		produce(redis)
	case "worker":
		work(redis)
	}
}

func sayReady() {
	fmt.Println(`{"ready":true}`)
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Closed on SIGTERM, or when the bench is gone.
func untilTold() <-chan os.Signal {
	told := make(chan os.Signal, 2)
	signal.Notify(told, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		told <- syscall.SIGTERM
	}()
	return told
}
