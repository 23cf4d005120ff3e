import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContainerConfig } from '../../oci/image-config.ts';
import type { RunFlags } from './run-flags.ts';
import { parseMount, parseVolume, requestedProcess } from './run-process.ts';

const noFlags: RunFlags = { env: [], envFile: [], volume: [], mount: [], tmpfs: [], network: 'host' };

async function on(config: object, command: readonly string[] = [], flags: Partial<RunFlags> = {}) {
  const environment = { HERE: 'here' };
  const requested = await requestedProcess(command, { ...noFlags, ...flags }, environment, undefined);
  return requested.on(config as ContainerConfig);
}

test('the command of an image and that of the user make one', async () => {
  const config = { Entrypoint: ['/entry', '-x'], Cmd: ['standard'] };
  assert.deepEqual((await on(config)).args, ['/entry', '-x', 'standard']);
  assert.deepEqual((await on(config, ['mine', 'too'])).args, ['/entry', '-x', 'mine', 'too']);
  assert.deepEqual((await on(config, [], { entrypoint: '/other' })).args, ['/other']);
  assert.deepEqual((await on(config, ['only'], { entrypoint: '' })).args, ['only']);
  await assert.rejects(on({}), { code: 'invalid_argument', message: /does not say what to run/ });
});

test('the last word on a variable counts, and one without a value is that of here', async () => {
  const { env } = await on({ Env: ['A=1', 'B=2'], Cmd: ['x'] }, [], {
    env: ['B=3', 'HERE', 'NOWHERE', 'B=4'],
  });
  assert.deepEqual(env, ['A=1', 'B=4', 'HERE=here']);
  await assert.rejects(on({}, ['x'], { env: ['=1'] }), { code: 'invalid_argument' });
});

test('an image whose config is of wrong types is taken for one that says nothing', async () => {
  const wrong = { Env: 'A=1', User: 5, WorkingDir: {}, Entrypoint: { 0: 'x' }, Cmd: 7 };
  const { env, user, cwd, args } = await on(wrong, ['mine']);
  assert.deepEqual({ env, user, cwd, args }, { env: [], user: '', cwd: '', args: ['mine'] });
});

test('mounts are read as docker reads them, and what makes no sense is refused', () => {
  assert.deepEqual(parseVolume('/a:/b:ro'), { source: '/a', target: '/b', readonly: true });
  assert.deepEqual(parseVolume('./a:/b'), { source: `${process.cwd()}/a`, target: '/b', readonly: false });
  assert.deepEqual(parseMount('type=bind,source=/a,target=/b,readonly'), {
    source: '/a',
    target: '/b',
    readonly: true,
  });
  assert.deepEqual(parseMount('type=tmpfs,dst=/b'), { source: '', target: '/b', readonly: false });
  for (const volume of ['/a', 'name:/b', '/a:b', '/a:/b:rx', '/a:/b:ro:z', ':']) {
    assert.throws(() => parseVolume(volume), { code: 'invalid_argument' }, volume);
  }
  for (const mount of [
    '',
    'type=bind,dst=/b',
    'type=volume,src=a,dst=/b',
    'src=/a',
    'src=/a,dst=/b,what=1',
    'type=tmpfs,src=/a,dst=/b',
  ]) {
    assert.throws(() => parseMount(mount), { code: 'invalid_argument' }, mount);
  }
});
