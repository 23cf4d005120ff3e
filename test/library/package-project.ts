/** Files of a project that has the package, and nothing else of Kiln. */

/** Uses each entry, and says what it found as JSON. */
export const plainProgram = `
import { readFileSync } from 'node:fs';

const times = {};
const load = async (name) => {
  const start = performance.now();
  const loaded = await import(name);
  times[name] = Math.round(performance.now() - start);
  return loaded;
};
const { build, connect, KilnError, solve } = await load('kiln');
const llb = await load('kiln/llb');
const { containerImage, createFrontend } = await load('kiln/frontend');
const native = process.report.getReport().sharedObjects.filter((name) => name.endsWith('.node'));

const [context, dest] = process.argv.slice(2);
const client = await connect();
const copied = llb.scratch().file(llb.files().copy(llb.local('here'), '/', '/', { dirCopyContents: true }));
await solve(client, copied, { locals: { here: context }, outputs: [{ type: 'local', dest }] });

const driven = build(client, async (gateway) => {
  const { refs } = await gateway.solve(llb.scratch().file(llb.files().mkfile('/x', 0o644, 'read')));
  const text = Buffer.from(await refs.get('').readFile('/x')).toString();
  return await gateway.solve(llb.scratch().file(llb.files().mkdir('/' + text, 0o755)));
});
let steps = 0;
for await (const { vertexes } of driven.progress) steps += vertexes.length;
await driven.result;

const frontend = createFrontend({
  filename: 'hello',
  async build(asked) {
    const { text } = await asked.file();
    return containerImage(llb.scratch().file(llb.files().mkfile('/upper', 0o644, text.toUpperCase())));
  },
});
await solve(client, frontend, { locals: { dockerfile: context }, outputs: [{ type: 'local', dest }] });

const failing = llb.withSourceLines(() => llb.scratch().run('nothing').root);
const failure = await solve(client, failing).catch((error) => error);
const refusal = await solve(client, llb.scratch(), { outputs: [{ type: 'local' }] }).catch((error) => error);
let split;
try {
  llb.splitCommand('"');
} catch (error) {
  split = error;
}
await client.close();
console.log(
  JSON.stringify({
    node: process.versions.node,
    times,
    native,
    hello: readFileSync(dest + '/hello', 'utf8'),
    upper: readFileSync(dest + '/upper', 'utf8'),
    steps: steps > 0,
    failure: failure instanceof KilnError,
    source: failure.details.find(({ kind }) => kind === 'source')?.filename,
    refusal: refusal.code,
    oneError: split instanceof KilnError && llb.KilnError === KilnError,
  }),
);
`;

/** The same entries with their types: what is wrong has to be an error. */
export const typedProgram = `
import { build, type Build, type BuildOptions, type Client, connect, type ErrorCode, KilnError, type SolveStatus, solve } from 'kiln';
import { containerImage, createFrontend, type FrontendBuild } from 'kiln/frontend';
import { type Definition, files, image, type OpGraph, scratch, type State, toDefinition, toGraph } from 'kiln/llb';

const state: State = scratch().file(files().mkfile('/a', 0o644, 'a'));
const definition: Definition = toDefinition(state);
const graph: OpGraph = toGraph(image('alpine').run(['true'], { env: { A: '1' } }).root);
for (const { op } of graph.vertices.values()) {
  if (op.action.kind === 'exec') op.action.meta.args satisfies readonly string[];
}
const options: BuildOptions = { secrets: { a: 'b', c: { env: 'PATH' } }, signal: AbortSignal.timeout(60_000) };
const frontend = createFrontend(async (asked: FrontendBuild) => {
  const { text, name } = await asked.file();
  text satisfies string;
  return containerImage(state, { labels: { name }, cmd: ['/a'] });
});

/** Only its types matter. */
export function wrong(client: Client): BuildOptions {
  // @ts-expect-error a graph is not text
  build(client, 'alpine');
  // @ts-expect-error a mode is not text
  files().mkdir('/a', '0755');
  // @ts-expect-error states do not change
  state.settings.dir = '/';
  // @ts-expect-error a frontend gives states
  createFrontend(async () => 'text');
  // @ts-expect-error an output has a type
  return { outputs: [{ kind: 'local' }] };
}

const client = await connect();
const building: Build = build(client, definition, options);
for await (const status of building.progress) {
  const { logs }: SolveStatus = status;
  logs satisfies readonly { readonly data: Uint8Array }[];
}
try {
  const { response } = await building.result;
  response satisfies Readonly<Record<string, string>>;
  await solve(client, { frontend: 'dockerfile.v0', inputs: { base: state } });
  await solve(client, frontend);
} catch (error) {
  if (!(error instanceof KilnError)) throw error;
  const code: ErrorCode = error.code;
  const [detail] = error.details;
  if (detail?.kind === 'exit') detail.code satisfies number;
  // There is no directory with a Dockerfile.
  if (code !== 'failed_precondition') throw error;
}
await client.close();
`;
