/** Builds `examples/quickstart` without a daemon and without a registry, and says what came of it. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { makeBaseLayout } from './make-base-layout.ts';

const root = path.resolve(import.meta.dirname, '..');
const state = path.join(root, '.cache', 'quickstart');
const base = path.join(state, 'base');
const image = path.join(state, 'quickstart.tar');
const trace = path.join(state, 'events.jsonl');

mkdirSync(state, { recursive: true });
rmSync(trace, { force: true });
makeBaseLayout(base);

const command = [
  'bin/kiln',
  ...['--root', path.relative(root, path.join(state, 'root'))],
  'build',
  ...['--build-context', `base=oci-layout://${path.relative(root, base)}:latest`],
  ...['-t', 'quickstart'],
  ...['-o', `type=oci,dest=${path.relative(root, image)}`],
  'examples/quickstart',
];
console.log(`$ ${command.join(' ')}`);
const build = spawnSync(
  path.join(root, command[0]!),
  [...command.slice(1, -1), '--trace', trace, command.at(-1)!],
  {
    cwd: root,
    stdio: 'inherit',
  },
);
if (build.status !== 0) {
  console.error('\nThe quickstart did not build; what went wrong is said above.');
  process.exit(build.status ?? 1);
}

const { ran, cached } = steps();
console.log(
  [
    '',
    ran === 0
      ? `Everything was cached: all ${cached} steps were found, none ran.`
      : `Built: ${ran} steps ran${cached > 0 ? `, ${cached} were cached` : ''}.`,
    `The image is an OCI archive: ${path.relative(process.cwd(), image) || image}`,
    '  look at it:  skopeo inspect oci-archive:.cache/quickstart/quickstart.tar  (skopeo is a Debian package)',
    ran === 0
      ? 'Change something in examples/quickstart, and run it again: npm run quickstart'
      : 'Run it again to see the cache at work: npm run quickstart',
  ].join('\n'),
);

/** How many steps of the Dockerfile ran and how many were cached; the engine's own look-ups do not count. */
function steps(): { readonly ran: number; readonly cached: number } {
  const latest = new Map<string, { readonly name: string; readonly cached?: boolean }>();
  for (const line of readFileSync(trace, 'utf8').split('\n')) {
    if (line === '') continue;
    const { vertexes = [] } = JSON.parse(line) as {
      readonly vertexes?: readonly {
        readonly digest: string;
        readonly name: string;
        readonly cached?: boolean;
      }[];
    };
    for (const vertex of vertexes) latest.set(vertex.digest, vertex);
  }
  const dockerfile = [...latest.values()].filter(({ name }) => /^\[[^\]]*\d+\/\d+\] (?!FROM)/.test(name));
  const cached = dockerfile.filter((vertex) => vertex.cached).length;
  return { ran: dockerfile.length - cached, cached };
}
