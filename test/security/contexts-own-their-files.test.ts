import assert from 'node:assert/strict';
import { linkSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { buildctlClients } from '../rig/clients.ts';
import { mustRun } from '../rig/run-program.ts';
import { daemonRig } from '../rig/suite-rig.ts';

const rig = daemonRig();

/** Shows the context as a step sees it: the link count of each file, and its data. */
const looking = `FROM base AS look
RUN --mount=target=/c cd /c && for f in a b c pair; do echo "$f $(stat -c %h $f) $(cat $f)"; done > /seen
FROM scratch
COPY --from=look /seen /seen
`;

const seen = async (context: string) =>
  (await rig.kiln.textOf('seen', context, ['--no-cache'])).trim().split('\n');

test('a step that mounts its context sees files that are nobody else’s, however often it is built', async () => {
  const context = rig.work.tree({
    Dockerfile: 'FROM base\nRUN --mount=target=/c ls /c\n',
    '.dockerignore': 'c\n',
    a: '1',
    b: '1',
    c: '1',
  });
  linkSync(path.join(context, 'c'), path.join(context, 'pair'));
  await rig.kiln.build(context);
  rmSync(path.join(context, '.dockerignore'));
  writeFileSync(path.join(context, 'Dockerfile'), looking);
  assert.deepEqual(await seen(context), ['a 1 1', 'b 1 1', 'c 2 1', 'pair 2 1']);
  for (const round of ['2', '3']) {
    writeFileSync(path.join(context, 'a'), round);
    assert.deepEqual(await seen(context), [`a 1 ${round}`, 'b 1 1', 'c 2 1', 'pair 2 1']);
  }
  writeFileSync(path.join(context, 'c'), '4');
  assert.deepEqual(await seen(context), ['a 1 3', 'b 1 1', 'c 2 4', 'pair 2 4']);
});

test('a step that still runs keeps its context as it was, and the next build gets files of its own', async () => {
  const context = rig.work.tree({ a: '1', b: '1', c: '1', pair: '1' });
  const dockerfile = (body: string) => writeFileSync(path.join(context, 'Dockerfile'), body);
  dockerfile(
    'FROM base\nRUN --mount=target=/c echo mounted && while [ ! -e /c/never ] && sleep 0.1; do [ $(cat /c/a) = 1 ] || exit 7; [ $(stat -c %h /c/b) = 1 ] || exit 8; done\n',
  );
  const running = rig.kiln.start(context, ['--no-cache']);
  await running.said(' mounted\n');
  dockerfile(looking);
  for (const round of ['2', '3']) {
    writeFileSync(path.join(context, 'a'), round);
    assert.deepEqual(await seen(context), [`a 1 ${round}`, 'b 1 1', 'c 1 1', 'pair 1 1']);
  }
  running.kill('SIGINT');
  const ended = await running.finished;
  assert.equal(ended.code, 130, ended.stderr);
  assert.match(ended.stderr, /CANCELED/);
});

test('no file of a context is in two trees of the daemon', async () => {
  const context = rig.work.tree({ Dockerfile: looking, a: '1', b: '1', c: '1', pair: '1', d: '1' });
  const one = rig.kiln.start(context, ['--no-cache']);
  assert.equal((await one.finished).code, 0);
  writeFileSync(path.join(context, 'a'), '2');
  await seen(context);
  writeFileSync(path.join(context, '.dockerignore'), 'd\n');
  await seen(context);
  const trees = path.join(rig.daemon.root, 'snapshots/overlay/s');
  const counts = (await mustRun('find', [trees, '-type', 'f', '-name', '[abd]', '-links', '+1', '-print']))
    .stdout;
  assert.equal(counts, '');
  assert.ok(readdirSync(trees).length > 0);
});

for (const { name, program } of buildctlClients()) {
  const sees = name === 'kiln';
  test(`other data of the same size and time is ${sees ? 'seen' : 'not seen, as with BuildKit,'} with ${name} as the client`, async () => {
    const context = rig.work.tree({
      Dockerfile: 'FROM scratch AS kept\nCOPY other /\nFROM scratch\nCOPY --from=kept /other /\nCOPY f /\n',
    });
    const out = rig.work.at(`out-${name}`);
    const build = async (data: string) => {
      for (const file of ['f', 'other', 'Dockerfile']) {
        if (file === 'f') writeFileSync(path.join(context, file), data);
        else if (file === 'other') writeFileSync(path.join(context, file), 'same');
        utimesSync(path.join(context, file), 0, 0);
      }
      const { stderr } = await mustRun(program, [
        ...['--addr', rig.daemon.address, 'build', '--progress', 'plain'],
        ...(sees
          ? [context]
          : [
              ...['--frontend', 'dockerfile.v0', '--local', `context=${context}`],
              ...['--local', `dockerfile=${context}`],
            ]),
        ...[sees ? '-o' : '--output', `type=local,dest=${out}`],
      ]);
      return { stderr, data: readFileSync(path.join(out, 'f'), 'utf8') };
    };
    assert.equal((await build('one')).data, 'one');
    const second = await build('two');
    assert.equal(second.data, sees ? 'two' : 'one');
    if (!sees) return;
    // What was sent again and is the same lets nothing run again.
    assert.match(second.stderr, /COPY other \/\n#\d+ CACHED/);
    const third = await build('two');
    assert.equal(third.stderr.match(/CACHED/g)?.length, 3, third.stderr);
  });
}
