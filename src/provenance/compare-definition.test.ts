import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compareDefinition, type ExpectedDefinition } from './compare-definition.ts';
import { readRecordedBuild, statementDigests } from './recorded-build.ts';

type Frontend = ExpectedDefinition & { readonly kind: 'frontend' };

const text = 'FROM scratch\nCOPY a /\n';

const expected = (parts: Partial<Frontend> = {}): Frontend => ({
  kind: 'frontend',
  frontend: 'dockerfile.v0',
  options: { filename: 'Dockerfile', 'build-arg:TOKEN': 'secret', 'label:a': 'b', 'no-cache': '' },
  locals: ['context', 'dockerfile'],
  dockerfile: { name: 'Dockerfile', text: Buffer.from(text) },
  ...parts,
});

const args = { 'build-arg:TOKEN': 'xxxxx', 'label:a': 'b', 'vcs:source': 'elsewhere' };
const locals = [{ name: 'dockerfile' }, { name: 'context' }];
const info = { filename: 'Dockerfile', data: Buffer.from(text).toString('base64') };
const digestMapping = { 'sha256:1': 'step0', 'sha256:2': 'step1' };

const statement = (predicateType: string, predicate: unknown) =>
  Buffer.from(
    JSON.stringify({ predicateType, predicate, subject: [{ digest: { sha256: 'ab' } }, { digest: 1 }, 2] }),
  );

const v1 = (request: object = {}, completeness: object = { request: true }, infos: unknown = [info]) =>
  statement('https://slsa.dev/provenance/v1', {
    buildDefinition: {
      externalParameters: {
        configSource: { path: 'Dockerfile' },
        request: { frontend: 'dockerfile.v0', args, locals, ...request },
      },
      internalParameters: { buildConfig: { digestMapping } },
    },
    runDetails: {
      metadata: { buildkit_completeness: completeness, buildkit_metadata: { source: { infos } } },
    },
  });

const v02 = statement('https://slsa.dev/provenance/v0.2', {
  invocation: {
    configSource: { entryPoint: 'Dockerfile' },
    parameters: { frontend: 'dockerfile.v0', args, locals },
  },
  buildConfig: { digestMapping },
  metadata: {
    completeness: { parameters: true },
    'https://mobyproject.org/buildkit@v1#metadata': { source: { infos: [info] } },
  },
});

const compared = (definition: ExpectedDefinition, bytes: Uint8Array) =>
  compareDefinition(definition, readRecordedBuild(bytes, 'it'));

describe('a definition that a provenance names', () => {
  test('differs in nothing, in both versions, and with what is hidden there', () => {
    for (const bytes of [v1(), v02]) {
      assert.deepEqual(compared(expected(), bytes), {
        differences: [],
        unknown: [],
        masked: ['build-arg:TOKEN'],
      });
    }
    assert.deepEqual(statementDigests(v02, 'it'), ['ab']);
  });

  test('differs in each part by name', () => {
    const changed = expected({
      frontend: 'gateway.v0',
      options: { filename: 'other', 'label:a': 'c', context: 'https://user:secret@example.com/x.git' },
      locals: ['context'],
      dockerfile: { name: 'Dockerfile', text: Buffer.from('FROM scratch\n') },
    });
    assert.deepEqual(compared(changed, v1()).differences, [
      'frontend: the image has "dockerfile.v0", not "gateway.v0"',
      'context: the image has none, not "https://xxxxx:xxxxx@example.com/x.git"',
      'file: the image has "Dockerfile", not "other"',
      'directories: the image has "context, dockerfile", not "context"',
      'build-arg:TOKEN: the image has "xxxxx", not none',
      'label:a: the image has "b", not "c"',
      'Dockerfile, line 2: the image has "COPY a /", not ""',
    ]);
  });

  test('has its secrets compared where the builder has not masked them, and none is shown', () => {
    const secret = 'much-too-secret';
    const dockerfile = `${text}# ${secret}\n`;
    const bytes = v1({ args: { ...args, 'build-arg:TOKEN': secret } }, undefined, [
      { filename: 'Dockerfile', data: Buffer.from(dockerfile).toString('base64') },
    ]);
    const wanting = (options: Frontend['options']) =>
      compared(
        expected({ options, dockerfile: { name: 'Dockerfile', text: Buffer.from(dockerfile) } }),
        bytes,
      );
    const { options } = expected();
    assert.deepEqual(wanting({ ...options, 'build-arg:TOKEN': secret }), {
      differences: [],
      unknown: [],
      masked: [],
    });
    assert.deepEqual(wanting({ ...options, 'build-arg:TOKEN': 'another' }).differences, [
      'build-arg:TOKEN: the image has another value',
    ]);
    assert.deepEqual(wanting({ 'label:a': 'b' }).differences, [
      'build-arg:TOKEN: the image has "xxxxx", not none',
    ]);
  });

  test('may have secrets in its text, which the provenance masks', () => {
    const secret = 'much-too-secret';
    const { options } = expected();
    const written = (hidden: string) => Buffer.from(`${text}# ${hidden}\n`);
    const bytes = v1({}, undefined, [{ filename: 'Dockerfile', data: written('xxxxx').toString('base64') }]);
    const definition = expected({
      options: { ...options, 'build-arg:TOKEN': secret },
      dockerfile: { name: 'Dockerfile', text: written(secret) },
    });
    assert.deepEqual(compared(definition, bytes), {
      differences: [],
      unknown: [],
      masked: ['build-arg:TOKEN', 'parts of Dockerfile'],
    });
  });

  test('is not told where arguments and texts are left out', () => {
    const bytes = v1({ args: {} }, {}, null);
    assert.deepEqual(compared(expected(), bytes), {
      differences: [],
      unknown: [
        'build-arg:TOKEN, which mode=max would name',
        'label:a, which mode=max would name',
        'the text of Dockerfile, which mode=max would have',
      ],
      masked: [],
    });
  });

  test('without a frontend has the same steps', () => {
    const steps = (...names: readonly string[]): ExpectedDefinition => ({
      kind: 'definition',
      steps: new Set(names),
    });
    const bytes = v1({ frontend: '' });
    assert.deepEqual(compared(steps('sha256:1', 'sha256:2'), bytes), {
      differences: [],
      unknown: [],
      masked: [],
    });
    assert.deepEqual(compared(steps('sha256:1', 'sha256:3'), bytes).differences, [
      '1 of 2 steps of the definition are not in the image',
      '1 of 2 steps of the image are not in the definition',
    ]);
    assert.match(compared(steps('sha256:1'), v1()).differences[0] ?? '', /built by the frontend/);
  });

  test('is read from whatever somebody wrote, or refused by name', () => {
    for (const predicate of [undefined, null, 1, [], { buildDefinition: [] }, { runDetails: 'x' }]) {
      const { differences } = compared(expected(), statement('https://slsa.dev/provenance/v1', predicate));
      assert.match(differences[0] ?? '', /^frontend: the image has none/);
    }
    const odd = v1({ args: { __proto__x: 1, a: { b: 1 } }, locals: 7 }, {}, [{ filename: 1 }, 3, null]);
    assert.match(compared(expected(), odd).differences[0] ?? '', /^directories: the image has none/);
    assert.throws(() => readRecordedBuild(Buffer.from('{'), 'it'), {
      code: 'invalid_argument',
      message: 'it is not JSON',
    });
    assert.throws(() => readRecordedBuild(statement('other', {}), 'it'), { code: 'unimplemented' });
  });
});
