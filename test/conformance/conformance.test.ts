import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { makeBaseLayout } from '../../scripts/make-base-layout.ts';
import { type InProcessEngine, openInProcessEngine } from '../../src/daemon/in-process.ts';
import { buildCase } from './build-case.ts';
import { readCaseFiles, readOutcomes } from './case-files.ts';
import type { Aspect, ConformanceCase } from './conformance-case.ts';
import type { Outcome } from './outcome.ts';

let directory: string;
let engine: InProcessEngine;

before(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'kiln-conformance-'));
  makeBaseLayout(path.join(directory, 'base'));
  engine = await openInProcessEngine({ root: path.join(directory, 'root') });
});

after(async () => {
  await engine[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

for (const { topic, cases, expectedPath } of readCaseFiles()) {
  const expectations = readOutcomes(expectedPath);
  describe(`${topic}, compared with what was recorded`, { concurrency: 4 }, () => {
    for (const [index, of] of cases.entries()) {
      test(of.name, async () => {
        const expected = expectations[of.name];
        assert.ok(expected, 'nothing is recorded for this case; run `npm run record -- --addr ADDRESS`');
        const actual = await buildCase(of, {
          connection: engine,
          baseLayout: path.join(directory, 'base'),
          directory: path.join(directory, `${topic}-${index}`),
        });
        if (of.error && actual.result === 'failed') assert.match(actual.message, of.error);
        assert.deepEqual(comparable(actual, of), comparable(expected, of));
      });
    }
  });
}

/** What has to be equal: not the words of an error, and not what the case says is different on purpose. */
function comparable(outcome: Outcome, { deviations }: ConformanceCase): unknown {
  const only = <T>(aspect: Aspect, value: T) => (deviations.has(aspect) ? undefined : value);
  switch (outcome.result) {
    case 'failed':
      return {
        result: 'failed',
        lines: only('lines', outcome.lines),
        warnings: only('warnings', outcome.warnings),
      };
    case 'built':
      return {
        result: 'built',
        images: outcome.images.map((image) => ({
          config: only('config', image.config),
          configDigest: only('digests', image.configDigest),
          layers: only(
            'layers',
            image.layers.map((layer) =>
              deviations.has('digests') && layer.kind === 'changes' ? layer.entries : layer,
            ),
          ),
        })),
        warnings: only('warnings', outcome.warnings),
        steps: only('steps', outcome.steps),
      };
  }
}
