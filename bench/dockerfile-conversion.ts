/**
 * Measures what the Dockerfile frontend does with a file of 100 stages and 2,000 lines, from its text to the graph, in a
 * process that has done it before. Usage: node bench/dockerfile-conversion.ts [ROUNDS]
 */
import { digestOf } from '../src/base/digest.ts';
import { createDockerfileFrontend } from '../src/frontend/dockerfile/dockerfile-frontend.ts';
import type { Bridge, SolvedRef } from '../src/frontend/frontend.ts';

const stages = 100;
const rounds = Number(process.argv[2] ?? 50);

const text = Buffer.from(Array.from({ length: stages }, (_, at) => stage(at)).join(''));
const config = Buffer.from(
  JSON.stringify({
    os: 'linux',
    architecture: 'amd64',
    config: { Env: ['PATH=/usr/local/bin:/usr/bin:/bin'], WorkingDir: '/' },
    rootfs: { type: 'layers', diff_ids: [digestOf('layer')] },
  }),
);

let ops = 0;
const bridge: Bridge = {
  workers: [{ id: 'bench', labels: {}, platforms: [{ os: 'linux', architecture: 'amd64' }] }],
  warn() {},
  sourceTime: async () => undefined,
  resolveImageConfig: async (ref) => ({ ref, digest: digestOf(config), config }),
  async solve({ graph }) {
    ops = graph?.vertices.size ?? 0;
    return { refs: new Map([['', ref]]), metadata: new Map() };
  },
};
const ref: SolvedRef = {
  id: 'bench',
  evaluate: async () => {},
  readFile: async (path) => (path === 'Dockerfile' ? text : Buffer.alloc(0)),
  readDir: async () => [],
  statFile: () => Promise.reject(new Error('not measured')),
};

const elapsed: number[] = [];
/** Of the event loop's thread: the same on a busy machine. */
const worked: number[] = [];
for (let round = 0; round < rounds; round++) {
  const began = performance.now();
  const usage = process.threadCpuUsage();
  await createDockerfileFrontend().solve(
    bridge,
    { options: {}, inputs: new Map(), sessionId: 'bench' },
    new AbortController().signal,
  );
  elapsed.push(performance.now() - began);
  const { user, system } = process.threadCpuUsage(usage);
  worked.push((user + system) / 1000);
}
const lines = text.toString().split('\n').length - 1;
console.log(
  `${lines} lines, ${stages} stages, ${ops} ops: ${warmed(elapsed)} ms, of which its thread worked ${warmed(worked)} ms; ` +
    `${elapsed[0]!.toFixed(1)} ms the first time`,
);

/** The median of the second half. */
function warmed(figures: readonly number[]): string {
  const sorted = figures.slice(Math.floor(figures.length / 2)).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!.toFixed(1);
}

/** 20 lines, whose steps use those of the stages before. */
function stage(at: number): string {
  const source = at === 0 ? 'docker.io/library/debian:12' : `stage${Math.max(at - 3, 0)}`;
  const from = Math.max(at - 1, 0);
  return `# stage${at} builds part ${at}
FROM ${source} AS stage${at}
ARG VERSION=${at}.0
ARG FLAGS="--level=\${VERSION%.*}"
ENV PART=${at} NAME="part-\${VERSION}"
WORKDIR /work/part${at}
COPY --chown=1000:1000 part${at}/package.json part${at}/lock.json ./
RUN --mount=type=cache,target=/root/.cache,id=\${NAME} \\
    --mount=type=bind,source=tools,target=/tools \\
    /tools/install \${FLAGS} \\
    && echo "$PART done"
COPY . .
RUN <<EOF
set -e
make part
EOF
${at === 0 ? 'RUN true' : `COPY --from=stage${from} /work/part${from}/out /work/out`}
LABEL part="${at}" version="$VERSION"
ENTRYPOINT ["/work/run", "${at}"]
CMD ["--help"]
`;
}
