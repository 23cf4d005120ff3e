import assert from 'node:assert/strict';
import test from 'node:test';
import { parseCsv } from '../../../base/text/csv.ts';
import { parseChmod } from './chmod.ts';
import { parseExposedPort } from './expose-ports.ts';
import { parseGitRef } from './git-ref.ts';
import { goDuration, goQuote } from './go-format.ts';
import { parseIgnoreFile } from './ignore-file.ts';
import { parseRunMount } from './run-mount.ts';
import { isAbsoluteTargetPath, resolveTargetPath, resolveWorkdir } from './target-path.ts';

test('durations are shown as Go shows them', () => {
  const shown = [0, 1, 1500, 2.5e6, 90e9, 3600e9, 3661.5e9].map(goDuration);
  assert.deepEqual(shown, ['0s', '1ns', '1.5µs', '2.5ms', '1m30s', '1h0m0s', '1h1m1.5s']);
});

test('strings are quoted as Go quotes them', () => {
  assert.equal(goQuote('a "b"\\\n\x07\x1b\u200b é'), '"a \\"b\\"\\\\\\n\\a\\x1b\\u200b é"');
});

test('CSV fields can be quoted as a whole', () => {
  assert.deepEqual(parseCsv('a=b,"c,""d""",'), ['a=b', 'c,"d"', '']);
  assert.throws(() => parseCsv('a"b'), { code: 'invalid_argument' });
});

test('ports can be ranges and have a protocol', () => {
  assert.deepEqual(parseExposedPort('8000-8002/UDP'), {
    ports: ['8000/udp', '8001/udp', '8002/udp'],
    mapped: false,
    oddCase: true,
  });
  assert.equal(parseExposedPort('127.0.0.1:80:8080').mapped, true);
  for (const bad of ['', 'x', '70000', '9-8', '80/xyz', '1.2:3:4']) {
    assert.throws(() => parseExposedPort(bad), { code: 'invalid_argument' }, bad);
  }
});

test('a mount is read with its aliases and defaults', () => {
  const read = (text: string) => parseRunMount(text, (value) => value.replace('$V', 'v'));
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
    assert.throws(() => parseRunMount(text, String), { code: 'invalid_argument', message });
  refuse('type=cahce,target=/x', /unsupported mount type "cahce" \(did you mean cache\?\)/);
  refuse('tyep=cache', /unexpected key 'tyep'.*did you mean type/);
  refuse('type=bind,mode=0700', /mode not allowed for "bind"/);
  refuse('type=cache,size=1m', /unexpected key 'size' for mount type 'cache'/);
  refuse('type=secret', /one of source, target required/);
  refuse('type=bind,target', /must be a key=value pair/);
});

test('permission bits are octal or symbolic', () => {
  assert.equal(parseChmod('0755'), 0o755);
  assert.equal(parseChmod('u=rwX,go-w'), 'u=rwX,go-w');
  for (const bad of ['8', '10000', 'rwx?', 'u=q']) {
    assert.throws(() => parseChmod(bad), { code: 'invalid_argument' }, bad);
  }
});

test('git repositories are told from files and downloads', () => {
  assert.deepEqual(parseGitRef('https://h/a/b.git#v1:sub/dir')?.options, { ref: 'v1', subdir: 'sub/dir' });
  assert.deepEqual(parseGitRef('git@h:a/b.git?tag=v1&keep-git-dir')?.options, {
    keepGitDir: true,
    ref: 'refs/tags/v1',
  });
  assert.equal(parseGitRef('github.com/a/b')?.couldBePath, true);
  for (const other of ['https://h/a.tar.gz', './a.git', 'a/b', 'ftp://h/a.git']) {
    assert.equal(parseGitRef(other), undefined, other);
  }
  assert.throws(() => parseGitRef('https://h/a.git?x=1'), { code: 'invalid_argument' });
});

test('ignore files are cleaned', () => {
  assert.deepEqual(parseIgnoreFile(Buffer.from('\uFEFF# c\n a/ \n\n/b/../c\n! d/e/\r\n')), [
    'a',
    'c',
    '!d/e',
  ]);
});

test('paths in the image are absolute, on Windows without a drive', () => {
  assert.equal(resolveTargetPath('/w', 'a/../b/', 'linux', true), '/w/b/');
  assert.equal(resolveTargetPath('/w', '.', 'linux', true), '/w');
  assert.equal(resolveTargetPath('/w', './', 'linux', true), '/w/');
  assert.equal(resolveTargetPath('/a/b/', '', 'linux', false), '/a/b/');
  assert.equal(resolveTargetPath('/a/./b/', 'c/', 'linux', false), '/a/b/c');
  assert.equal(resolveTargetPath('/', 'C:\\App\\x', 'windows', false), '/App/x');
  assert.equal(resolveWorkdir('\\a', 'b', 'windows'), '\\a\\b');
  assert.equal(isAbsoluteTargetPath('c:\\a', 'windows'), true);
  assert.throws(() => resolveTargetPath('/', 'D:\\x', 'windows', false), { code: 'invalid_argument' });
});
