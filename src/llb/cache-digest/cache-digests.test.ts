import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type ExecMount, type ExecOp, type FileAction, type FileChange, noIndex } from '../op.ts';
import { execCacheDigest } from './exec-cache-digest.ts';
import { fileCacheDigest } from './file-cache-digest.ts';
import {
  buildCacheDigest,
  diffCacheDigest,
  mergeCacheDigest,
  passthroughCacheDigest,
} from './tree-cache-digests.ts';

const platform = { os: 'linux', architecture: 'amd64' };
const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const root: ExecMount = {
  input: 0,
  selector: '',
  dest: '/',
  output: 0,
  readonly: false,
  resultId: '',
  contentCache: 'default',
  type: { kind: 'bind' },
};

interface Run extends Partial<Pick<ExecOp, 'network' | 'secretEnv'>> {
  readonly args: readonly string[];
  readonly env?: string;
  readonly cwd?: string;
  readonly user?: string;
  readonly extraHosts?: ExecOp['meta']['extraHosts'];
  readonly mounts?: readonly Partial<ExecMount>[];
}

function exec({
  args,
  env = path,
  cwd = '/',
  user = '',
  extraHosts = [],
  mounts = [],
  ...more
}: Run): ExecOp {
  return {
    meta: {
      args,
      env: [env],
      cwd,
      user,
      extraHosts,
      hostname: '',
      ulimits: [],
      cgroupParent: '',
      removeMountStubsRecursive: true,
      validExitCodes: [],
    },
    mounts: [root, ...mounts.map((mount) => ({ ...root, input: noIndex, output: noIndex, ...mount }))],
    network: 'sandbox',
    security: 'sandbox',
    secretEnv: [],
    devices: [],
    ...more,
  };
}

const sh = (command: string) => ['/bin/sh', '-c', command];
const inApp = { env: 'PATH=/bin', cwd: '/app' };

/** Recorded from buildkitd v0.32.2, which keeps what it hashes with `--save-cache-debug`. */
const execs: readonly [name: string, Run, digest: string][] = [
  [
    'a command',
    { args: sh('echo built > built'), ...inApp },
    'fab0aa060627b41ab40b31d38da41d9d0b7fa3c5255cbed422c109b4e3a1fa95',
  ],
  [
    'lines',
    { args: sh('set -e\necho a\n'), ...inApp },
    'ae4d2c256bf9a3cf617f6fb84f92e7e4e0bbc73d1157bc7180a535efa49b4fdf',
  ],
  [
    'a control character, and a user',
    { args: ['echo', 'exec\u0001form'], user: '5:6' },
    '0e725d919cb12c5f408356ab97071484babca71f698189812e57720970b449a3',
  ],
  [
    'characters that Go escapes, and files of the context',
    { args: sh('echo "<&>  é" > /o'), mounts: [{ input: 1, dest: '/ctx' }] },
    'c4051fb027a087972d1a2d09a66a80261ac13d4ec4a38cf3b53ca90a330a0edc',
  ],
  [
    'files of a stage',
    { args: sh('ls /m'), mounts: [{ input: 1, dest: '/m', selector: '/app', readonly: true }] },
    '146eb42f5e463b5762e765b2e82890a02a19a732f4829b5c1e4da7b8e234699b',
  ],
  [
    'a cache',
    {
      args: sh('echo 1 > cached'),
      ...inApp,
      mounts: [{ dest: '/root/.cache', type: { kind: 'cache', id: '//root/.cache', sharing: 'shared' } }],
    },
    '6bb0b1e0f86c1d56cd78801fda06199c0ceed71447c0168369ae4846623de116',
  ],
  [
    'a cache with an id of its own',
    {
      args: sh('echo c'),
      mounts: [{ dest: '/c', type: { kind: 'cache', id: '/own', sharing: 'locked' } }],
    },
    '84128a178787eabcc3d66c4168268f5ed4aaf8de7610d23cbfe1298ef29216c8',
  ],
  [
    'a cache that starts as a directory',
    {
      args: sh('echo seeded'),
      mounts: [{ input: 1, dest: '/c', type: { kind: 'cache', id: '//c', sharing: 'shared' } }],
    },
    'a0bebfec627b55fe25239eac242183d8c627f749ef735de98a50c8faf5d5be69',
  ],
  [
    'a secret',
    {
      args: sh('cat /run/secrets/token > /dev/null'),
      ...inApp,
      mounts: [
        {
          dest: '/run/secrets/token',
          output: 0,
          type: { kind: 'secret', id: 'token', uid: 0, gid: 0, mode: 0o400, optional: true },
        },
      ],
    },
    'cd810ebbb14429b505aac898a9559c7c5e8b0299dfe41ae45b41c0a92bee3a2c',
  ],
  [
    'a secret in a variable',
    { args: sh('echo s'), secretEnv: [{ id: 'token', name: 'TOKEN', optional: false }] },
    '89780b1cd9cc4bd646d570963d52d0655279f466de7b2aa8c2e138b2ce2489ea',
  ],
  [
    'memory',
    { args: sh('echo t'), mounts: [{ dest: '/t', type: { kind: 'tmpfs', size: 65_536 } }] },
    '9c90e8ef74ca649358b3ae545cf0a65f956ce925b19d6cb16e616cba268cb49b',
  ],
  [
    'no network',
    { args: sh('echo n'), network: 'none' },
    'ea9eaf70562cb0f62ed5744292bb1c24a8f03861c43422ccfe4ddc0d8ca3ddd3',
  ],
];

const dockerfileCopy = {
  kind: 'copy',
  modeString: '',
  followSymlink: true,
  dirCopyContents: true,
  unpackArchive: false,
  createDestPath: true,
  allowWildcard: true,
  allowEmptyWildcard: true,
  includePatterns: [],
  excludePatterns: [],
  requiredPaths: [],
  alwaysReplaceExistingDestPaths: false,
} as const;
const added = {
  ...dockerfileCopy,
  followSymlink: false,
  dirCopyContents: false,
  allowWildcard: false,
  allowEmptyWildcard: false,
};

const onto = (change: FileChange): FileAction => ({ input: 0, secondaryInput: 1, output: 0, change });
const alone = (change: FileChange): FileAction => ({
  input: noIndex,
  secondaryInput: change.kind === 'copy' ? 0 : noIndex,
  output: 0,
  change,
});
const both = (changes: readonly FileChange[]): readonly FileAction[] =>
  changes.map((change, index) => ({
    ...onto(change),
    input: index === 0 ? 0 : changes.length + index - 1,
    output: index === changes.length - 1 ? 0 : noIndex,
  }));
const ids = (user: number, group?: number) => ({
  user: { kind: 'id' as const, id: user },
  ...(group === undefined ? {} : { group: { kind: 'id' as const, id: group } }),
});

const files: readonly [name: string, actions: readonly FileAction[], inputs: number, digest: string][] = [
  [
    'a working directory',
    [
      {
        ...onto({ kind: 'mkdir', path: '/app', mode: 0o755, makeParents: true }),
        secondaryInput: noIndex,
      },
    ],
    1,
    '7ea5325d7cca0cfc78567c2d7347cc6dac674e45bef5edb2a83f5b7cf188ff3a',
  ],
  [
    'a directory with an owner',
    [alone({ kind: 'mkdir', path: '/cache', mode: 0o755, makeParents: false, owner: ids(5, 0) })],
    0,
    'da0612c02a14d6e79cb8acd53c0cb2f0e115027b924174c8fd5d2ef8a07b2c6a',
  ],
  [
    'a document',
    [alone({ kind: 'mkfile', path: '/XX', mode: 0o644, data: Buffer.from('hello\n') })],
    0,
    '5a5e2cfa8b42ec1fe4a71e3eee718415557dbf5e70d572f755dd1fd2fedd21c5',
  ],
  [
    'a copy of it',
    [onto({ ...added, src: '/XX', dest: '/hello' })],
    2,
    'bceddfb5b18a99661141fa2e5be160d676c19152aa4fdbf3b7141c4dee867b99',
  ],
  [
    'a copy of two files',
    both([
      { ...dockerfileCopy, src: '/package.json', dest: '/app/' },
      { ...dockerfileCopy, src: '/package-lock.json', dest: '/app/' },
    ]),
    2,
    '88e7ed0baa95a1e0019dc3d8e01904ba5a01a527a5aba95f75e16a6cc63aa2bb',
  ],
  [
    'a copy with modes as text',
    both([
      { ...dockerfileCopy, src: '/a.txt', dest: '/y/', modeString: 'u+rwX,go=r' },
      { ...dockerfileCopy, src: '/b.txt', dest: '/y/', modeString: 'u+rwX,go=r' },
    ]),
    2,
    '2b5aac8bb73f48051165fd4540a5d2ef21939dd80d1c61ba24df48f6b1208342',
  ],
  [
    'a copy with a mode and an owner',
    [onto({ ...dockerfileCopy, src: '/a.txt', dest: '/x', mode: 0o640, owner: ids(7, 8) })],
    2,
    '870e5a4de8868cdfac42788f7850c26f7e0a0fd4cd388c495568dc964be733ef',
  ],
  [
    'a copy of all but some',
    [onto({ ...dockerfileCopy, src: '/', dest: '/all/', excludePatterns: ['*.txt'] })],
    2,
    '7384787bf95b89f94d14930b2564dd5b1ba0f4c060edc2d38a92a2684770df58',
  ],
  [
    'a copy with parents',
    [onto({ ...dockerfileCopy, src: '/', dest: '/z/', includePatterns: ['d/*/f'] })],
    2,
    'c6300ddee9e866c941d8418ff58344de0660da07ef7a7b6635de2b9aa9ab7b7c',
  ],
  [
    'a linked copy',
    [alone({ ...dockerfileCopy, src: '/hello', dest: '/hello' })],
    1,
    '7efb995be1834678205726001f32d2b20f7f552259cfbdd52b55a4ffed1716f2',
  ],
  [
    'a linked copy with an owner',
    [alone({ ...dockerfileCopy, src: '/x', dest: '/l/', owner: ids(5) })],
    1,
    '089ff152fe1007f98b305936f424e5e3e30df1f45fe4d3911ece0f1161750578',
  ],
  [
    'a download',
    [onto({ ...added, src: '/one.txt', dest: '/one.txt' })],
    2,
    '46a23f8dfcf74ef80ba5bbeeefc70233058219314af8ff00ad05c0260a483380',
  ],
];

describe('the digests of ops are those that BuildKit has', () => {
  for (const [name, run, digest] of execs)
    it(`for a process with ${name}`, () => {
      assert.equal(execCacheDigest(exec(run), platform), `sha256:${digest}`);
    });
  for (const [name, actions, inputs, digest] of files)
    it(`for ${name}`, () => {
      assert.equal(fileCacheDigest({ actions }, inputs), `sha256:${digest}`);
    });
  it('for a merge', () => {
    assert.equal(
      mergeCacheDigest({ inputs: [0, 1] }),
      'sha256:436287a2dc2ce494f564331be9ea3a9f27ebec398567877043da2f618f33d6c8',
    );
  });
});

it('where something is mounted from, which address a host has and which cache it is do not count', () => {
  const of = (run: Omit<Run, 'args'>) => execCacheDigest(exec({ args: ['true'], ...run }), platform);
  const mounted = (mount: Partial<ExecMount>) => of({ mounts: [mount] });
  const host = (ip: string) => of({ extraHosts: [{ host: 'name', ip }] });
  const cache = (id: string) => mounted({ dest: '/c', type: { kind: 'cache', id, sharing: 'private' } });
  assert.equal(
    mounted({ input: 1, dest: '/m', selector: '/a' }),
    mounted({ input: 1, dest: '/m', selector: '/b' }),
  );
  assert.equal(host('10.0.0.1'), host('10.0.0.2'));
  assert.equal(cache('one'), cache('other'));
  assert.notEqual(mounted({ input: 1, dest: '/m' }), mounted({ input: 1, dest: '/n' }));
});

it('actions of different kinds, and the same ones on other trees, are never taken for each other', () => {
  const kinds: readonly FileChange[] = [
    { kind: 'mkdir', path: '/a', mode: 0o755, makeParents: false },
    { kind: 'mkfile', path: '/a', mode: 0o755, data: new Uint8Array() },
    { kind: 'mkdir', path: '/a', mode: 0, makeParents: false, timestamp: 0n },
    { kind: 'mkfile', path: '/a', mode: 0, data: new Uint8Array(), timestamp: 0n },
    { kind: 'rm', path: '/a', allowNotFound: false, allowWildcard: false },
    { kind: 'symlink', oldPath: '', newPath: '', timestamp: 0n },
    { kind: 'rm', path: '', allowNotFound: false, allowWildcard: false },
  ];
  const copy: FileChange = { ...dockerfileCopy, src: '*', dest: '/' };
  const made: FileChange = { kind: 'mkdir', path: '/a', mode: 0o755, makeParents: true };
  const first = { input: 0, secondaryInput: noIndex, output: noIndex, change: made };
  const digests = [
    ...kinds.map((change) => fileCacheDigest({ actions: [alone(change)] }, 0)),
    // BuildKit has one digest for these two, and for those two.
    fileCacheDigest({ actions: [onto(copy)] }, 2),
    fileCacheDigest({ actions: [{ ...onto(copy), secondaryInput: noIndex }] }, 1),
    fileCacheDigest({ actions: [first, { ...first, input: 2, output: 0 }] }, 2),
    fileCacheDigest({ actions: [first, { ...first, input: 2, output: 0 }] }, 3),
  ];
  assert.equal(new Set(digests).size, digests.length);
});

it("a nested build has BuildKit's digest", () => {
  const inputs = { 'buildkit.llb.definition': 0 };
  assert.equal(
    buildCacheDigest({ builder: -1, inputs, attrs: {} }),
    'sha256:00929a9b624b0e7bca3fbf329b26578f675f5628b7a65eac7a9e5ab63760603b',
  );
  assert.equal(
    buildCacheDigest({
      builder: -1,
      inputs: { ...inputs, 'buildkit.llb.definition': 1, a: 0 },
      attrs: { 'llbbuild.filename': 'x<y' },
    }),
    'sha256:b958d21beda6ebaf27ede9dfc94fc6c616c468b326cee0a838095f131391cac7',
  );
});

it('trees as wholes are told apart by their order, and by what is empty', () => {
  const digests = [
    mergeCacheDigest({ inputs: [0, 1] }),
    mergeCacheDigest({ inputs: [1, 0] }),
    diffCacheDigest({ lower: 0, upper: 1 }),
    diffCacheDigest({ lower: noIndex, upper: 0 }),
    diffCacheDigest({ lower: 0, upper: noIndex }),
    passthroughCacheDigest({ id: 'one', outputs: [0] }),
    passthroughCacheDigest({ id: 'one', outputs: [1] }),
  ];
  assert.equal(new Set(digests).size, digests.length);
});
