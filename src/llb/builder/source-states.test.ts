import assert from 'node:assert/strict';
import test from 'node:test';
import { git, type State, toDefinition, unmarshalDefinition } from '../llb.ts';

test('a git repository is named without its protocol and user, and fetched with them', () => {
  const sourceOf = (state: State) => {
    const [first] = [...unmarshalDefinition(toDefinition(state)).vertices.values()];
    assert.ok(first!.op.action.kind === 'source');
    return first!.op.action;
  };
  const secrets = { 'git.authtokensecret': 'GIT_AUTH_TOKEN', 'git.authheadersecret': 'GIT_AUTH_HEADER' };
  for (const [remote, identifier, fullUrl, more] of [
    ['https://u:p@h:1/a/r.git', 'git://h:1/a/r.git', 'https://u:p@h:1/a/r.git', {}],
    ['h/r', 'git://h/r', 'https://h/r', {}],
    ['ssh://u@h/r.git', 'git://h/r.git', 'ssh://u@h/r.git', { 'git.mountsshsock': 'default' }],
    ['u@h:r.git', 'git://h/r.git', 'u@h:r.git', { 'git.mountsshsock': 'default' }],
  ] as const) {
    const { attrs, identifier: found } = sourceOf(git(remote));
    assert.deepEqual([found, { ...attrs }], [identifier, { 'git.fullurl': fullUrl, ...secrets, ...more }]);
  }
  const options = { ref: 'v1', subdir: 'd', keepGitDir: true, skipSubmodules: true, checksum: 'abc' };
  const { identifier, attrs } = sourceOf(git('https://h/r.git', { ...options, mtime: 'commit' }));
  assert.equal(identifier, 'git://h/r.git#v1:d');
  assert.deepEqual(
    ['git.keepgitdir', 'git.skipsubmodules', 'git.checksum', 'git.mtime'].map((name) => attrs[name]),
    ['true', 'true', 'abc', 'commit'],
  );
});
