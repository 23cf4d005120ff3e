import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { asKilnError } from '../base/errors.ts';
import { type BuildFileRun, runBuildFile } from './build-file-rig.ts';

/** What the failure of a file says, with the line that it shows. */
async function failureOf(run: BuildFileRun): Promise<string> {
  try {
    await runBuildFile(run);
  } catch (error) {
    const { code, message, details } = asKilnError(error);
    const source = details.find(({ kind }) => kind === 'source');
    if (source?.kind !== 'source') return `${code}: ${message}`;
    const line = Buffer.from(source.data).toString().split('\n')[source.ranges[0]!.start.line - 1];
    return `${code}: ${message} | ${line?.trim()}`;
  }
  throw new Error('the file has a result');
}

const file = `import { containerImage, target, text, type FrontendBuild } from 'kiln/frontend';
import { files, scratch, type State } from 'kiln/llb';
import { name } from '~/lib/name.ts';

export const app = target(
  { description: 'the whole', args: { version: text({ default: '1', description: 'which' }) } },
  async ({ version }, build: FrontendBuild) => {
    const base = await build.image('a:1');
    const context = await build.solve(await build.context());
    console.log('made for', version);
    return containerImage(
      base.state
        .run(['echo', version, name, (await context.readText('a'))!]).root,
      { base, cmd: ['it'] },
    );
  },
);
export function small(): State {
  return scratch().file(files().mkdir('/d', 0o755));
}
export default app;
`;
const others = { 'lib/name.ts': `export const name: string = 'notes';\n` };

describe('a build file', { concurrency: 2 }, () => {
  test('makes LLB that knows its lines, and an image', async () => {
    const printed: string[] = [];
    const { graphs, config } = await runBuildFile({
      text: file,
      others,
      options: { 'build-arg:version': '7' },
      onOutput: (text) => printed.push(text),
    });
    const { vertices, source } = graphs.get('')!;
    const run = [...vertices.values()].find(({ op }) => op.action.kind === 'exec')!;
    assert.deepEqual(run.op.action.kind === 'exec' && run.op.action.meta.args, [
      'echo',
      '7',
      'notes',
      'text',
    ]);
    assert.deepEqual(source?.locations.get(run.digest)?.[0]?.ranges[0]?.start, { line: 13, character: 9 });
    assert.deepEqual(
      source.files.map(({ filename, data }) => [filename, Buffer.from(data).toString()]),
      [['build.ts', file.replace('~/', './')]],
    );
    assert.deepEqual(config.config.Cmd, ['it']);
    assert.equal(printed.join(''), 'made for 7\n');
  });

  test('answers for its targets and their arguments', async () => {
    const ask = async (requestid: string, target = '') => {
      const { metadata } = await runBuildFile({ text: file, others, options: { requestid, target } });
      return JSON.parse(Buffer.from(metadata.get('result.json')!).toString());
    };
    const { targets } = await ask('frontend.targets');
    const at = (line: number) => ({ ranges: [{ start: { line }, end: { line } }] });
    assert.deepEqual(targets, [
      { name: 'app', default: true, description: 'the whole', location: at(5) },
      { name: 'small', location: at(18) },
    ]);
    const { args } = await ask('frontend.outline', 'app');
    assert.deepEqual(args, [{ name: 'version', description: 'which', value: '1', location: at(6) }]);
  });

  test('says what is wrong with what it is asked', async () => {
    const ask = (options: Readonly<Record<string, string>>) => failureOf({ text: file, others, options });
    assert.match(
      await ask({ target: 'smal' }),
      /build\.ts:1:1: there is no target smal \(did you mean small\?\); expected one of app, small/,
    );
    assert.match(
      await ask({ 'build-arg:versio': '1' }),
      /build\.ts:5:14: target app takes no build argument versio \(did you mean version\?\); expected version/,
    );
  });

  /** Names, texts of files, and what is said of them. */
  const wrong: readonly (readonly [string, string, RegExp])[] = [
    [
      'throws',
      'export default () => {\n  throw new TypeError(String(1 as number));\n};\n',
      /build\.ts:2:9: TypeError: 1 \| throw new TypeError/,
    ],
    [
      'throws what steers a terminal',
      "export default () => { throw 'one\\ntwo\\u001b[2J'; };\n",
      /build\.ts:1:8: threw one\ntwo\\u001b\[2J/,
    ],
    [
      'throws later',
      "export default () => { Promise.reject(new Error('late')); return new Promise((done) => setTimeout(done, 9e5)); };\n",
      /build\.ts:1:39: late \|/,
    ],
    [
      'makes a mistake with the builder',
      "import { scratch } from 'kiln/llb';\nexport default () => scratch().run([]).root;\n",
      /invalid_argument: build\.ts:2:\d+: .*at least one argument \| export default/,
    ],
    [
      'asks for what does not exist',
      "export default async (_, build) => {\n  const base = await build.image('none:1');\n  return base.state;\n};\n",
      /not_found: build\.ts:2:\d+: none:1: .*not found \| const base/,
    ],
    [
      'returns nonsense',
      "export const app = () => ({ image: 'alpine' });\n",
      /build\.ts:1:14: target app returned an object; expected a state, containerImage\(state, …\) or directory\(state\) \|/,
    ],
    [
      'exports nothing that can be called',
      'export const a = 1;\n',
      /build\.ts:1:1: build\.ts exports no function; expected/,
    ],
    [
      'is no TypeScript',
      'export const a: number = 1;\nexport function x() { retrn 1 2; }\n',
      /build\.ts:2:\d+: SyntaxError: Expected/,
    ],
    [
      'imports what is not there',
      "import { x } from '~/nope.ts';\nexport default x;\n",
      /build\.ts:1:\d+: cannot import \.\/nope\.ts: Cannot find module/,
    ],
    [
      'waits for what never comes',
      'export default async () => {\n  await new Promise(() => {});\n};\n',
      /build\.ts:1:8: target default did not return: it waits for what never comes/,
    ],
    [
      'ends its process',
      'export default () => process.exit(0);\n',
      /build\.ts:1:8: target default did not return: .* or ended the process/,
    ],
    [
      'calls itself without end',
      'const again = (n: number): number => again(n + 1) + 1;\nexport default () => again(0);\n',
      /build\.ts:1:\d+: RangeError: Maximum call stack/,
    ],
    [
      'makes a graph that is too large',
      "import { files, scratch } from 'kiln/llb';\nexport default () => scratch().file(files().mkfile('/a', 0o644, 'x'.repeat(40e6)));\n",
      /resource_exhausted: build\.ts:2:\d+: a message of \d+ bytes is larger/,
    ],
    [
      'reads files',
      "import { readFileSync } from 'node:fs';\nexport default readFileSync;\n",
      /permission_denied: build\.ts:1:\d+: cannot import node:fs: a build file makes LLB/,
    ],
    [
      'reaches for a network',
      "export default async () => fetch('http://127.0.0.1/');\n",
      /permission_denied: build\.ts:1:\d+: a build file has no fetch/,
    ],
    [
      'imports a network',
      "export default async () => (await import('net')).connect(1);\n",
      /permission_denied: build\.ts:1:\d+: cannot import net/,
    ],
    [
      'starts processes',
      "import { execSync } from 'child_process';\nexport default () => execSync('id');\n",
      /permission_denied: build\.ts:1:\d+: cannot import child_process/,
    ],
    [
      'asks Node for its modules',
      "export default () => process.getBuiltinModule('worker_threads');\n",
      /permission_denied: build\.ts:1:\d+: a build file has no module worker_threads/,
    ],
    [
      'imports a text',
      "export default async () => import('data:text/javascript,export default 1');\n",
      /permission_denied: build\.ts:1:\d+: cannot import data:/,
    ],
    [
      'imports what is elsewhere',
      "import x from '/etc/hostname';\nexport default x;\n",
      /permission_denied: build\.ts:1:\d+: cannot import \/etc\/hostname: only what is in/,
    ],
    [
      'forges its messages',
      `import { scratch } from 'kiln/llb';
JSON.stringify = () => '{"kind":"result","result":{"refs":[["",7]],"metadata":[]}}';
export default () => scratch();
`,
      /invalid_argument: the process of the build file names a tree 7 that it was not given/,
    ],
    [
      'speaks another language',
      `import { scratch } from 'kiln/llb';
JSON.stringify = () => '[]';
export default () => scratch();
`,
      /invalid_argument: the process of the build file says what makes no sense/,
    ],
  ];
  for (const [name, text, expected] of wrong) {
    test(`that ${name} is refused, with its place`, async () => {
      assert.match(await failureOf({ text }), expected);
    });
  }

  test('that prints without end is shown in part, ended, and says where it was', async () => {
    let printed = 0;
    const failure = await failureOf({
      text: "export default () => {\n  for (;;) console.log('x'.repeat(10_000));\n};\n",
      limits: { time: 2_000, output: 1_000 },
      onOutput: (text) => {
        printed += text.length;
      },
    });
    assert.match(
      failure,
      /deadline_exceeded: build\.ts:2:\d+: it did not end within 2 s; expected a state.* \| for \(;;\)/,
    );
    assert.ok(printed >= 1_000 && printed < 2_000, `${printed} characters are shown`);
  });

  test('that asks very much at once is answered, and warns in bounds', async () => {
    const { warnings } = await runBuildFile({
      text: `export default async (_, build) => {
  const tree = await build.solve(await build.context());
  const texts = await Promise.all(Array.from({ length: 3000 }, () => tree.readText('a')));
  for (const text of texts) build.warn(text);
  return await build.context();
};
`,
    });
    assert.equal(warnings.length, 1_000);
    assert.equal(warnings[0]?.short, 'text');
  });

  test('that takes all memory is ended', async () => {
    const text =
      'const all: number[][] = [];\nexport default () => { for (;;) all.push(new Array(1e6).fill(1)); };\n';
    assert.match(
      await failureOf({ text, limits: { memory: 256 * 2 ** 20 } }),
      /resource_exhausted: build\.ts: its process needs more than 256 MiB/,
    );
  });

  test('cannot do what it may not even where it gets hold of Node itself', async () => {
    // A CommonJS module has the class of modules, which loads everything.
    const loader = `
const Module = module.constructor;
const tell = (work) => { try { return String(work()); } catch (error) { return error.code ?? error.message; } };
const load = (name) => Module._load(name);
module.exports = {
  read: tell(() => load('fs').readFileSync('/etc/passwd')),
  write: tell(() => load('fs').writeFileSync(__dirname + '/new', 'x')),
  run: tell(() => load('child_process').execSync('id')),
  thread: tell(() => new (load('worker_threads').Worker)('1', { eval: true })),
};
module.exports.connect = new Promise((done) => {
  try {
    const socket = load('net').connect(1, '127.0.0.1');
    socket.on('error', (error) => done(error.code));
    socket.on('connect', () => done('connected'));
  } catch (error) { done(error.code); }
});
module.exports.bind = new Promise((done) => {
  try {
    const socket = load('dgram').createSocket('udp4');
    socket.on('error', (error) => done(error.code));
    socket.bind(() => done('bound'));
  } catch (error) { done(error.code); }
});
`;
    const printed: string[] = [];
    await runBuildFile({
      text: `import found from '~/loader.cjs';
import { scratch } from 'kiln/llb';
export default async () => {
  const { connect, bind, ...others } = found;
  console.log(JSON.stringify({ ...others, connect: await connect, bind: await bind }));
  return scratch();
};
`,
      others: { 'loader.cjs': loader },
      onOutput: (text) => printed.push(text),
    });
    const told = Object.entries(JSON.parse(printed.join('')) as Record<string, string>);
    assert.deepEqual(told.map(([name]) => name).sort(), [
      'bind',
      'connect',
      'read',
      'run',
      'thread',
      'write',
    ]);
    for (const [name, answer] of told)
      assert.match(answer, /^(ERR_ACCESS_DENIED|EPERM|permission_denied)$/, name);
  });
});
