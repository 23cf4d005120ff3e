/**
 * Builds every case with a daemon and writes what comes of it as the expectation. Usage: record.ts --addr ADDRESS [TOPIC…]
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { makeBaseLayout } from '../../scripts/make-base-layout.ts';
import { connectDaemon } from '../../src/client/connect-daemon.ts';
import { buildCase } from './build-case.ts';
import { readCaseFiles } from './case-files.ts';
import { formatOutcomes } from './format-outcomes.ts';
import type { Outcome } from './outcome.ts';

const { values, positionals: topics } = parseArgs({
  options: { addr: { type: 'string' } },
  allowPositionals: true,
});
if (!values.addr) {
  console.error('usage: npm run record -- --addr unix:///run/buildkit/buildkitd.sock [TOPIC…]');
  process.exit(2);
}

const directory = mkdtempSync(path.join(tmpdir(), 'kiln-record-'));
let problems = 0;
try {
  const baseLayout = path.join(directory, 'base');
  makeBaseLayout(baseLayout);
  await using connection = await connectDaemon(values.addr);
  for (const { topic, cases, expectedPath } of readCaseFiles()) {
    if (topics.length > 0 && !topics.includes(topic)) continue;
    const outcomes: Record<string, Outcome> = {};
    for (const [index, of] of cases.entries()) {
      const work = path.join(directory, `${topic}-${index}`);
      const outcome = await buildCase(of, { connection, baseLayout, directory: work });
      outcomes[of.name] = outcome;
      const problem = surprise(of.error, outcome);
      if (problem) problems++;
      console.log(`${topic}: ${of.name}${problem ? `: ${problem}` : ''}`);
    }
    writeFileSync(expectedPath, formatOutcomes(outcomes));
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
process.exit(problems === 0 ? 0 : 1);

/** A case that does not do what it was written for proves nothing. */
function surprise(error: RegExp | undefined, outcome: Outcome): string | undefined {
  switch (outcome.result) {
    case 'built':
      return error && `BUILT, but was to fail with ${error}`;
    case 'failed':
      if (!error) return `FAILED: ${outcome.message}`;
      return error.test(outcome.message) ? undefined : `FAILED OTHERWISE: ${outcome.message}`;
  }
}
