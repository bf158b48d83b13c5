// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package main

/*
#cgo LDFLAGS: -pthread
#include <pthread.h>
#include <sys/socket.h>

static void *call(void *option) {
	int value;
	socklen_t length = sizeof(value);
	getsockopt(0, SOL_SOCKET, (int)(long)option, &value, &length);
	return 0;
}

// A thread of C begins with the registers of the one that creates it.
static int call_in_thread(long option) {
	pthread_t thread;
	if (pthread_create(&thread, 0, call, (void *)option))
		return -1;
	return pthread_join(thread, 0);
}
*/
import "C"

import (
	"context"
	"log"
)

// inThreadsOfC makes a call in a thread that runs no goroutine.
func inThreadsOfC(context.Context) {
	if C.call_in_thread(C.long(option(context.Background()))) != 0 {
		log.Fatal("cannot start a thread of C")
	}
}
