import { createDockerfileFrontend } from '../../src/frontend/dockerfile/dockerfile-frontend.ts';
import type { Bridge, FrontendRequest, FrontendResult } from '../../src/frontend/frontend.ts';
import { runFrontendProgram } from '../../src/gateway/run-frontend-program.ts';
import { files, image, local, scratch, toGraph } from '../../src/llb/llb.ts';

/** What the frontend image of tests does: builds Dockerfiles, or what the option `task` says. */
type Work = (bridge: Bridge, request: FrontendRequest, signal: AbortSignal) => Promise<FrontendResult>;

const tasks: Readonly<Record<string, Work>> = {
  /** A file of what the frontend was told. */
  async tell(bridge, { options, sessionId, inputs }) {
    const told = {
      options,
      hasSession: sessionId !== '',
      inputs: [...inputs.keys()],
      workers: bridge.workers,
      environment: process.env,
      interfaces: (await import('node:os')).networkInterfaces(),
      files: (await import('node:fs')).statSync('/run/config/buildkit/metadata/frontend.bin').size,
    };
    return await withFile(bridge, 'told.json', JSON.stringify(told));
  },
  /** The same result that another frontend comes to. */
  async ask(bridge, { options, inputs }) {
    const { task: _task, cmdline: _cmdline, ...others } = options;
    const { frontend = '', ...rest } = Object.fromEntries(
      Object.entries(others).map(([name, value]) => [name.replace(/^asked-/, ''), value]),
    );
    return await bridge.solve({ frontend, options: rest, inputs });
  },
  /** Itself, without end. */
  async recurse(bridge, { options, inputs }) {
    return await bridge.solve({ frontend: 'gateway.v0', options, inputs });
  },
  /** A look at files, an image's config and errors. */
  async look(bridge, { sessionId }, signal) {
    const { refs } = await bridge.solve({ graph: toGraph(local('context', { sessionId })) });
    const tree = refs.get('')!;
    const names = (await tree.readDir('/', undefined, signal)).map(({ path }) => path);
    const part = await tree.readFile('a.txt', { offset: 1, length: 2 }, signal);
    const { size } = await tree.statFile('a.txt', signal);
    const failure = await tree.readFile('none', undefined, signal).catch((error) => error);
    console.error('looked at everything');
    bridge.warn(tree.graph!.result!.digest, {
      level: 1,
      short: 'a.txt could be shorter',
      detail: ['much shorter'],
      source: { filename: 'a.txt', data: Buffer.from('text') },
      ranges: [{ start: { line: 1, character: 0 }, end: { line: 1, character: 0 } }],
    });
    const seen = { names, part: Buffer.from(part).toString(), size: Number(size), code: failure.code };
    return await withFile(bridge, 'seen.json', JSON.stringify(seen));
  },
  async missing(bridge) {
    const { refs } = await bridge.solve({ graph: toGraph(image('registry.invalid/none:1')) });
    return { refs, metadata: new Map() };
  },
  /** What a program throws that has a mistake. */
  async throw() {
    throw new TypeError('nothing can be made of this');
  },
  /** A message larger than any that is taken. */
  async flood(bridge) {
    return await withFile(bridge, 'large', 'x'.repeat(20 * 1024 * 1024));
  },
};

async function withFile(bridge: Bridge, name: string, text: string): Promise<FrontendResult> {
  const tree = scratch().file(files().mkfile(name, 0o644, text));
  const { refs } = await bridge.solve({ graph: toGraph(tree) });
  return { refs, metadata: new Map([['frontend.said', Buffer.from(name)]]) };
}

await runFrontendProgram({
  async solve(bridge, request, signal) {
    const { task } = request.options;
    const work = task === undefined ? undefined : tasks[task];
    if (work) return await work(bridge, request, signal);
    return await createDockerfileFrontend().solve(bridge, request, signal);
  },
});
