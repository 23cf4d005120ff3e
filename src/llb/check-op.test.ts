import assert from 'node:assert/strict';
import test from 'node:test';
import { digestOf } from '../base/digest.ts';
import { checkOp } from './check-op.ts';
import { image, type State, toGraph } from './llb.ts';

test('a step whose working directory or mount target no system call would take is refused', () => {
  const long = `/${'a/'.repeat(100_000)}`;
  const base = image('base');
  const check = (state: State) => {
    for (const { digest, op } of toGraph(state).vertices.values()) checkOp(digest, op);
  };
  for (const state of [
    base.dir(long).run(['true']).root,
    base.run(['true'], { mounts: [{ dest: long, type: { kind: 'tmpfs', size: 0 } }] }).root,
  ]) {
    assert.throws(() => check(state), {
      code: 'invalid_argument',
      message: /has 200001 characters, more than 4096/,
    });
  }
});

test('an op without its command, its root, its source or its definition is refused, and so is a mount over the root', () => {
  const { op } = [...toGraph(image('base').run(['true']).root).vertices.values()].at(-1)!;
  assert.ok(op.action.kind === 'exec');
  const { meta, mounts } = op.action;
  const tmpfs = { ...mounts[0]!, dest: '/a/..', type: { kind: 'tmpfs', size: 0 } as const };
  const source = { kind: 'source', identifier: '', attrs: {} } as const;
  const build = { kind: 'build', builder: -1, inputs: { 'buildkit.llb.definition': 0 }, attrs: {} } as const;
  for (const [action, message] of [
    [{ ...op.action, meta: { ...meta, args: [] } }, /it runs no command/],
    [{ ...op.action, mounts: [] }, /it has no root file system/],
    [{ ...op.action, mounts: [...mounts, tmpfs] }, /its mount target "\/a\/\.\." is the root/],
    [source, /its source has no identifier/],
    [{ ...build, builder: 0 }, /builder 0: only LLB builder is currently allowed/],
    [{ ...build, inputs: {} }, /no llb definition input buildkit.llb.definition found/],
    [{ ...build, inputs: { 'buildkit.llb.definition': -1 } }, /invalid index -1/],
  ] as const) {
    assert.throws(() => checkOp(digestOf('vertex'), { ...op, action }), {
      code: 'invalid_argument',
      message,
    });
  }
});
