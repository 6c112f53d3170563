package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hibiken/asynq"
)

type order struct {
	Do       string `json:"do"`
	From     int    `json:"from"`
	Count    int    `json:"count"`
	Payload  string `json:"payload"`
	Width    int    `json:"width"`
	Schedule string `json:"schedule"`
	DueAtMs  int64  `json:"dueAtMs"`
	GapMs    int64  `json:"gapMs"`
	Awaits   string `json:"awaits"`
}

type answer struct {
	Ms              float64 `json:"ms"`
	StartedAtMicros int64   `json:"startedAtMicros"`

	LatenciesMs    []float64 `json:"latenciesMs,omitempty"`
	CalledAtMicros []int64   `json:"calledAtMicros,omitempty"`
}

var noResult = map[string]string{"unsupported": "no call that waits for a result"}

func produce(redis asynq.RedisConnOpt) {
	client := asynq.NewClient(redis)
	must(client.Ping())
	sayReady()
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var told order
		must(json.Unmarshal(lines.Bytes(), &told))
		reply, err := json.Marshal(carryOut(client, told))
		must(err)
		fmt.Println(string(reply))
	}
}

func carryOut(client *asynq.Client, told order) any {
	switch told.Do {
	case "one-by-one":
		return timed(func(time.Time) { oneByOne(client, told) })
	case "concurrent":
		return timed(func(time.Time) { concurrent(client, told) })
	case "paced":
		due := readSchedule(told.Schedule)
		return timed(func(start time.Time) { paced(client, told, due, start) })
	case "delayed":
		at := asynq.ProcessAt(time.UnixMilli(told.DueAtMs))
		return timed(func(time.Time) { oneByOne(client, told, at) })
	case "spaced":
		if told.Awaits == "result" {
			return noResult
		}
		return spaced(client, told)
	case "round-trips":
		return noResult
	}
	return map[string]string{"unsupported": "no call for many jobs"}
}

func timed(do func(start time.Time)) answer {
	start := time.Now()
	do(start)
	return answer{Ms: float64(time.Since(start).Microseconds()) / 1e3, StartedAtMicros: start.UnixMicro()}
}

func enqueue(client *asynq.Client, n int, payload string, options ...asynq.Option) {
	bytes, err := json.Marshal(args{N: n, Payload: payload})
	must(err)
	_, err = client.Enqueue(asynq.NewTask(taskType, bytes), options...)
	must(err)
}

func oneByOne(client *asynq.Client, told order, options ...asynq.Option) {
	for n := told.From; n < told.From+told.Count; n++ {
		enqueue(client, n, told.Payload, options...)
	}
}

func spaced(client *asynq.Client, told order) answer {
	var latencies []float64
	var called []int64
	reply := timed(func(time.Time) {
		for n := told.From; n < told.From+told.Count; n++ {
			time.Sleep(time.Duration(told.GapMs) * time.Millisecond)
			began := time.Now()
			enqueue(client, n, told.Payload)
			latencies = append(latencies, float64(time.Since(began).Microseconds())/1e3)
			called = append(called, began.UnixMicro())
		}
	})
	reply.LatenciesMs, reply.CalledAtMicros = latencies, called
	return reply
}

func concurrent(client *asynq.Client, told order) {
	end := told.From + told.Count
	for from := told.From; from < end; from += told.Width {
		var all sync.WaitGroup
		for n := from; n < min(from+told.Width, end); n++ {
			all.Add(1)
			go func() {
				defer all.Done()
				enqueue(client, n, told.Payload)
			}()
		}
		all.Wait()
	}
}

func paced(client *asynq.Client, told order, due []time.Duration, start time.Time) {
	var all sync.WaitGroup
	for turn, at := range due {
		sleepUntil(start.Add(at))
		all.Add(1)
		go func() {
			defer all.Done()
			enqueue(client, told.From+turn, told.Payload)
		}()
	}
	all.Wait()
}

// The runtime's own timers round up to a whole millisecond when nothing else runs.
func sleepUntil(at time.Time) {
	if wait := time.Until(at); wait > 0 {
		timespec := syscall.NsecToTimespec(int64(wait))
		_ = syscall.Nanosleep(&timespec, nil)
	}
}

func readSchedule(path string) []time.Duration {
	text, err := os.ReadFile(path)
	must(err)
	var due []time.Duration
	for _, line := range strings.Fields(string(text)) {
		micros, err := strconv.ParseFloat(line, 64)
		must(err)
		due = append(due, time.Duration(micros*1e3))
	}
	return due
}
