import assert from 'node:assert/strict';
import { utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { Daemon } from '../rig/daemon.ts';
import { daemonRig } from '../rig/suite-rig.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

describe('the cache', () => {
  const rig = daemonRig();

  test('stages that nothing needs never run, and their files are not transferred', async () => {
    const context = rig.work.tree({
      Dockerfile: `
FROM base AS unused
COPY unused.txt /
RUN echo this must not run && exit 7
FROM base AS wanted
RUN echo wanted > /file
FROM wanted AS also-unused
RUN exit 8
FROM scratch
COPY --from=wanted /file /
`,
      'unused.txt': 'unused',
    });
    const { events } = await rig.kiln.build(context);
    assert.equal(events.has('exit 7'), false);
    assert.equal(events.has('exit 8'), false);
    assert.equal(events.has('load build context'), false);
    assert.equal(events.steps('ran').length, 2);
  });

  test('--target builds that stage and what it needs, no more', async () => {
    const context = rig.work.tree({
      Dockerfile: `
FROM base AS one
RUN echo one > /file
FROM one AS two
RUN echo two > /file
FROM two
RUN exit 9
`,
    });
    assert.equal(await rig.kiln.textOf('file', context, ['--target', 'two']), 'two\n');
    assert.equal(await rig.kiln.textOf('file', context, ['--target', 'one']), 'one\n');
  });

  test('COPY is cached by content, not by time stamps', async () => {
    const context = rig.work.tree({
      Dockerfile: 'FROM base\nCOPY a.txt /\nRUN cat a.txt > /copied',
      'a.txt': 'first',
    });
    const file = path.join(context, 'a.txt');
    assert.equal((await rig.kiln.build(context)).events.steps('ran').length, 2);

    utimesSync(file, new Date(), new Date(Date.now() + 100_000));
    const touched = await rig.kiln.build(context);
    assert.deepEqual(touched.events.steps('ran'), []);

    writeFileSync(file, 'other');
    const changed = await rig.kiln.build(context);
    assert.equal(changed.events.steps('ran').length, 2);

    writeFileSync(file, 'first');
    const changedBack = await rig.kiln.build(context);
    assert.deepEqual(changedBack.events.steps('ran'), []);
  });

  test('a file that no COPY names does not invalidate anything', async () => {
    const context = rig.work.tree({
      Dockerfile: 'FROM base\nCOPY src/*.txt /src/\nRUN ls /src',
      'src/a.txt': 'a',
      'src/b.md': 'b',
    });
    await rig.kiln.build(context);
    writeFileSync(path.join(context, 'src/b.md'), 'changed');
    writeFileSync(path.join(context, 'new'), 'new');
    const again = await rig.kiln.build(context);
    assert.deepEqual(again.events.steps('ran'), []);
  });

  test('an equal result upstream keeps what comes after it cached', async () => {
    const context = rig.work.tree({
      Dockerfile: `
FROM base AS made
ARG NOTE
RUN echo $NOTE && echo constant > /file
FROM base
COPY --from=made /file /
RUN sha256sum /file
`,
    });
    await rig.kiln.build(context, ['--build-arg', 'NOTE=1']);
    const { events } = await rig.kiln.build(context, ['--build-arg', 'NOTE=2']);
    assert.deepEqual(
      events.steps('ran').map((name) => name.replace(/^\S+ \S+ /, '')),
      ['RUN echo 2 && echo constant > /file'],
    );
  });

  test('--no-cache runs every step again, --no-cache-filter those of one stage', async () => {
    const context = rig.work.tree({
      Dockerfile: `
FROM base AS one
RUN head -c 8 /dev/urandom | od -x > /one
FROM base AS two
RUN head -c 9 /dev/urandom | od -x > /two
FROM scratch
COPY --from=one /one /
COPY --from=two /two /
`,
    });
    const texts = async (...args: string[]) => [
      await rig.kiln.textOf('one', context, args),
      await rig.kiln.textOf('two', context),
    ];
    const first = await texts();
    assert.deepEqual(await texts(), first);
    const forced = await texts('--no-cache');
    assert.notEqual(forced[0], first[0]);
    assert.notEqual(forced[1], first[1]);
    // What ran anew is what is found from now on.
    assert.deepEqual(await texts(), forced);
    const filtered = await texts('--no-cache-filter', 'one');
    assert.notEqual(filtered[0], forced[0]);
    assert.equal(filtered[1], forced[1]);
  });

  test('survives a restart of the daemon', async () => {
    using own = new WorkDirectory();
    const root = own.at('root');
    const context = own.tree({
      Dockerfile: 'FROM base\nCOPY file /\nRUN head -c 8 /dev/urandom | od -x > /random',
      file: 'content',
    });
    const builds: string[] = [];
    for (let round = 0; round < 2; round++) {
      await using restarted = await Daemon.start({ root });
      builds.push(await restarted.kiln.textOf('random', context));
      const { events } = await restarted.kiln.build(context);
      assert.deepEqual(events.steps('ran'), []);
    }
    assert.equal(builds[0], builds[1]);
  });

  test('is listed by du and emptied by prune', async () => {
    using own = new WorkDirectory();
    await using other = await Daemon.start();
    const context = own.tree({ Dockerfile: 'FROM base\nRUN echo counted > /file' });
    await other.kiln.build(context);
    const listed = await other.kiln.must(['du']);
    assert.match(listed.stdout, /^ID\s+RECLAIMABLE\s+SIZE\s+LAST ACCESSED/m);
    const records = JSON.parse((await other.kiln.must(['du', '--format', 'json'])).stdout) as unknown[];
    assert.ok(records.length >= 2, listed.stdout);
    const verbose = await other.kiln.must(['du', '--verbose', '--filter', 'type==regular']);
    assert.match(verbose.stdout, /echo counted/);

    const pruned = await other.kiln.must(['prune', '--all']);
    assert.match(pruned.stdout, /^Total:/m);
    assert.deepEqual(JSON.parse((await other.kiln.must(['du', '--format', 'json'])).stdout) ?? [], []);
    const { events } = await other.kiln.build(context);
    assert.equal(events.steps('ran').length, 1);
  });
});
