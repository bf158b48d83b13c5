// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// limit is how long a test waits for anything. It is no expected duration.
const limit = time.Minute

// known is the name of the program whose calls are known, see testdata/known.c.
const known = "k8s-known"

// image is the root of all containers: nothing but the known program.
var image string

func TestMain(m *testing.M) {
	var err error
	if image, err = os.MkdirTemp("", "kubernetes"); err != nil {
		panic(err)
	}
	// The programs run as another user.
	if err := errors.Join(os.Chmod(image, 0o755), os.Mkdir(filepath.Join(image, "proc"), 0o755)); err != nil {
		panic(err)
	}
	if out, err := exec.Command("cc", "-O1", "-static", "-o", filepath.Join(image, known), "testdata/known.c").CombinedOutput(); err != nil {
		panic(fmt.Sprintf("compile the known program: %v\n%s", err, out))
	}
	status := m.Run()
	if err := errors.Join(os.RemoveAll(image), goleak.Find()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}
