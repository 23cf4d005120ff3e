import {
  type CopyOptions,
  diff,
  files,
  fromDefinition,
  type GraphOptions,
  git,
  http,
  image,
  imageBlob,
  layoutBlob,
  local,
  merge,
  ociLayout,
  type Platform,
  passthrough,
  type SourceLocation,
  type State,
  scratch,
  toDefinition,
} from '../../src/llb/llb.ts';

/** The same for every graph: what each client would decide for itself. */
const common: GraphOptions = { platform: { os: 'linux', architecture: 'amd64' }, localUniqueId: 'unique' };

const ones = `sha256:${'1'.repeat(64)}`;
const twos = `sha256:${'2'.repeat(64)}`;
const commit = '0123456789012345678901234567890123456789';
const timestamp = 1_700_000_000_123_456_789n;
const arm64: Platform = { os: 'linux', architecture: 'arm64' };

const alpine = image('alpine');
const busybox = image('docker.io/library/busybox:1.36');
const src = local('context');

type Build = () => State | readonly [State, GraphOptions];

/** Graphs by the names of those that were recorded. */
const builds: Readonly<Record<string, Build>> = {
  'image with a short name': () => image('alpine'),
  'image with tag, digest and port': () => image(`localhost:5000/a/b:v1@${ones}`),
  'image with all options': () =>
    image('user/app:1', { resolveMode: 'pull', recordType: 'internal', layerLimit: 3, checksum: ones }),
  'image preferred locally for another platform': () =>
    image('busybox', {
      resolveMode: 'local',
      platform: { os: 'linux', architecture: 'arm', variant: 'v6' },
    }),
  'image for windows': () =>
    image('mcr.microsoft.com/windows/nanoserver:ltsc2022', {
      platform: {
        os: 'windows',
        architecture: 'amd64',
        osVersion: '10.0.20348.1',
        osFeatures: ['win32k'],
      },
    }),
  'image with worker filters': () =>
    image('alpine', { constraints: ['label.a==b', 'platform==linux/amd64', 'c!=d'] }),
  'blob of a repository': () =>
    imageBlob(`user/app@${ones}`, { filename: 'blob.bin', mode: 0o640, uid: 3, gid: 4 }),
  'blob of a layout': () =>
    layoutBlob(`layout/app@${twos}`, { sessionId: 'session1', storeId: 'store1', filename: 'x' }),
  layout: () =>
    ociLayout(`example.com/app@${ones}`, { sessionId: 'session1', storeId: 'store1', layerLimit: 2 }),

  'directory of the client': () => local('context'),
  'directory of the client with all options': () =>
    local('dir/x', {
      sessionId: 'session1',
      includePatterns: ['a', 'b<c>&d'],
      excludePatterns: ['*.tmp', 'é\u2028'],
      followPaths: ['Dockerfile'],
      sharedKeyHint: 'hint',
      differ: 'none',
      requireDiffer: true,
      name: 'load it',
    }),
  'metadata of a directory of the client': () =>
    local('context', { metadataOnly: { except: ['*.json', 'go.mod'] }, differ: 'metadata' }),
  'directory with an id of its own': () => [local('context'), { localUniqueId: 'mine' }],
  'process on a directory of the client': () => src.run(['a']).root,

  download: () => http('https://example.com/a/b.tgz'),
  'download with all options': () =>
    http('http://example.com/x?y=z', {
      checksum: twos,
      filename: 'f',
      mode: 0o755,
      uid: 1,
      gid: 2,
      authHeaderSecret: 'token',
      headers: { Accept: 'text/plain', 'User-Agent': 'agent' },
    }),
  'signed download': () =>
    http('https://example.com/x', { signature: { keys: 'KEY', signature: 'SIGNATURE' } }),

  git: () => git('https://github.com/moby/buildkit.git'),
  'git without a protocol, with a fragment': () =>
    git('github.com/moby/buildkit', { ref: 'v0.11', subdir: 'cmd' }),
  'git over ssh': () =>
    git('git@github.com:moby/buildkit.git', {
      ref: 'main',
      knownSshHosts: 'github.com ssh-ed25519 AAAA\n',
      sshSocket: 'agent',
    }),
  'git over ssh with a port': () =>
    git('ssh://user@example.com:2222/path/to/repo.git', {
      ref: 'refs/tags/v1',
      knownSshHosts: 'h1 k1\nh2 k2\n',
    }),
  'git with all options': () =>
    git('https://example.com/r.git', {
      ref: 'branch',
      subdir: 'sub/dir',
      keepGitDir: true,
      checksum: commit,
      skipSubmodules: true,
      mtime: 'commit',
      fetchByCommit: true,
      authTokenSecret: 'T',
      authHeaderSecret: 'H',
    }),
  'git from a bundle': () =>
    git('https://example.com/r.git', {
      ref: 'main',
      checksum: commit,
      bundle: `oci-layout+blob://bundles@${ones}`,
      bundleStore: { sessionId: 'session1', storeId: 'store1' },
    }),
  'git as a bundle': () => git('git://example.com/r.git', { ref: 'main', checkoutBundle: true }),

  process: () => alpine.run(`sh -c "echo 'a b' > /x" # comment`).root,
  'process with the settings of its tree': () =>
    alpine
      .env('B', '1')
      .env('A', '2')
      .env('B', '3')
      .dir('/w')
      .dir('x/../y')
      .user('nobody:1000')
      .hostname('host')
      .network('host')
      .security('insecure')
      .extraHost('one', '10.0.0.1')
      .extraHost('six', 'fe80::1')
      .ulimit('nofile', 1024, 2048)
      .ulimit('core', -1, -1)
      .cgroupParent('parent')
      .run(['true'])
      .root.run(['again']).root,
  'process with settings of its own': () =>
    alpine
      .env('A', '1')
      .dir('/w')
      .run(['x'], {
        env: { B: '2' },
        dir: 'sub',
        user: 'u',
        network: 'none',
        extraHosts: [{ host: 'h', ip: '1.2.3.4' }],
        ulimits: [{ name: 'stack', soft: 1, hard: 2 }],
        cgroupParent: 'g',
      })
      .root.run(['y']).root,
  'process with a read-only root': () =>
    alpine.run(['x'], { readonlyRoot: true, mounts: [{ dest: '/out' }] }).mount('/out'),
  'mounts of all kinds': mountsOfAllKinds,
  secrets: () =>
    alpine.run(['x'], {
      secrets: [
        { id: '/run/secrets/a', dest: '/run/secrets/a' },
        { id: 'b', dest: '/run/secrets/b', uid: 1, gid: 2, mode: 0o440, optional: true },
        { id: 't', env: 'TOKEN' },
        { id: 'both', dest: '/both', env: 'BOTH', optional: true },
      ],
    }).root,
  agents: () =>
    alpine.run(['x'], {
      ssh: [{}, { id: 'other', dest: '/sock', uid: 5, gid: 6, mode: 0o660, optional: true }, { id: 'third' }],
    }).root,
  'agent of which the environment knows': () =>
    alpine.env('SSH_AUTH_SOCK', '/mine').run(['x'], { ssh: [{ dest: '/sock' }] }).root,
  'devices, exit codes and a proxy': () =>
    alpine.run(['x'], {
      devices: [{ name: 'vendor.com/gpu=all' }, { name: 'vendor.com/x', optional: true }],
      validExitCodes: [0, 7, 255],
      proxyEnv: {
        httpProxy: 'http://p',
        httpsProxy: 'https://p',
        ftpProxy: 'ftp://p',
        noProxy: 'x,y',
        allProxy: 'socks://p',
      },
    }).root,
  limits: () =>
    alpine.run(['x'], {
      resources: {
        memory: 2 ** 33,
        memorySwap: -1,
        cpuShares: 512,
        cpuPeriod: 100_000,
        cpuQuota: 50_000,
        cpusetCpus: '0-1',
        cpusetMems: '0',
      },
    }).root,
  'process for another platform': () => alpine.run(['x'], { platform: arm64 }).root.run(['after']).root,
  'process on an image for another platform': () =>
    image('alpine', { platform: { os: 'linux', architecture: 'arm', variant: 'v7' } })
      .run(['x'])
      .root.run(['y']).root,
  'tree with a platform that is not normalised': () =>
    alpine.platform({ os: 'Linux', architecture: 'aarch64', variant: 'v8' }).run(['x']).root,
  'mounts of a process for another platform': () =>
    alpine
      .run(['x'], { platform: { os: 'linux', architecture: 's390x' }, mounts: [{ dest: '/out' }] })
      .mount('/out')
      .run(['y']).root,
  'the same input in several places': () => {
    const built = alpine.run(['make']).root;
    return alpine.run(['x'], {
      mounts: [
        { dest: '/a', from: built },
        { dest: '/b', from: built, readonly: true },
        { dest: '/c', from: alpine, selector: 'etc' },
      ],
    }).root;
  },

  directory: () => scratch().file(files().mkdir('/a', 0o755)),
  'files of all kinds': () =>
    alpine
      .dir('/w')
      .file(
        files()
          .mkdir('a/b', 0o7755, { parents: true, owner: '1:2', timestamp })
          .mkfile('a/b/c', 0o644, Buffer.from('text\x00\xff', 'latin1'), { owner: 'daemon:root', timestamp })
          .mkfile('empty', 0, '')
          .symlink('../x', 'a/link', { owner: '7:staff' })
          .rm('/gone/*', { allowWildcard: true, allowNotFound: true })
          .rm('rel/./x'),
      ),
  copy: () => scratch().file(files().copy(src, 'a', '/b/')),
  'copy with all options': () =>
    alpine.file(
      files().copy(src.dir('/sub'), 'x/*', 'dst/.', {
        mode: 0o4750,
        followSymlink: true,
        dirCopyContents: true,
        includePatterns: ['a', '!b'],
        excludePatterns: ['c'],
        requiredPaths: ['must'],
        unpackArchive: true,
        createDestPath: true,
        allowWildcard: true,
        allowEmptyWildcard: true,
        alwaysReplaceExistingDestPaths: true,
        owner: '4294967295:-1',
        timestamp,
      }),
    ),
  'copy with modes in letters': () =>
    alpine.file(files().copy(src, '/', '/', { mode: 'u=rwX,go=rX', owner: ':wheel' })),
  'several copies': () =>
    alpine
      .dir('/d')
      .file(
        files()
          .copy(src, 'a', 'a')
          .copy(busybox, 'b', 'b')
          .copy(src, 'c', 'c')
          .copy(scratch(), 'd', 'd')
          .mkdir('e', 0o700),
      ),
  'copy of files that the same step changes': () => {
    const inner = files()
      .mkfile('/in/x', 0o600, 'x', { owner: 'someone' })
      .copy(busybox, '/bin/sh', '/in/')
      .on(src.dir('/in'));
    return alpine.file(
      files()
        .mkdir('/out', 0o755)
        .copy(inner, 'x', '/out/x', { owner: 'other' })
        .copy(inner, 'sh', '/out/sh')
        .copy(files().mkdir('/y', 0o755).on(scratch()), '/y', '/y'),
    );
  },
  'copy of files on an empty tree': () =>
    scratch().file(files().copy(files().mkfile('/x', 0o600, 'x').on(src), '/x', '/x')),

  'merge of differences': () =>
    merge([alpine.dir('/here'), touched('/a'), scratch(), touched('/b')], { name: 'merge' }).run(['x']).root,
  'merge of the same tree twice': () => merge([alpine, busybox, alpine]),
  'merge of one tree': () => merge([scratch(), busybox]),
  'difference to the empty tree': () => diff(alpine, scratch(), { constraints: ['x==y'] }),
  'difference of the empty tree': () => diff(scratch(), alpine),
  'difference between empty trees': () => diff(scratch(), scratch().env('A', '1')).run(['x']).root,
  requirements: () =>
    alpine
      .dir('/d')
      .requires('check', busybox.run(['test']).root, scratch(), src)
      .run(['x']).root,
  passthrough: () => {
    const [first, second] = passthrough(
      'many',
      [
        { tree: alpine },
        { tree: scratch(), output: true },
        { tree: busybox, output: true },
        { tree: src, output: true },
      ],
      { name: 'all' },
    );
    return merge([second!, first!]);
  },

  'nested build': () => alpine.dir('/d').build().run(['x']).root,
  'nested build of a file, for a platform': () =>
    busybox.build({ filename: '/graph.pb', platform: arm64, name: 'inner' }).run(['x']).root,

  descriptions: () =>
    alpine
      .run(['x'], {
        name: 'run 1',
        description: { 'com.example.b': '1', 'com.example.a': 'é' },
        ignoreCache: true,
        exportCache: true,
        progressGroup: { id: 'g1', name: 'group', weak: true },
      })
      .root.file(files().mkdir('/x', 0o755), {
        exportCache: false,
        progressGroup: { id: 'g2', name: 'other', weak: false },
      }),
  'equal vertices with different descriptions': () =>
    merge([
      image('alpine', { name: 'first' }).run(['x'], { description: { a: '1' } }).root,
      image('alpine', { name: 'second', ignoreCache: true }).run(['x'], {
        description: { b: '2' },
        exportCache: true,
      }).root,
    ]),
  'defaults of a graph': () => [
    alpine.file(files().mkdir('/a', 0o755)).run(['x'], { constraints: ['mine'] }).root,
    {
      constraints: ['label==gpu', 'b'],
      ignoreCache: true,
      progressGroup: { id: 'g', name: 'all', weak: false },
      exportCache: false,
    },
  ],
  'graph for another platform': () => [
    merge([alpine.run(['x']).root, image('a', { platform: common.platform }), src]),
    { platform: { os: 'linux', architecture: 'riscv64' } },
  ],
  'settings of an image': () =>
    alpine
      .withImageConfig(
        JSON.stringify({
          os: 'linux',
          architecture: 'arm64',
          variant: 'v8',
          config: {
            Env: ['PATH=/bin', 'EMPTY=', 'NOVALUE', '=x', 'PATH=/sbin'],
            WorkingDir: 'rel',
            User: 'ignored',
          },
        }),
      )
      .run(['x']).root,
  // Go's `Reset` leaves the working directory at the root.
  'settings taken over': () =>
    busybox.env('B', '2').withTree(alpine.env('A', '1').dir('/a').user('u')).run(['x']).root,

  definition: () => inner(),
  'definition built upon': () =>
    merge([inner().run(['outer'], { mounts: [{ dest: '/b', from: busybox }] }).root, alpine]),

  'source lines': () => {
    const data = Buffer.from('one\ntwo\n');
    const file = { filename: 'build.hl', language: 'Lang', data };
    const other = {
      filename: 'other',
      language: '',
      data: new Uint8Array(),
      definition: toDefinition(src, common),
    };
    return image('alpine', { locations: [at(file, 1, 0, 1, 3)] }).run(['x'], {
      locations: [at(other, 5, 1, 6, 0), at({ ...file }, 2, 0, 2, 3), { file, ranges: [] }],
    }).root;
  },

  chain: () => {
    let state = scratch();
    for (let at = 0; at < 30; at++) {
      const name = String.fromCharCode('a'.charCodeAt(0) + (at % 26));
      state = state.file(files().mkfile(`/f${name}`, at, Uint8Array.of(at)));
    }
    return state;
  },
  diamonds: () => {
    let [a, b] = [alpine, busybox];
    for (let round = 0; round < 5; round++) {
      [a, b] = [
        a.run(['a'], { mounts: [{ dest: '/m', from: b }] }).root,
        b.file(files().copy(a, '/x', '/y').copy(b, '/z', '/z')),
      ];
    }
    return merge([a, b]);
  },
  'a small project': smallProject,
};

function mountsOfAllKinds(): State {
  const run = alpine.dir('/work').run(['make'], {
    mounts: [
      { dest: '/z', from: busybox, readonly: true, selector: '/bin' },
      { dest: '/cache', type: { kind: 'cache', id: 'id1', sharing: 'locked' } },
      {
        dest: '/cache2',
        from: busybox,
        selector: 'x',
        type: { kind: 'cache', id: 'id2', sharing: 'private' },
      },
      { dest: '/cache3', type: { kind: 'cache', id: 'id3' } },
      { dest: '/tmp', type: { kind: 'tmpfs' } },
      { dest: '/tmp2', type: { kind: 'tmpfs', size: 2 ** 40 } },
      { dest: '/none', from: src, noOutput: true },
      { dest: '/content', from: src, contentCache: 'off' },
      { dest: '/content2', from: src, contentCache: 'on', readonly: true },
      { dest: 'relative' },
      { dest: '/a' },
      { dest: '/\u{1F600}', from: alpine.dir('/deep') },
      { dest: '/\uFF21' },
    ],
  });
  return run.mount('/\u{1F600}').run(['use', 'b'], {
    mounts: [
      { dest: '/a', from: run.mount('/a') },
      { dest: '/c', from: run.mount('/\uFF21') },
    ],
  }).root;
}

function touched(path: string): State {
  return diff(alpine, alpine.run(['touch', path]).root);
}

function inner(): State {
  const mounts = [{ dest: '/in', from: src }];
  const tree = busybox.run(['inner'], { name: 'inner', platform: arm64, mounts }).root;
  return fromDefinition(toDefinition(tree, common));
}

function at(
  file: SourceLocation['file'],
  line: number,
  character: number,
  endLine: number,
  endCharacter: number,
): SourceLocation {
  const start = { line, character };
  return { file, ranges: [{ start, end: { line: endLine, character: endCharacter } }] };
}

function smallProject(): State {
  const contents: CopyOptions = { dirCopyContents: true };
  const dependencies = image('node:24')
    .dir('/app')
    .file(files().copy(src, 'package*.json', './', { allowWildcard: true, createDestPath: true }))
    .run('npm ci', {
      mounts: [{ dest: '/root/.npm', type: { kind: 'cache', id: 'npm', sharing: 'shared' } }],
      name: 'install',
    }).root;
  const built = dependencies
    .file(files().copy(src, '.', '.', { ...contents, excludePatterns: ['node_modules'] }))
    .run('npm run build', {
      secrets: [{ id: 'npmrc', dest: '/run/secrets/npmrc', optional: true }],
      mounts: [{ dest: '/app/dist' }],
    });
  return image('nginx:alpine').file(
    files().copy(built.mount('/app/dist'), '/', '/usr/share/nginx/html', { ...contents, owner: 'nginx' }),
  );
}

/** The graphs, each with the options of its definition. */
export const graphs: ReadonlyMap<string, () => { readonly state: State; readonly options: GraphOptions }> =
  new Map(
    Object.entries(builds).map(([name, build]) => [
      name,
      () => {
        const built = build();
        const [state, options] = 'output' in built ? [built, {}] : built;
        return { state, options: { ...common, ...options } };
      },
    ]),
  );
