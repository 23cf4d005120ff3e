import assert from 'node:assert/strict';
import test from 'node:test';
import { parseMountFlag } from './mount-flag.ts';
import { resolveRunMount } from './run-mount.ts';

test('a mount is read with its aliases and defaults', () => {
  const read = (text: string) => resolveRunMount(parseMountFlag(text), (value) => value.replace('$V', 'v'));
  const bind = read('target=/x,src=/$V,from=a');
  assert.deepEqual([bind.type, bind.readonly, bind.source, bind.target], ['bind', true, '/v', '/x']);
  assert.equal(read('type=bind,rw,dst=/x').readonly, false);
  const cache = read('type=cache,target=/x,sharing=locked,mode=0700,uid=5');
  assert.deepEqual([cache.readonly, cache.sharing, cache.mode, cache.uid], [false, 'locked', 0o700, 5]);
  assert.equal(read('type=tmpfs,target=/x,size=64m').size, 64 * 1024 * 1024);
  const secret = read('type=secret,id=a,required,env=TOKEN');
  assert.deepEqual([secret.required, secret.env], [true, 'TOKEN']);
});

test('a wrong mount option is refused with the nearest one', () => {
  const refuse = (text: string, message: RegExp) =>
    assert.throws(() => resolveRunMount(parseMountFlag(text), String), { code: 'invalid_argument', message });
  refuse('type=cahce,target=/x', /unsupported mount type "cahce" \(did you mean cache\?\)/);
  refuse('tyep=cache', /unexpected key 'tyep'.*did you mean type/);
  refuse('type=bind,mode=0700', /mode not allowed for "bind"/);
  refuse('type=cache,size=1m', /unexpected key 'size' for mount type 'cache'/);
  refuse('type=secret', /one of source, target required/);
  refuse('type=bind,target', /must be a key=value pair/);
});

test('the tree that a mount is taken from is known before variables are', () => {
  assert.equal(parseMountFlag('type=bind,From=a,target=/x').from, 'a');
  assert.equal(parseMountFlag('target=/x').from, '');
  assert.equal(parseMountFlag('from=a$').from, 'a$');
  assert.throws(() => parseMountFlag('from=$a'), { message: /'from' doesn't support variable expansion/ });
  assert.throws(() => parseMountFlag('from="a'), { code: 'invalid_argument' });
});
