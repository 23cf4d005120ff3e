import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, test } from 'node:test';
import { whatIsLeft } from '../failures/what-is-left.ts';
import { baseLayout } from '../rig/base-layout.ts';
import { buildxPrograms } from '../rig/clients.ts';
import { eventually } from '../rig/eventually.ts';
import { quoteForShell } from '../rig/quote-for-shell.ts';
import { mustRun } from '../rig/run-program.ts';
import { openDaemon, suiteRig } from '../rig/suite-rig.ts';
import { Screen } from '../rig/terminals/screen.ts';
import { DapClient } from './dap-client.ts';

const context = {
  Dockerfile: 'FROM base\nENV GREETING=hello\nRUN echo made > /made; exit 3\n',
};
const experimental = { BUILDX_EXPERIMENTAL: '1', NO_COLOR: '1' };

function can(buildx: string, ...command: readonly string[]): boolean {
  return spawnSync(buildx, [...command, '--help'], { env: { ...process.env, ...experimental } }).status === 0;
}

for (const buildx of buildxPrograms()) {
  describe(`a failed step, looked into by ${buildx}`, () => {
    const rig = suiteRig(async (resources) => {
      const opened = await openDaemon(resources);
      const environment = {
        ...experimental,
        BUILDX_CONFIG: opened.work.at('buildx'),
        DOCKER_CONFIG: opened.work.at('docker'),
      };
      const create = ['create', '--name', 'kiln', '--driver', 'remote', opened.daemon.address];
      await mustRun(buildx, create, { env: environment });
      return { ...opened, environment };
    });
    const layout = () => `base=oci-layout://${baseLayout().directory}`;
    /** Nothing of the session stays. */
    const ends = async () => {
      await eventually(
        () => whatIsLeft(rig.daemon.root).length === 0,
        () => whatIsLeft(rig.daemon.root),
      );
    };

    test('debug build: a shell that sees what the step has made', async () => {
      const words = ['--builder', 'kiln', 'debug', '--on=error', 'build', '--build-context', layout()];
      const variables = Object.entries(rig.environment).map(([name, value]) => `${name}=${value}`);
      const command = [...variables, buildx, ...words, rig.work.tree(context)].map(quoteForShell);
      await using screen = await Screen.open(rig.work.at('tmux'), `env ${command.join(' ')}; sleep 1000`);
      await screen.shows(/Launching interactive container[\s\S]*\n\/ # ?$/m);
      await screen.type('clear; cat /made; echo "$GREETING"', 'Enter');
      await screen.shows(/^made\nhello\n/m);
      await screen.type('exit', 'Enter');
      await screen.shows('(buildx)');
      await screen.type('exit', 'Enter');
      await ends();
    });

    if (!can(buildx, 'dap', 'build')) return;

    test('dap build: stops at the line, and attaches a terminal to the step', async () => {
      const directory = rig.work.tree(context);
      const args = ['--builder', 'kiln', 'dap', 'build', '--build-context', layout()];
      await using editor = new DapClient(buildx, args, rig.environment);
      editor.send('initialize', {
        adapterID: 'test',
        linesStartAt1: true,
        columnsStartAt1: true,
        supportsRunInTerminalRequest: true,
      });
      assert.equal((await editor.response('initialize')).success, true);
      editor.send('launch', { dockerfile: path.join(directory, 'Dockerfile'), contextPath: directory });
      await editor.event('initialized');
      editor.send('configurationDone');
      const { body } = await editor.event('stopped');
      assert.equal(body?.reason, 'exception');
      const threadId = body?.threadId;
      editor.send('stackTrace', { threadId });
      const trace = (await editor.response('stackTrace')).body as {
        readonly stackFrames: readonly { readonly line: number; readonly name: string }[];
      };
      assert.equal(trace.stackFrames[0]?.line, 3, JSON.stringify(trace));

      editor.send('evaluate', { expression: 'exec', context: 'repl' });
      const wanted = await editor.receive(
        ({ command, type }) => type === 'request' && command === 'runInTerminal',
      );
      const { args: attaching } = wanted.arguments as { readonly args: readonly string[] };
      const attach = attaching.map(quoteForShell).join(' ');
      const script = `BUILDX_EXPERIMENTAL=1 ${attach}; sleep 1000`;
      await using screen = await Screen.open(rig.work.at('attached'), script);
      editor.answer(wanted);
      await screen.shows(/\n\/ # ?$/m);
      await screen.type('clear; cat /made; echo "$GREETING"', 'Enter');
      await screen.shows(/^made\nhello\n/m);
      editor.send('next', { threadId });
      assert.notEqual((await editor.event('exited')).body?.exitCode, 0);
      await ends();
    });
  });
}
