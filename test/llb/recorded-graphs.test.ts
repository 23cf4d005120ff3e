import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { suite, test } from 'node:test';
import { decodeDefinition, encodeDefinition, type SourceMap, toDefinition } from '../../src/llb/llb.ts';
import { graphs } from './graphs.ts';

/**
 * Definitions as the Go package `client/llb` of BuildKit 0.32.2 marshals them, in base64: for linux/amd64, with `unique` as the id of local
 * directories, for a daemon with all capabilities.
 */
const recorded = JSON.parse(
  readFileSync(path.join(import.meta.dirname, 'recorded-graphs.json'), 'utf8'),
) as readonly { readonly name: string; readonly definition: string }[];

/** What file ops need of a daemon. The Go package looks for it before it knows the actions, and so never says it. */
const unsaid = [
  'file.copy.alwaysreplaceexistingdestpaths',
  'file.copy.includeexcludepatterns',
  'file.copy.modestring',
  'file.copy.requiredpaths',
  'file.rm.wildcard',
  'file.symlink.create',
];

suite('graphs have the bytes that they have in Go', () => {
  for (const { name, definition } of recorded) {
    test(name, () => {
      const expected = decodeDefinition(Buffer.from(definition, 'base64'));
      const { state, options } = graphs.get(name)!();
      // Once over the wire, as the recorded one was.
      const made = decodeDefinition(encodeDefinition(toDefinition(state, options)));
      assert.deepEqual(made.ops.map(hex), expected.ops.map(hex));
      assert.deepEqual([...made.metadata.keys()].sort(), [...expected.metadata.keys()].sort());
      for (const [digest, metadata] of expected.metadata) {
        const ours = made.metadata.get(digest)!;
        const isFileOp = Object.hasOwn(metadata.caps, 'file.base');
        const caps = Object.entries(ours.caps).filter(([cap]) => !(isFileOp && unsaid.includes(cap)));
        assert.deepEqual({ ...ours, caps: Object.fromEntries(caps) }, metadata);
      }
      assert.deepEqual(located(made.source), located(expected.source));
    });
  }
});

test('every graph was recorded, once', () => {
  assert.deepEqual([...graphs.keys()].sort(), recorded.map(({ name }) => name).sort());
});

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** Go also lists vertices without locations. */
function located(source: SourceMap | undefined) {
  const files = (source?.files ?? []).map(({ definition, ...file }) => ({
    ...file,
    definition: definition?.ops.map(hex),
  }));
  return {
    files,
    locations: new Map([...(source?.locations ?? [])].filter(([, places]) => places.length > 0)),
  };
}
