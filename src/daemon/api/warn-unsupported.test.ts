import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { SolveRequestSchema } from '../../api/gen/control_pb.js';
import { BuildProgress } from '../builds/build-progress.ts';
import { warnUnsupported } from './warn-unsupported.ts';

async function warningsFor(
  cache: { imports?: { type: string }[]; exports?: { type: string }[] } | undefined,
) {
  const progress = new BuildProgress();
  warnUnsupported(create(SolveRequestSchema, { cache }), progress);
  progress.end();
  const texts: string[] = [];
  for await (const { warnings } of progress.stream(AbortSignal.timeout(5_000))) {
    texts.push(...warnings.map(({ short }) => Buffer.from(short).toString()));
  }
  return texts;
}

test('a request without remote caches gives no warning', async () => {
  assert.deepEqual(await warningsFor(undefined), []);
  assert.deepEqual(await warningsFor({}), []);
});

test('caches that a build imports and exports are named, each kind once', async () => {
  const registry = { type: 'registry' };
  assert.deepEqual(await warningsFor({ imports: [registry, registry], exports: [{ type: 'local' }] }), [
    'importing cache from registry is not supported yet and has no effect',
    'exporting cache to local is not supported yet and has no effect',
  ]);
});
