import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { Daemon } from '../rig/daemon.ts';
import { Kiln } from '../rig/kiln.ts';
import { suiteRig } from '../rig/suite-rig.ts';
import { type FileSpec, WorkDirectory } from '../rig/work-directory.ts';
import { whatIsLeft } from './what-is-left.ts';

interface Failure {
  readonly name: string;
  readonly files?: Readonly<Record<string, FileSpec>>;
  readonly args?: (work: WorkDirectory) => readonly string[];
  /** All in what is said on standard error. */
  readonly says: readonly RegExp[];
}

const from = (...lines: readonly string[]) => ({ Dockerfile: ['FROM base', ...lines, ''].join('\n') });
const good = from('RUN true');

const failures: readonly Failure[] = [
  {
    name: 'a Dockerfile that does not parse: file, line, and the lines around it',
    files: from('RUN echo 1', 'COPPY a b', 'RUN echo 2'),
    says: [
      /^Dockerfile:3$/m,
      /2 \| {5}RUN echo 1/,
      /3 \| >>> COPPY a b/,
      /unknown instruction: COPPY \(did you mean COPY\?\)/,
    ],
  },
  {
    name: 'a stage that does not exist: the nearest name',
    files: { Dockerfile: 'FROM base AS builder\nFROM base\nCOPY --from=buider /a /b\n' },
    says: [/3 \| >>> COPY --from=buider/, /did you mean builder\?/],
  },
  {
    name: 'a target that does not exist',
    files: good,
    args: () => ['--target', 'nowhere'],
    says: [/target stage "nowhere" could not be found/],
  },
  {
    name: 'a file that does not exist: its name, its line, and the nearest name in the context',
    files: { ...from('COPY heloo.txt /b'), 'hello.txt': 'hi' },
    says: [
      /^Dockerfile:2$/m,
      /2 \| >>> COPY heloo\.txt/,
      /"\/heloo\.txt": not found \(did you mean "\/hello\.txt"\?\)/,
    ],
  },
  {
    name: 'a file below a directory of the context, of several: the nearest name',
    files: {
      ...from('COPY package.json src/core/mian.c /b/'),
      'package.json': '{}',
      'src/core/main.c': 'int',
      'src/core/deep/mian.cc': 'x',
    },
    says: [/"\/src\/core\/mian\.c": not found \(did you mean "\/src\/core\/main\.c"\?\)/],
  },
  {
    name: 'a file that does not exist, copied with its parents: the nearest name',
    files: { ...from('COPY --parents src/./mian.c /b/'), 'src/main.c': 'int' },
    says: [/checksum of ref \S+: "\/src\/mian\.c": not found \(did you mean "\/src\/main\.c"\?\)/],
  },
  {
    name: 'a directory that does not exist, bound by a step: the nearest name',
    files: { ...from('RUN --mount=target=/s,source=scr true'), 'src/a': 'a' },
    says: [/"\/scr": not found \(did you mean "\/src"\?\)/],
  },
  {
    name: 'a file that is left out of the context is not what was meant',
    files: { ...from('COPY heloo.txt /b'), 'hello.txt': 'hi', '.dockerignore': 'hello.txt\n' },
    says: [/"\/heloo\.txt": not found$/m],
  },
  {
    name: 'a file that a stage does not have: the nearest name',
    files: {
      Dockerfile:
        'FROM base AS a\nRUN mkdir /out && echo x > /out/program\nFROM base\nCOPY --from=a /out/progam /p\n',
    },
    says: [/4 \| >>> COPY/, /"\/out\/progam": not found \(did you mean "\/out\/program"\?\)/],
  },
  {
    name: 'a RUN that fails: its last lines and its exit code',
    files: from('RUN for i in $(seq 1 15); do echo line $i; done; exit 3'),
    says: [/\(5 earlier lines\)\n.* line 6\n[\s\S]* line 15\n------/, /2 \| >>> RUN/, /exit code: 3$/m],
  },
  {
    name: 'a RUN that is killed: the signal',
    files: from("RUN sh -c 'kill -9 $$'; exit $?"),
    says: [/exit code: 137 \(SIGKILL\)/],
  },
  {
    name: 'a program that is not in the image',
    files: from('RUN ["/no/such", "thing"]'),
    says: [/did not complete successfully: \/no\/such not found in the image/],
  },
  {
    name: 'an image that cannot be pulled: which host, and why',
    files: { Dockerfile: 'FROM 127.0.0.1:1/no/such:1\n' },
    says: [/1 \| >>> FROM/, /cannot reach 127\.0\.0\.1:1: connection refused/],
  },
  {
    name: 'a registry that cannot be pushed to',
    files: good,
    args: () => ['-o', 'type=image,name=127.0.0.1:1/image,push=true'],
    says: [/failed to push 127\.0\.0\.1:1\/image.*connection refused/],
  },
  {
    name: 'a destination that is no directory',
    files: good,
    args: (work) => ['-o', `type=local,dest=${work.at('file')}/below`],
    says: [/ENOTDIR.*file\/below/],
  },
  {
    name: 'a destination below a file',
    files: good,
    args: (work) => ['-o', `type=oci,dest=${work.at('file')}/image.tar`],
    says: [/output .*file\/image\.tar: ENOTDIR/],
  },
  {
    name: 'a destination that is a directory where a file is needed',
    files: good,
    args: (work) => ['-o', `type=oci,dest=${work.at('directory')}`],
    says: [/the output .*directory is a directory/],
  },
  {
    name: 'an exporter that does not exist: those that do',
    files: good,
    args: () => ['-o', 'type=zip'],
    says: [/exporter "zip" could not be found/, /hint: .*oci.*local/],
  },
  {
    name: 'a frontend that does not exist',
    files: good,
    args: () => ['--frontend', 'makefile.v0'],
    says: [/makefile\.v0/],
  },
  {
    name: 'a flag that does not exist',
    files: good,
    args: () => ['--no-cash'],
    says: [/unknown option '--no-cash'/, /did you mean --no-cache/i],
  },
];

for (const place of ['in process', 'in a daemon'] as const) {
  describe(`a build ${place} ends with an error, one message and nothing left behind after`, () => {
    const rig = suiteRig(async (resources) => {
      const work = resources.use(new WorkDirectory());
      mkdirSync(work.at('directory'));
      writeFileSync(work.at('file'), '');
      const daemon = place === 'in a daemon' ? resources.use(await Daemon.start()) : undefined;
      const root = daemon?.root ?? work.at('root');
      return { work, root, kiln: daemon?.kiln ?? new Kiln({ root }) };
    });

    for (const { name, files = {}, args, says } of failures) {
      test(name, async () => {
        const { code, stderr, stdout } = await rig.kiln.failingBuild(rig.work.tree(files), args?.(rig.work));
        assert.equal(code, 1, stderr);
        assert.equal(stdout, '');
        for (const pattern of says) assert.match(stderr, pattern);
        assert.equal(stderr.match(/^error: /gm)?.length, 1, stderr);
        assert.doesNotMatch(stderr, /^ +at .*\.ts:\d+/m);
        assert.deepEqual(whatIsLeft(rig.root), []);
      });
    }
  });
}

test('a daemon that is not there: its address', async () => {
  using work = new WorkDirectory();
  for (const address of [`unix://${work.at('none.sock')}`, 'tcp://127.0.0.1:1']) {
    const { code, stderr } = await new Kiln({ address }).failingBuild(work.tree(good));
    assert.equal(code, 1);
    assert.ok(stderr.includes(address.replace(/^tcp:\/\//, '')), stderr);
  }
});

test('no OCI runtime: its name and how to get one', async () => {
  using work = new WorkDirectory();
  writeFileSync(work.at('kilnd.toml'), '[worker.oci]\nbinary = "no-such-runtime"\n');
  const kiln = new Kiln({ root: work.at('root') });
  const { code, stderr } = await kiln.run([
    ...['--config', work.at('kilnd.toml'), 'build', '--progress', 'plain'],
    work.tree({ Dockerfile: 'FROM scratch\nCOPY a /a\nRUN ["/a"]\n', a: 'x' }),
  ]);
  assert.equal(code, 1);
  assert.match(stderr, /no OCI runtime: no-such-runtime is not installed\nhint: .*apt-get install crun/);
  assert.deepEqual(whatIsLeft(work.at('root')), []);
});
