import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type RigOptions, runFrontend } from '../bridge-rig.ts';

const images = { 'docker.io/library/busybox:latest': { os: 'linux', architecture: 'amd64', rootfs: {} } };

/** Asks a question about a Dockerfile: the answer's fields by name. */
async function ask(question: string, dockerfile: string, rig: Partial<RigOptions> = {}) {
  const result = await runFrontend({
    dockerfile,
    images,
    ...rig,
    options: { requestid: `frontend.${question}`, ...rig.options },
  });
  const field = (name: string) => {
    const bytes = result.metadata.get(name);
    return bytes && Buffer.from(bytes).toString();
  };
  return {
    ...result,
    json: JSON.parse(field('result.json')!),
    text: field('result.txt')!,
    status: field('result.statuscode'),
    version: field('version'),
  };
}

function lines(...of: readonly number[]) {
  return { ranges: of.map((line) => ({ start: { line }, end: { line } })) };
}

test('a check tells rule, message, link and lines of each finding, and builds nothing', async () => {
  const { json, text, status, version, refs, warnings, solved } = await ask(
    'lint',
    'FROM busybox AS Big\nRUN a \\\n  $B\nCMD c $D\n',
  );
  assert.deepEqual(json.warnings, [
    {
      ruleName: 'StageNameCasing',
      description: 'Stage names should be lowercase',
      url: 'https://docs.docker.com/go/dockerfile/rule/stage-name-casing/',
      detail: "Stage name 'Big' should be lowercase",
      location: lines(1),
    },
    {
      ruleName: 'JSONArgsRecommended',
      description:
        'JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals',
      url: 'https://docs.docker.com/go/dockerfile/rule/json-args-recommended/',
      detail: 'JSON arguments recommended for CMD to prevent unintended behavior related to OS signals',
      location: lines(4),
    },
  ]);
  assert.equal(Buffer.from(json.sources[0].data, 'base64').toString().slice(0, 12), 'FROM busybox');
  assert.equal(json.sources[0].filename, 'Dockerfile');
  assert.match(
    text,
    /^\nWARNING: StageNameCasing - https:.*\nStage name 'Big' should be lowercase\nDockerfile:1\n-+\n {3}1 \| >>> FROM/,
  );
  assert.deepEqual([status, version], ['1', '1.0.0']);
  assert.deepEqual([...refs.values()], [undefined]);
  assert.deepEqual(warnings, []);
  assert.equal(
    solved.some(({ evaluate }) => evaluate),
    false,
  );
});

test('a check looks at all stages, or at what a target needs', async () => {
  const dockerfile = 'FROM busybox AS a\nCMD a\nFROM busybox AS b\nCMD b\n';
  const found = async (options?: Record<string, string>) =>
    (await ask('lint', dockerfile, { options })).json.warnings.map(
      (warning: { readonly location: object }) => warning.location,
    );
  assert.deepEqual(await found(), [lines(2), lines(4)]);
  assert.deepEqual(await found({ target: 'a' }), [lines(2)]);
});

test('nothing found is status 0, as is what the file or the client leaves out', async () => {
  assert.equal((await ask('lint', 'FROM busybox\nRUN true\n')).status, '0');
  assert.equal((await ask('lint', '# check=skip=JSONArgsRecommended\nFROM busybox\nCMD x\n')).status, '0');
  const options = { 'build-arg:BUILDKIT_DOCKERFILE_CHECK': 'skip=all' };
  assert.equal((await ask('lint', 'FROM busybox\nCMD x\n', { options })).status, '0');
});

test('a check says why the file would not build, and where', async () => {
  const broken = await ask('lint', 'FROM busybox\nRUNN x\n');
  assert.deepEqual(broken.json.buildError.location, lines(2));
  assert.match(broken.json.buildError.message, /unknown instruction: RUNN/);
  assert.equal(broken.status, '1');

  const strict = await ask('lint', '# check=error=true\nFROM busybox\nCMD x\n');
  assert.equal(strict.json.warnings.length, 1);
  assert.deepEqual(strict.json.buildError, {
    message: 'lint violation found for rules: JSONArgsRecommended',
    location: lines(3),
  });

  const missing = await ask('lint', 'FROM busybox\nFROM busybox AS b\nCOPY --from=nothing a /\n');
  assert.match(missing.json.buildError.message, /nothing/);
  assert.deepEqual(missing.json.buildError.location, lines(3));
});

const parameters = `ARG A=1
ARG B=$A
ARG UNUSED=2
# one is the first
FROM busybox AS one
# X is said
ARG X=5
ARG A
RUN --mount=type=secret,target=/run/secrets/token --mount=type=ssh true
FROM one AS two
ARG X=6
ARG TARGETPLATFORM
ARG NOVALUE
RUN --mount=type=secret,id=token,required --mount=type=secret,id=other,required true
FROM \${B:+busybox} AS last
COPY --from=two / /x
`;

test('an outline lists what a target and the stages it needs can be given', async () => {
  const { json, text } = await ask('outline', parameters);
  assert.deepEqual(json, {
    name: 'last',
    args: [
      { name: 'A', value: '1', location: lines(1) },
      { name: 'B', value: '1', location: lines(2) },
      { name: 'X', value: '6', location: lines(11) },
      { name: 'NOVALUE', location: lines(13) },
    ],
    secrets: [
      { name: 'token', required: true, location: lines(14) },
      { name: 'other', required: true, location: lines(14) },
    ],
    ssh: [{ name: 'default', location: lines(9) }],
    sources: [Buffer.from(parameters).toString('base64')],
  });
  assert.equal(
    text,
    `TARGET: last

BUILD ARG   VALUE   DESCRIPTION
A           1       
B           1       
X           6       
NOVALUE             

SECRET   REQUIRED
token    true
other    true

SSH       REQUIRED
default   

`,
  );
});

test('an argument that adds to its earlier value is made of what that was made of', async () => {
  const { json } = await ask(
    'outline',
    'ARG ONE=1\nARG TWO=2\nARG UNUSED=3\nARG SUM=$ONE\nARG SUM=$SUM$TWO\nFROM busybox\nARG SUM\n',
  );
  assert.deepEqual(
    json.args.map(({ name, value }: { name: string; value: string }) => `${name}=${value}`),
    ['ONE=1', 'TWO=2', 'SUM=12'],
  );
});

test('an outline has the values that the client gives', async () => {
  const { json, text } = await ask('outline', parameters, {
    options: { target: 'one', 'build-arg:X': 'given' },
  });
  assert.equal(json.description, 'is the first');
  assert.match(text, /^TARGET: {6}one\nDESCRIPTION: is the first\n\n/);
  assert.deepEqual(
    json.args.map(({ name, value }: { name: string; value: string }) => [name, value]),
    [
      ['A', '1'],
      ['X', 'given'],
    ],
  );
});

test('an outline comes with warnings of what is wrong with the file', async () => {
  const file = 'FROM busybox AS Big\nCMD c $D\n';
  const shown = async (question: string) => (await ask(question, file)).warnings.map(({ short }) => short);
  assert.deepEqual(await shown('outline'), [
    "StageNameCasing: Stage name 'Big' should be lowercase (line 1)",
    'JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior related to OS signals (line 2)',
  ]);
  assert.deepEqual(await shown('lint'), []);
});

test('targets are the stages, with what they are based on', async () => {
  const { json, text } = await ask(
    'targets',
    '# a is <first>\nFROM --platform=$BUILDPLATFORM busybox AS a\nFROM a\n',
  );
  assert.deepEqual(json.targets, [
    {
      name: 'a',
      description: 'is <first>',
      base: 'busybox',
      platform: '$BUILDPLATFORM',
      location: lines(2),
    },
    { default: true, base: 'a', location: lines(3) },
  ]);
  assert.equal(text, 'TARGET    DESCRIPTION\na         is <first>\n(default) \n');
});

test('the questions can be asked for; others are refused', async () => {
  const { json, text } = await ask('subrequests.describe', 'FROM busybox\n');
  assert.deepEqual(
    json.map(({ name }: { name: string }) => name),
    ['frontend.outline', 'frontend.targets', 'frontend.lint', 'frontend.subrequests.describe'],
  );
  assert.match(text, /^NAME {17}VERSION DESCRIPTION\noutline {14}1\.0\.0 {3}List all/);
  await assert.rejects(ask('nope', 'FROM busybox\n'), {
    code: 'unimplemented',
    details: [{ kind: 'subrequest', name: 'frontend.nope' }],
  });
});
