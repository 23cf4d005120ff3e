import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { parsePlatform } from '../../base/platform.ts';
import type { InTotoAttestation } from '../attestation.ts';
import { createExportRig, type ExportRig } from '../export-rig.ts';
import { createLocalExporter } from './local-exporter.ts';
import { createTarExporter } from './tar-exporter.ts';

const run = promisify(execFile);
let rig: ExportRig;
let tree: string;

before(async () => {
  rig = await createExportRig();
  tree = path.join(rig.directory, 'tree');
  await mkdir(path.join(tree, 'bin'), { recursive: true });
  await writeFile(path.join(tree, 'bin/app'), 'app');
  await writeFile(path.join(tree, 'zzz'), '');
});
after(() => rig[Symbol.asyncDispose]());

const attestation = (parts: Partial<InTotoAttestation> = {}): InTotoAttestation => ({
  kind: 'in-toto',
  reason: undefined,
  sbomCore: undefined,
  inlineOnly: false,
  predicateType: 'type',
  subjects: [],
  path: '/some/provenance.json',
  predicate: { kind: 'made', make: async () => Buffer.from('{"a":[1]}') },
  ...parts,
});

const resultOf = (key: string, ...attestations: readonly InTotoAttestation[]) =>
  rig.result(tree, { key, platform: parsePlatform('linux/amd64'), attestations });

const namesIn = async () =>
  (await run('tar', ['-tf', rig.outputFile])).stdout.split('\n').filter((name) => name !== '');

async function sentNames(
  attributes: Readonly<Record<string, string>>,
  ...results: readonly ReturnType<typeof resultOf>[]
): Promise<readonly (readonly string[])[]> {
  rig.sentTrees.length = 0;
  await createLocalExporter(rig).open(attributes).export(rig.input(results), rig.context);
  return rig.sentTrees.map(({ prefix, added }) => [prefix, ...(added ?? []).map(({ name }) => name)]);
}

describe('attestations in an output of files', () => {
  test('are whole statements about each of the files, in their places among them', async () => {
    const exporter = createTarExporter(rig).open({
      'attestation-prefix': 'x.',
      'source-date-epoch': '1700000000',
    });
    const skipped = attestation({ path: 'skipped.json', inlineOnly: true });
    await exporter.export(rig.input([resultOf('', attestation(), skipped)]), rig.context);
    assert.deepEqual(await namesIn(), ['bin/', 'bin/app', 'x.provenance.json', 'zzz']);
    const { stdout } = await run('tar', ['-xOf', rig.outputFile, 'x.provenance.json']);
    assert.deepEqual(JSON.parse(stdout), {
      _type: 'https://in-toto.io/Statement/v1',
      predicateType: 'type',
      subject: [
        {
          name: 'bin/app',
          digest: { sha256: 'a172cedcae47474b615c54d510a5d84a8dea3032e958587430b413538be3f333' },
        },
        {
          name: 'zzz',
          digest: { sha256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' },
        },
      ],
      predicate: { a: [1] },
    });
    assert.match(stdout, /\n {4}"a": \[\n {6}1\n {4}\]\n/);
    const listed = (await run('tar', ['-tvf', rig.outputFile, '--utc'])).stdout;
    assert.match(listed, /-rw------- 0\/0 +\d+ 2023-11-14 22:13 x\.provenance\.json/);
  });

  test('lie in the directory of their platform, or have its name in their own', async () => {
    const both = [resultOf('linux/amd64', attestation()), resultOf('linux/arm64', attestation())];
    assert.deepEqual(await sentNames({}, ...both), [
      ['linux_amd64', 'provenance.json'],
      ['linux_arm64', 'provenance.json'],
    ]);
    assert.deepEqual(await sentNames({ 'platform-split': 'false' }, both[0]!), [
      ['', 'provenance.linux_amd64.json'],
    ]);
    assert.deepEqual(await sentNames({}, resultOf('', attestation())), [['', 'provenance.json']]);
    assert.deepEqual(await sentNames({ 'platform-split': 'true' }, resultOf('', attestation())), [
      ['linux_amd64', 'provenance.json'],
    ]);
  });

  test('take the place of a file of the same name, but not of a directory', async () => {
    const exporter = createTarExporter(rig).open({});
    const inPlace = (name: string) => rig.input([resultOf('', attestation({ path: name }))]);
    await exporter.export(inPlace('zzz'), rig.context);
    assert.deepEqual(await namesIn(), ['bin/', 'bin/app', 'zzz']);
    await assert.rejects(exporter.export(inPlace('bin'), rig.context), {
      code: 'invalid_argument',
      message: /has a directory bin where a file of that name/,
    });
  });

  test('are refused when two have one name, or none', async () => {
    const twice = resultOf('', attestation(), attestation({ path: 'provenance.json' }));
    await assert.rejects(sentNames({}, twice), { message: /duplicate .*"provenance.json"/ });
    await assert.rejects(sentNames({}, resultOf('', attestation({ path: 'a/..' }))), {
      message: /duplicate or empty .*"\.\."/,
    });
    assert.throws(() => createLocalExporter(rig).open({ 'attestation-prefix': '../x' }), {
      code: 'invalid_argument',
    });
  });
});
