// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strings"
)

const optionsPreamble = `# SPDX-License-Identifier: Apache-2.0
#
# What the kernel headers define, written by make generate-sockopt:
# level, code, address family (0: all), name, header.
`

// writeOptions writes what the headers define, so that the table can be made
// without them.
func writeOptions(path string, rows []row) error {
	var b bytes.Buffer
	b.WriteString(optionsPreamble)
	for _, r := range rows {
		fmt.Fprintln(&b, r.level, r.code, r.family, r.name, r.header)
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

func readOptions(path string) ([]row, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var rows []row
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		var r row
		if _, err := fmt.Sscan(lines.Text(), &r.level, &r.code, &r.family, &r.name, &r.header); err != nil {
			return nil, fmt.Errorf("%s: %q: %w", path, lines.Text(), err)
		}
		rows = append(rows, r)
	}
	return rows, nil
}
