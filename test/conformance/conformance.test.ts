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
import type { LayerOutcome, Outcome } from './outcome.ts';

let directory: string;
let engine: InProcessEngine | undefined;

before(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'kiln-conformance-'));
  makeBaseLayout(path.join(directory, 'base'));
  engine = await openInProcessEngine({ root: path.join(directory, 'root') });
});

after(async () => {
  // Undefined when it could not be opened.
  await engine?.[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

for (const { topic, cases, expectedPath } of readCaseFiles()) {
  const expectations = readOutcomes(expectedPath);
  describe(`${topic}, compared with what was recorded`, { concurrency: 4 }, () => {
    test('every expectation belongs to a case', () => {
      assert.deepEqual(
        Object.keys(expectations),
        cases.map(({ name }) => name),
      );
    });
    for (const [index, of] of cases.entries()) {
      test(of.name, async () => {
        const expected = expectations[of.name];
        assert.ok(expected, 'nothing is recorded for this case; run `npm run record -- --addr ADDRESS`');
        const actual = await buildCase(of, {
          connection: engine!,
          baseLayout: path.join(directory, 'base'),
          directory: path.join(directory, `${topic}-${index}`),
        });
        if (actual.result !== expected.result) {
          assert.fail(
            actual.result === 'failed' ? `it failed: ${actual.message}` : 'it was to fail, but was built',
          );
        }
        if (of.error && actual.result === 'failed') assert.match(actual.message, of.error);
        assert.deepEqual(comparable(actual, of, expected), comparable(expected, of, expected));
      });
    }
  });
}

/**
 * What has to be equal: not the words of an error, not what comes beside one, not lines that the recorded error lacks, and not
 * what the case says is different on purpose.
 */
function comparable(outcome: Outcome, of: ConformanceCase, expected: Outcome): unknown {
  const only = <T>(aspect: Aspect, value: T) => (of.deviations.has(aspect) ? undefined : value);
  switch (outcome.result) {
    case 'failed': {
      const isPlaced = expected.result === 'failed' && expected.lines.length > 0;
      return { result: 'failed', lines: isPlaced ? only('lines', outcome.lines) : undefined };
    }
    case 'built':
      return {
        result: 'built',
        images: outcome.images.map(({ config, configDigest, layers }) => ({
          config: only('config', config),
          configDigest: of.deviations.has('times') ? undefined : configDigest,
          layers: only('layers', of.deviations.has('times') ? layers.map(withoutTimes) : layers),
        })),
        warnings: only('warnings', outcome.warnings),
        steps: only('steps', outcome.steps),
      };
  }
}

function withoutTimes(layer: LayerOutcome): unknown {
  switch (layer.kind) {
    case 'base':
      return layer;
    case 'changes':
      return layer.entries.map((entry) => ({ ...entry, mtime: undefined }));
  }
}
