// SPDX-License-Identifier: Apache-2.0
//
// Checks the syntax of each ```traceql block of the files that are named: one query a block.
import { readFileSync } from 'node:fs';
import { parser } from '@grafana/lezer-traceql';

let queries = 0;
for (const path of process.argv.slice(2)) {
  for (const [, query] of readFileSync(path, 'utf8').matchAll(/```traceql\n(.*?)```/gs)) {
    queries++;
    parser.parse(query).iterate({
      enter(node) {
        if (node.type.isError) {
          console.error(`${path}: syntax error before "${query.slice(node.from).trim()}" in\n${query}`);
          process.exitCode = 1;
        }
      },
    });
  }
}
if (queries === 0) {
  console.error('no file has a ```traceql block');
  process.exitCode = 1;
}
