// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"

	"github.com/DataDog/dd-trace-go/v2/ddtrace/tracer"
)

type silent struct{}

func (silent) Log(string) {}

func main() {
	err := tracer.Start(
		tracer.WithService("checkout"), tracer.WithEnv("test"), tracer.WithServiceVersion("1.2.3"),
		tracer.WithAgentAddr("127.0.0.1:1"), tracer.WithLogger(silent{}), tracer.WithLogStartup(false),
	)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer tracer.Stop()
	fmt.Println("done")
	for lines := bufio.NewScanner(io.Reader(os.Stdin)); lines.Scan(); fmt.Println("done") {
		option, err := strconv.Atoi(lines.Text())
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		_, _ = syscall.GetsockoptInt(0, syscall.SOL_SOCKET, option)
	}
}
