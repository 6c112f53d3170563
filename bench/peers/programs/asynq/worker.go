package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"time"

	"github.com/hibiken/asynq"
)

const (
	sleep      = 10 * time.Millisecond
	longSleep  = 300 * time.Second
	retryAfter = time.Second
)

func work(redis asynq.RedisConnOpt) {
	config := asynq.Config{
		Concurrency:    number("BENCH_CONCURRENCY"),
		LogLevel:       asynq.FatalLevel,
		RetryDelayFunc: func(int, error, *asynq.Task) time.Duration { return retryAfter },
		// Zero means the default.
		TaskCheckInterval:        time.Duration(number("BENCH_TASK_CHECK_MS")) * time.Millisecond,
		DelayedTaskCheckInterval: time.Duration(number("BENCH_DELAYED_CHECK_MS")) * time.Millisecond,
	}
	records := openRecords(os.Getenv("BENCH_RECORDS"))
	server := asynq.NewServer(redis, config)
	must(server.Start(asynq.HandlerFunc(handler(records, os.Getenv("BENCH_TASK")))))
	sayReady()
	<-untilTold()
	server.Shutdown()
	records.flush()
}

func handler(records *records, task string) func(context.Context, *asynq.Task) error {
	return func(ctx context.Context, job *asynq.Task) error {
		var told args
		if err := json.Unmarshal(job.Payload(), &told); err != nil {
			return err
		}
		records.add(told.N)
		switch task {
		case "sleeps":
			time.Sleep(sleep)
		case "fails":
			if retried, _ := asynq.GetRetryCount(ctx); retried == 0 && told.N%10 == 0 {
				return errors.New("fails once")
			}
		case "sleeps-long":
			records.flush()
			if records.times(told.N) == 1 {
				return sleepOrStop(ctx, longSleep)
			}
		}
		return nil
	}
}

func sleepOrStop(ctx context.Context, duration time.Duration) error {
	select {
	case <-time.After(duration):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func number(name string) int {
	value, _ := strconv.Atoi(os.Getenv(name))
	return value
}
