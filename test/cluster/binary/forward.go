package main

import (
	"io"
	"log"
	"net"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// forward ADDRESS PID listens on ADDRESS where it was started and passes each connection on to the same address in the network
// namespace of that process: the cluster's API server answers on this machine's loopback at the port it has inside. It ends when
// the process does.
func forward(args []string) {
	address, namespace := args[0], "/proc/"+args[1]+"/ns/net"
	go endWith(args[1])
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	for {
		outside, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer outside.Close()
			inside, err := dialInside(namespace, address)
			if err != nil {
				log.Print(err)
				return
			}
			defer inside.Close()
			go func() {
				io.Copy(inside, outside)
				inside.(*net.TCPConn).CloseWrite()
			}()
			io.Copy(outside, inside)
		}()
	}
}

func endWith(process string) {
	pid, err := strconv.Atoi(process)
	if err != nil {
		log.Fatal(err)
	}
	descriptor, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		log.Fatal(err)
	}
	for {
		ended, _ := unix.Poll([]unix.PollFd{{Fd: int32(descriptor), Events: unix.POLLIN}}, -1)
		if ended > 0 {
			os.Exit(0)
		}
	}
}

// A socket belongs to the namespace its thread was in when it was made. The thread is not unlocked, so it ends with the goroutine.
func dialInside(namespace, address string) (net.Conn, error) {
	type result struct {
		connection net.Conn
		err        error
	}
	results := make(chan result)
	go func() {
		runtime.LockOSThread()
		connection, err := func() (net.Conn, error) {
			file, err := os.Open(namespace)
			if err != nil {
				return nil, err
			}
			defer file.Close()
			if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
				return nil, err
			}
			return net.Dial("tcp", address)
		}()
		results <- result{connection, err}
	}()
	r := <-results
	return r.connection, r.err
}
