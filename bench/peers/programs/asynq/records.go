package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

const flushEvery = 50 * time.Millisecond

// The starts of this process's jobs, buffered.
type records struct {
	folder string
	file   *os.File
	mutex  sync.Mutex
	lines  []byte
}

func openRecords(folder string) *records {
	path := filepath.Join(folder, strconv.Itoa(os.Getpid()))
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	must(err)
	all := &records{folder: folder, file: file}
	go func() {
		for range time.Tick(flushEvery) {
			all.flush()
		}
	}()
	return all
}

func (all *records) add(n int) {
	micros := time.Now().UnixMicro()
	all.mutex.Lock()
	defer all.mutex.Unlock()
	all.lines = strconv.AppendInt(all.lines, int64(n), 10)
	all.lines = append(all.lines, ' ')
	all.lines = strconv.AppendInt(all.lines, micros, 10)
	all.lines = append(all.lines, '\n')
}

func (all *records) flush() {
	all.mutex.Lock()
	defer all.mutex.Unlock()
	if len(all.lines) == 0 {
		return
	}
	_, err := all.file.Write(all.lines)
	must(err)
	all.lines = all.lines[:0]
}

// How often a job was started, by a worker that was killed too.
func (all *records) times(n int) int {
	times := 0
	paths, _ := filepath.Glob(filepath.Join(all.folder, "*"))
	for _, path := range paths {
		text, _ := os.ReadFile(path)
		times += bytes.Count(append([]byte("\n"), text...), fmt.Appendf(nil, "\n%d ", n))
	}
	return times
}
