import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, describe, test } from 'node:test';
import { Daemon } from '../rig/daemon.ts';
import { Kiln } from '../rig/kiln.ts';
import { project } from '../rig/project.ts';
import { mustRun } from '../rig/run-program.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

/** What a step sees of what it was started with. */
const looks = {
  limits: 'cat /proc/self/limits',
  signals: 'grep -E "^Sig(Blk|Ign)" /proc/self/status',
  mask: 'umask',
  oom: 'cat /proc/self/oom_score_adj',
  nice: 'cut -d" " -f19 /proc/self/stat',
  policy: 'grep -E "^(Cpus_allowed|NoNewPrivs|Threads)" /proc/self/status',
  files: 'for fd in 0 1 2 3 4 5 6 7 8 9 10 11 12; do [ ! -e /proc/$$/fd/$fd ] || echo $fd; done',
  environment: 'env | sort',
} as const;
type Look = keyof typeof looks;

const dockerfile = `
FROM base
RUN ${Object.entries(looks)
  .map(([name, command]) => `(${command}) > /${name}`)
  .join(' && ')}
`;

/** How the programs are started: with limits, a mask and a priority of their own, and signals ignored. */
const setting = `
ulimit -S -n 777 && ulimit -H -n 3333 && ulimit -c 0 && ulimit -S -s 4096
umask 0077
trap '' PIPE HUP USR1
`;

const work = new WorkDirectory();
after(() => work[Symbol.dispose]());

/** A program that sets its process up and becomes another. */
const wrapper = (name: string, become: string) => work.script(name, `${setting}\nexec ${become} "$@"`);

async function lookThrough(kiln: Kiln, args: readonly string[] = []): Promise<Record<Look, string>> {
  const context = work.tree({ Dockerfile: dockerfile });
  const { bytes } = await kiln.build(context, [...args, '--no-cache', '-o', 'type=tar,dest=-']);
  const entries = Object.keys(looks).map(async (name) => [
    name,
    (await mustRun('tar', ['-xOf', '-', name], { input: bytes })).stdout,
  ]);
  return Object.fromEntries(await Promise.all(entries)) as Record<Look, string>;
}

for (const runtime of ['crun', 'runc']) {
  describe(`a step in ${runtime}`, () => {
    /** With the runtime in a configuration file, so that it counts without a daemon, too. */
    const config = () => {
      const file = work.at(`${runtime}.toml`);
      writeFileSync(file, `[worker.oci]\n  binary = "${runtime}"\n`);
      return file;
    };

    async function assertAsStarted(seen: Record<Look, string>): Promise<void> {
      const own = async (command: string) => (await mustRun(wrapper('look', 'sh -c'), [command])).stdout;
      assert.equal(seen.limits, await own(looks.limits));
      assert.match(seen.limits, /^Max open files +777 +3333 /m);
      assert.equal(seen.oom, await own(looks.oom));
      assert.equal(seen.nice, await own(looks.nice));
      // What Node and its parents ignore or block is no affair of a step.
      assert.match(seen.signals, /^SigBlk:\s0+\nSigIgn:\s0+\n$/);
      // As in every container.
      assert.equal(seen.mask, '0022\n');
      assert.equal(seen.files, '0\n1\n2\n');
      assert.match(seen.policy, /^NoNewPrivs:\s0$/m);
      const names = seen.environment.split('\n').flatMap((line) => line.split('=')[0] || []);
      assert.deepEqual(
        names.filter((name) => !['HOME', 'PATH', 'PWD', 'SHLVL'].includes(name)),
        [],
      );
    }

    test('gets the limits that its daemon was started with, and nothing of Node', async () => {
      await using daemon = await Daemon.start({
        program: wrapper('kilnd', project.kilnd),
        args: ['--oci-worker-binary', runtime],
      });
      await assertAsStarted(await lookThrough(daemon.kiln));
    });

    test('gets those of the command where that builds by itself', async () => {
      const kiln = new Kiln(
        { root: work.at(`root-${runtime}`) },
        wrapper('kiln', `${project.kiln} --config ${config()}`),
      );
      await assertAsStarted(await lookThrough(kiln));
    });

    test('gets the limits that the build asks for, soft and hard, and the others as they were', async () => {
      await using daemon = await Daemon.start({
        program: wrapper('kilnd', project.kilnd),
        args: ['--oci-worker-binary', runtime],
      });
      const { limits } = await lookThrough(daemon.kiln, ['--ulimit', 'nofile=55:66']);
      assert.match(limits, /^Max open files +55 +66 /m);
      assert.match(limits, /^Max stack size +4194304 /m);
      const other = await lookThrough(daemon.kiln, ['--ulimit', 'stack=2097152:4194304']);
      assert.match(other.limits, /^Max stack size +2097152 +4194304 /m);
      assert.match(other.limits, /^Max open files +777 +3333 /m);
    });
  });
}
