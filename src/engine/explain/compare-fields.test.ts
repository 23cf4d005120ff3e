import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ExecOp, Op } from '../../llb/op.ts';
import { causeText } from './cause-text.ts';
import { compareFields } from './compare-fields.ts';
import { stepFields } from './step-fields.ts';

const platform = { os: 'linux', architecture: 'amd64' };
const exec: ExecOp = {
  meta: {
    args: ['/bin/sh', '-c', 'make'],
    env: ['A=1', 'B=2'],
    cwd: '/',
    user: '',
    extraHosts: [],
    hostname: '',
    ulimits: [],
    cgroupParent: '',
    removeMountStubsRecursive: false,
    validExitCodes: [],
  },
  mounts: [
    {
      input: 0,
      selector: '',
      dest: '/',
      output: 0,
      readonly: false,
      resultId: '',
      contentCache: 'default',
      type: { kind: 'bind' },
    },
  ],
  network: 'sandbox',
  security: 'sandbox',
  secretEnv: [],
  devices: [],
};

function run(change: Partial<ExecOp>, meta: Partial<ExecOp['meta']> = {}, own = platform): Op {
  return {
    inputs: [],
    platform: own,
    action: { kind: 'exec', ...exec, ...change, meta: { ...exec.meta, ...meta } },
  };
}

function image(identifier: string): Op {
  return { inputs: [], action: { kind: 'source', identifier, attrs: {} } };
}

const [one, two] = ['1', '2'].map((digit) => `sha256:${digit.repeat(64)}`);
const cases: readonly [Op, Op, string | undefined][] = [
  [run({}), run({}), undefined],
  [run({}), run({}, { args: ['/bin/sh', '-c', 'make -j'] }), 'the command is now "make -j", was "make"'],
  [run({}), run({}, { args: ['/bin/bash', '-c', 'make'] }), 'SHELL is now "/bin/bash -c", was "/bin/sh -c"'],
  [run({}), run({}, { env: ['A=1', 'B=3'] }), 'variable B is now "3", was "2"'],
  [run({}), run({}, { env: ['A=1', 'B=2', 'C='] }), 'variable C is new'],
  [run({}), run({}, { env: ['B=2'] }), 'variable A is gone, was "1"'],
  [run({}), run({}, { cwd: '/app' }), 'WORKDIR is now "/app", was "/"'],
  [run({}), run({}, { user: 'nobody' }), 'USER is now "nobody", was ""'],
  [run({}), run({ network: 'none' }), '--network is now "none", was "sandbox"'],
  [run({}), run({}, { hostname: 'h' }), 'hostname is new, "h"'],
  [
    run({}),
    run({ mounts: [...exec.mounts, { ...exec.mounts[0]!, dest: '/t', type: { kind: 'tmpfs', size: 0 } }] }),
    'the mount at /t is new, "tmpfs,size=0,input=0,output=0"',
  ],
  [
    run({}),
    run({}, { env: ['A=2'] }, { os: 'linux', architecture: 'arm64' }),
    'the platform is now linux/arm64, was linux/amd64',
  ],
  [
    image(`docker-image://docker.io/library/a:1@${one}`),
    image(`docker-image://docker.io/library/a:1@${two}`),
    'image docker.io/library/a:1 is now sha256:222222222222, was sha256:111111111111',
  ],
  [
    image(`docker-image://docker.io/library/a:1@${one}`),
    image(`docker-image://docker.io/library/a:2@${two}`),
    'image docker.io/library/a:1 is now docker.io/library/a:2, was docker.io/library/a:1',
  ],
];

for (const [before, after, text] of cases)
  test(`the first difference of two ops: ${text ?? 'none'}`, () => {
    const cause = compareFields(stepFields(before, platform), stepFields(after, platform));
    assert.equal(cause && causeText(cause), text);
  });

test('a value that is long is cut, and still compared as a whole', () => {
  const long = 'x'.repeat(1_000);
  const fields = [`${long}1`, `${long}2`].map((value) =>
    stepFields(run({}, { args: ['/bin/sh', '-c', value] }), platform),
  );
  assert.equal(compareFields(fields[0]!, fields[1]!)?.kind, 'command');
  assert.ok(fields[0]!.every(({ value }) => value.length < 600));
});
