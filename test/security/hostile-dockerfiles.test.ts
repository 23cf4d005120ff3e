// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are variables of Dockerfiles.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { KilnError } from '../../src/base/errors.ts';
import { runFrontend } from '../../src/frontend/dockerfile/bridge-rig.ts';

const anyImage = { os: 'linux', architecture: 'amd64', config: {}, rootfs: { type: 'layers', diff_ids: [] } };
const many = (count: number, line: (index: number) => string) =>
  Array.from({ length: count }, (_, index) => line(index)).join('');

/** What takes a moment when it is read in time linear in its length, and minutes otherwise. */
const files: Readonly<Record<string, string>> = {
  'lines that end in many carriage returns': `FROM a\nRUN x${'\r'.repeat(400_000)}y\n`,
  'very many flags of one instruction': `FROM a\nRUN ${'--mount=type=tmpfs,target=/x '.repeat(30_000)}true\n`,
  'very many flags, each on its line': `FROM a\nRUN ${'--mount=type=tmpfs,target=/x \\\n'.repeat(30_000)}true\n`,
  'a directive with very many blanks': `# check=skip=A${' '.repeat(400_000)},B\nFROM a\n`,
  'a heredoc mark with very many blanks': `FROM a\nRUN <<${' '.repeat(400_000)}<<E\n`,
  'very many heredocs of one instruction': `FROM a\nCOPY ${many(30_000, (at) => `<<A${at} `)}/\n${many(30_000, (at) => `A${at}\n`)}`,
  'very many comments above very many arguments': `FROM a\n${many(30_000, (at) => `# A${at} x\n`)}ARG${many(30_000, (at) => ` B${at}`)}\n`,
  'very many variables, one a line': `FROM a\n${many(40_000, (at) => `ENV A${at}=x\n`)}`,
  'very many variables in one line': `FROM a\nENV ${many(40_000, (at) => ` A${at}=x`)}\n`,
  'very many labels': `FROM a\n${many(30_000, (at) => `LABEL A${at}=x\n`)}`,
  'very many ports and volumes': `FROM a\n${many(30_000, (at) => `EXPOSE ${at + 1}\nVOLUME /${at}\n`)}`,
  'very many sources of one copy': `FROM a\nCOPY ${'a '.repeat(60_000)}b/\n`,
  'very many downloads of one instruction': `FROM a\nADD${many(20_000, (at) => ` http://h/${at}`)} b/\n`,
  'very many variables that are not set': `FROM a\nARG${many(30_000, (at) => ` A${at}`)}\nUSER x${many(30_000, (at) => `$V${at}`)}\n`,
  'a pattern with very many stars': `FROM a\nENV X=${'a'.repeat(2_000)}\nENV Y=\${X##${'a*'.repeat(1_000)}b}\n`,
  'very many stages, each from the one before': many(
    8_000,
    (at) => `FROM ${at === 0 ? 'a' : `s${at - 1}`} AS s${at}\n`,
  ),
  'a pattern in .dockerignore with very many stars': `FROM a\nCOPY ${'a'.repeat(2_000)} b\n`,
};

describe('a Dockerfile is read in a moment, even with', () => {
  for (const [name, dockerfile] of Object.entries(files)) {
    test(name, { timeout: 60_000 }, async () => {
      const ignore = `${'a*'.repeat(1_000)}b\n`;
      const { graphs } = await runFrontend({
        dockerfile,
        anyImage,
        files: { context: { '.dockerignore': ignore } },
      });
      assert.equal(graphs.size, 1);
    });
  }
});

test('very many stages that read from each other in a circle are refused', { timeout: 60_000 }, async () => {
  const last = 20_000;
  const dockerfile = many(last, (at) => `FROM scratch AS s${at}\nCOPY --from=s${(at + 1) % last} a /\n`);
  await assert.rejects(runFrontend({ dockerfile }), (error: KilnError) => {
    assert.deepEqual(
      [error.code, error.message],
      ['invalid_argument', 'circular dependency detected on stage: s0'],
    );
    return true;
  });
});

describe('a Dockerfile that would fill the memory is refused:', () => {
  const refused = (dockerfile: string) =>
    assert.rejects(runFrontend({ dockerfile, anyImage }), { code: 'resource_exhausted' });

  test('a variable that is doubled in every line', () =>
    refused(`FROM a\nENV A=x\n${'ENV A=$A$A\n'.repeat(60)}`));

  test('an argument before the first stage that is doubled in every line', () =>
    refused(`ARG A=x\n${'ARG A=$A$A\n'.repeat(60)}FROM a\n`));

  test('a substitution of all by much', () =>
    refused(`FROM a\nENV A=${'x'.repeat(100_000)}\nENV B=\${A//?/${'y'.repeat(100_000)}}\n`));

  test('a large variable in the environment of very many steps', () =>
    refused(`FROM a\nENV A=${'x'.repeat(100_000)}\n${'RUN true\n'.repeat(4_000)}`));
});
