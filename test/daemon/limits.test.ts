import assert from 'node:assert/strict';
import { readlinkSync } from 'node:fs';
import { after, describe, test } from 'node:test';
import { Daemon } from '../rig/daemon.ts';
import { daemonRig } from '../rig/suite-rig.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

const work = new WorkDirectory();
after(() => work[Symbol.dispose]());

describe('max-parallelism', () => {
  const names = ['a', 'b', 'c'];
  /** Steps that share a directory, in which each leaves a file while it runs, and writes down how many were there. */
  const together = (wait: string) =>
    work.tree({
      Dockerfile: [
        ...names.map(
          (name) =>
            `FROM base AS ${name}\nRUN --mount=type=cache,id=meeting,target=/m touch /m/${name}; ${wait}; ls /m | wc -l > /seen-${name}; rm /m/${name}`,
        ),
        'FROM scratch',
        ...names.map((name) => `COPY --from=${name} /seen-${name} /`),
      ].join('\n'),
    });
  const seen = async ({ kiln }: Daemon, context: string) =>
    await Promise.all(names.map((name) => kiln.textOf(`seen-${name}`, context)));

  test('without a limit, independent steps run at the same time', async () => {
    await using daemon = await Daemon.start();
    // Ends when all have come; a step that waits in vain fails.
    const context = together(
      'for i in $(seq 200); do [ $(ls /m | wc -l) = 3 ] && break; sleep 0.1; done; sleep 1',
    );
    assert.ok((await seen(daemon, context)).includes('3\n'));
  });

  test('a limit of one lets steps of all builds run one at a time', async () => {
    await using daemon = await Daemon.start({ args: ['--oci-max-parallelism', '1'] });
    assert.deepEqual(await seen(daemon, together('sleep 0.2')), ['1\n', '1\n', '1\n']);
  });
});

describe('entitlements', () => {
  const host = () =>
    work.tree({ Dockerfile: 'FROM base\nRUN --network=host readlink /proc/self/ns/net > /said\n' });
  const insecure = () =>
    work.tree({
      Dockerfile:
        '# syntax=docker/dockerfile:1-labs\nFROM base\nRUN --security=insecure mkdir /t && mount -t tmpfs none /t && echo mounted > /said\n',
    });
  const allowed = [
    '--allow-insecure-entitlement',
    'network.host',
    '--allow-insecure-entitlement',
    'security.insecure',
  ];

  test('have to be allowed by the daemon', async () => {
    await using daemon = await Daemon.start();
    for (const name of ['network.host', 'security.insecure']) {
      const { stderr } = await daemon.kiln.failingBuild(host(), ['--allow', name]);
      assert.match(stderr, new RegExp(`entitlement ${name} is not allowed by the daemon`));
      assert.match(stderr, new RegExp(`--allow-insecure-entitlement ${name}`));
    }
  });

  describe('that the daemon allows', () => {
    const rig = daemonRig({ args: allowed });

    test('have to be asked for by the build, too; the error shows the step', async () => {
      for (const [context, name, line] of [
        [host(), 'network.host', /2 \| >>> RUN --network=host/],
        [insecure(), 'security.insecure', /3 \| >>> RUN --security=insecure/],
      ] as const) {
        const { stderr } = await rig.kiln.failingBuild(context);
        assert.match(stderr, new RegExp(`${name} is not allowed`));
        assert.match(stderr, line);
      }
    });

    test('give a step the network of the machine', async () => {
      const said = await rig.kiln.textOf('said', host(), ['--allow', 'network.host']);
      assert.equal(said.trim(), readlinkSync('/proc/self/ns/net'));
    });

    test('give a step the rights of the daemon', async () => {
      assert.equal(await rig.kiln.textOf('said', insecure(), ['--allow', 'security.insecure']), 'mounted\n');
    });

    test('are not given to steps that do not ask for them', async () => {
      const context = work.tree({ Dockerfile: 'FROM base\nRUN mkdir /t && mount -t tmpfs none /t\n' });
      const { stderr } = await rig.kiln.failingBuild(context, ['--allow', 'security.insecure']);
      assert.match(stderr, /mount: permission denied \(are you root\?\)/);
    });
  });
});
