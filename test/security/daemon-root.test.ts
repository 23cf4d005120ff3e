import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Daemon } from '../rig/daemon.ts';
import { Kiln } from '../rig/kiln.ts';
import { type Running, runProgram } from '../rig/run-program.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

/** Some user of the machine who is not the daemon's. */
const stranger = 65_534;

/** Where a stranger can get to: a root that is not hidden by what is above it. */
function openDirectory(): WorkDirectory {
  const work = new WorkDirectory();
  chmodSync(work.path, 0o755);
  return work;
}

const longStep = `
FROM base
RUN mkdir /suid && cp /bin/busybox /suid/id && chmod 4755 /suid/id && echo t''op > /secret && echo rea''dy && sleep 600
`;

/** Every path below `root` as its owner sees it, containers' trees included. */
async function everything(root: string): Promise<readonly string[]> {
  const { stdout } = await runProgram('find', [root, '-print0']);
  return stdout.split('\0').filter((name) => name !== '');
}

/** Runs a script that finds nothing open to it that is not: setpriv itself still has the rights of root. */
async function asStranger(
  script: string,
  { args = [], input = '' }: { readonly args?: readonly string[]; readonly input?: string },
) {
  const user = ['--reuid', `${stranger}`, '--regid', `${stranger}`, '--clear-groups'];
  return await runProgram('setpriv', [...user, 'bash', '-c', script, ...args], { input });
}

/** Those of `names` whose metadata a stranger can read. */
async function reachable(names: readonly string[]): Promise<readonly string[]> {
  const script = `while IFS= read -r -d '' f; do [ -e "$f" ] || [ -L "$f" ] && printf '%s\\n' "$f"; done; true`;
  const { code, stdout, stderr } = await asStranger(script, { input: names.join('\0') });
  assert.equal(code, 0, stderr);
  return stdout.split('\n').filter((name) => name !== '');
}

async function whileBuilding(kiln: Kiln, work: WorkDirectory, look: () => Promise<void>): Promise<void> {
  const build: Running = kiln.start(work.tree({ Dockerfile: longStep }), [
    '--build-arg',
    'PASSWORD=told-to-nobody',
  ]);
  try {
    await build.said('ready');
    await look();
  } finally {
    build.kill('SIGINT');
    await build.finished;
  }
}

/** Below these are the files of trees, which have the modes that steps gave them. */
const trees =
  /\/(snapshots\/[^/]+\/(empty\/|(s|f|t)\/[^/]+\/)|executor\/[^/]+\/(rootfs|upper)|executor\/state\/|refs\/mounts\/)/;
/** What containers see of the bundle. */
const supplied = /\/executor\/[^/]+\/(hosts|resolv\.conf)$/;

/** What of Kiln's own in `root` has a mode that lets others in. */
function tooOpen(root: string, dir = root): readonly string[] {
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const name = path.join(dir, entry.name);
    if (supplied.test(name) || trees.test(`${name}/`)) return [];
    const { mode } = statSync(name);
    return [
      ...((mode & 0o077) === 0 ? [] : [`${name} ${(mode & 0o7777).toString(8)}`]),
      ...(entry.isDirectory() ? tooOpen(root, name) : []),
    ];
  });
}

async function underUmask<T>(umask: number, work: () => Promise<T>): Promise<T> {
  const before = process.umask(umask);
  try {
    return await work();
  } finally {
    process.umask(before);
  }
}

test('while a step runs, another user reaches nothing in the root of the daemon, and runs no set-uid program of it', async () => {
  using work = openDirectory();
  const root = work.at('root');
  await using daemon = await Daemon.start({ root });
  await whileBuilding(daemon.kiln, work, async () => {
    const names = await everything(root);
    const program = names.find((name) => name.endsWith('/rootfs/suid/id'));
    assert.ok(program !== undefined, 'the step has no program');
    assert.equal(statSync(program).mode & 0o7777, 0o4755);
    assert.deepEqual(
      (await reachable(names)).filter((name) => name !== root),
      [],
    );
    const run = await asStranger('"$0"', { args: [program] });
    assert.equal(run.stdout, '');
    assert.match(run.stderr, /Permission denied/);
  });
});

test('a root that others could enter before is closed at the start, and so is its database', async () => {
  using work = openDirectory();
  const root = work.at('root');
  mkdirSync(root);
  writeFileSync(path.join(root, 'kiln.db'), '');
  for (const [name, mode] of [
    ['', 0o777],
    ['kiln.db', 0o666],
  ] as const)
    chmodSync(path.join(root, name), mode);
  await using _daemon = await Daemon.start({ root });
  assert.equal(statSync(root).mode & 0o7777, 0o700);
  assert.equal(statSync(path.join(root, 'kiln.db')).mode & 0o7777, 0o600);
  assert.equal(statSync(path.join(root, 'kiln.db-wal')).mode & 0o7777, 0o600);
});

test('a directory that others keep files in is no root', async () => {
  using work = openDirectory();
  const shared = work.at('shared');
  mkdirSync(shared);
  chmodSync(shared, 0o1777);
  const { code, stderr } = await new Kiln({ root: shared }).run(['debug', 'info']);
  assert.equal(code, 1);
  assert.match(stderr, /cannot use .*\/shared as root: others keep files in it/);
  assert.equal(statSync(shared).mode & 0o7777, 0o1777);
});

for (const kind of ['a daemon', 'kiln by itself'] as const) {
  test(`${kind} makes nothing for others in its root when the umask allows everything`, async () => {
    await underUmask(0, async () => {
      using work = openDirectory();
      const root = work.at('root');
      if (kind === 'a daemon') {
        await using daemon = await Daemon.start({ root });
        await whileBuilding(daemon.kiln, work, async () => assert.deepEqual(tooOpen(root), []));
        assert.deepEqual(tooOpen(root), []);
      } else {
        await whileBuilding(new Kiln({ root }), work, async () => assert.deepEqual(tooOpen(root), []));
        assert.deepEqual(tooOpen(root), []);
      }
    });
  });
}

test('the umask says nothing about the modes of what is built', async () => {
  const dockerfile = `
FROM scratch
COPY --from=base / /
COPY <<one /made/by/copy
one
WORKDIR /made/by/workdir
RUN --mount=type=cache,target=/stub/cache mkdir made && touch made/file
ADD archive.tar /unpacked/
`;
  const digestUnder = (umask: number) =>
    underUmask(umask, async () => {
      using work = openDirectory();
      const context = work.tree({ Dockerfile: dockerfile, tree: 'x' });
      await runProgram('tar', ['-C', context, '--mode=600', '--mtime=@0', '-cf', 'archive.tar', 'tree'], {
        cwd: context,
      });
      const layers = ['-o', 'type=tar,dest=-', '--build-arg', 'SOURCE_DATE_EPOCH=1'];
      const { bytes } = await new Kiln({ root: work.at('root') }).build(context, layers);
      const { stdout } = await runProgram('tar', ['-tv', '--full-time', '-f', '-'], { input: bytes });
      return stdout
        .split('\n')
        .map((line) => line.replace(/\S+ \d+ \d{4}-\S+ \S+ /, ''))
        .join('\n');
    });
  const usual = await digestUnder(0o022);
  assert.match(usual, /made\/by\/workdir\/made\/file/);
  assert.equal(await digestUnder(0), usual);
  assert.equal(await digestUnder(0o077), usual);
});
