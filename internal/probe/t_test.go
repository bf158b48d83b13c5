package probe

import (
	"context"
	"fmt"
	"os"
	"runtime/pprof"
	"testing"
	"time"
)

func TestT(t *testing.T) {
	f, _ := os.Create("/tmp/cpu.prof")
	pprof.StartCPUProfile(f)
	for i := 0; i < 5; i++ {
		a := time.Now()
		p, err := Start(context.Background(), spans("auto"))
		b := time.Now()
		if err != nil {
			t.Fatal(err)
		}
		p.Close()
		fmt.Println(b.Sub(a), time.Since(b))
	}
	pprof.StopCPUProfile()
}
