import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { createClient } from '@connectrpc/connect';
import { Control } from '../../src/api/gen/control_pb.js';
import {
  diff,
  encodeDefinition,
  files,
  merge,
  type State,
  scratch,
  toDefinition,
} from '../../src/llb/llb.ts';
import { LlbEngine } from '../rig/llb-engine.ts';
import { suiteRig } from '../rig/suite-rig.ts';

describe('a definition whose vertices are made of each other', () => {
  const rig = suiteRig(async (resources) => ({ engine: resources.use(await LlbEngine.open()) }));

  const file = (name: string) => scratch().file(files().mkfile(`/${name}`, 0o644, name));
  /** Solves it; returns the names of its vertices. */
  const names = async (state: State): Promise<ReadonlyMap<string, string>> => {
    const control = createClient(Control, rig.engine.transport);
    const ref = randomUUID();
    const progress = Array.fromAsync(control.status({ ref }));
    await control.solve({ ref, definition: encodeDefinition(toDefinition(state)) });
    const vertexes = (await progress).flatMap((message) => message.vertexes);
    return new Map(vertexes.map(({ digest, name }) => [digest, name]));
  };
  const longest = (of: ReadonlyMap<string, string>) =>
    Math.max(...[...of.values()].map(({ length }) => length));

  test('has names that say what a vertex is made of', async () => {
    const [a, b] = [file('a'), file('b')];
    const made = [...(await names(merge([merge([a, b]), diff(a, b)]))).values()];
    assert.deepEqual(made.sort(), [
      'diff (mkfile /a) -> (mkfile /b)',
      'merge (merge (mkfile /a, mkfile /b), diff (mkfile /a) -> (mkfile /b))',
      'merge (mkfile /a, mkfile /b)',
      'mkfile /a',
      'mkfile /b',
    ]);
  });

  test('has no name that is much longer than its op, however deep it nests', async () => {
    let [a, b] = [file('a'), file('b')];
    for (let depth = 0; depth < 24; depth++) [a, b] = [merge([a, b]), merge([b, a])];
    const made = await names(merge([a, b]));
    assert.equal(made.size, 2 + 2 * 24 + 1);
    assert.ok(longest(made) < 1_000);
  });

  test('may be two thousand deep', async () => {
    let state = file('a');
    for (let depth = 0; depth < 2_000; depth++) state = merge([state, file(String(depth % 7))]);
    const made = await names(state);
    assert.equal(made.size, 1 + 7 + 2_000);
    assert.ok(longest(made) < 1_000);
  });

  test('repeats little of a name that its client gave a vertex', async () => {
    const big = 'x'.repeat(200_000);
    const named = scratch().file(files().mkfile('/a', 0o644, 'a'), { name: big });
    const users = Array.from({ length: 200 }, (_, index) => merge([named, file(String(index))]));
    const made = [...(await names(merge(users))).values()];
    assert.equal(made.filter((name) => name === big).length, 1);
    assert.ok(made.filter((name) => name !== big).every(({ length }) => length < 100_000));
  });
});
