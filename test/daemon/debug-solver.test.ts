import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { eventually } from '../rig/eventually.ts';
import { daemonRig } from '../rig/suite-rig.ts';

interface Unfinished {
  readonly name: string;
  readonly builds: readonly string[];
  readonly state: string;
  readonly waitsFor: readonly string[];
}

describe('kiln debug solver', () => {
  const rig = daemonRig();

  const unfinished = async (): Promise<readonly Unfinished[]> => {
    const { stdout } = await rig.kiln.must(['debug', 'solver', '--format', 'json']);
    return (JSON.parse(stdout) as { readonly vertices: readonly Unfinished[] }).vertices;
  };
  /** Asks until there is a vertex of the name that is accepted, and returns it. */
  const vertexThat = async (name: string, accept: (vertex: Unfinished) => boolean): Promise<Unfinished> => {
    let vertices: readonly Unfinished[] = [];
    const find = async () => {
      vertices = await unfinished();
      return vertices.find((vertex) => vertex.name.includes(name) && accept(vertex));
    };
    return await eventually(find, () => vertices);
  };

  test('shows the process of a step that hangs, and who waits for the step', async () => {
    const context = rig.work.tree({ Dockerfile: 'FROM base\nRUN exec sleep 4321\nRUN echo after\n' });
    const build = rig.kiln.start(context);
    try {
      const hanging = await vertexThat('sleep 4321', ({ waitsFor }) =>
        waitsFor.some((each) => each.includes('container')),
      );
      assert.equal(hanging.state, 'output 0: executing');
      assert.equal(hanging.waitsFor[0], 'its execution');
      assert.match(hanging.waitsFor[1]!, /^the process ".*sleep 4321" in container [0-9a-f]{24}$/);
      await vertexThat('echo after', ({ waitsFor }) => /^result of .*sleep 4321/.test(waitsFor.join()));

      const { stdout } = await rig.kiln.must(['debug', 'solver']);
      assert.match(stdout, new RegExp(`^build ${hanging.builds[0]}, for \\d+\\.\\d s$`, 'm'));
      assert.match(stdout, /^ {2}\[2\/3\] RUN exec sleep 4321$/m);
      assert.match(stdout, /^ {4}waits for the process /m);
    } finally {
      build.kill('SIGINT');
      await build.finished;
    }
    // The daemon learns a moment later that its client has gone.
    const shown = async () => (await rig.kiln.must(['debug', 'solver'])).stdout;
    await eventually(
      async () => (await shown()) === 'no build is running\n',
      () => 'a build is running',
    );
  });

  test('shows the locked cache mount that a step waits for', async () => {
    const step = (name: string) =>
      rig.work.tree({
        Dockerfile: `FROM base\nRUN --mount=type=cache,id=the-lock,sharing=locked,target=/x : ${name} && exec sleep 4321\n`,
      });
    const builds = [rig.kiln.start(step('one')), rig.kiln.start(step('two'))];
    try {
      const waiting = await vertexThat('RUN', ({ waitsFor }) =>
        waitsFor.some((each) => each.includes('cache mount')),
      );
      assert.deepEqual(waiting.waitsFor, [
        'its execution',
        'the cache mount "/the-lock", which one step at a time may use',
      ]);
      const holder = await vertexThat('RUN', ({ waitsFor }) => waitsFor.join().includes('the process'));
      assert.notEqual(holder.name, waiting.name);
    } finally {
      for (const build of builds) build.kill('SIGINT');
      await Promise.all(builds.map(({ finished }) => finished));
    }
  });
});
