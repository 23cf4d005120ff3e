import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, symlink, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { makeDevice, mknod } from '../../linux/mknod.ts';
import { spdxPredicateType } from '../../oci/in-toto.ts';
import type { Attestation, AttestationBundle } from '../attestation.ts';
import { createExportRig, type ExportRig } from '../export-rig.ts';
import { loadAttestations } from './load-attestations.ts';

let rig: ExportRig;
let tree: string;

before(async () => {
  rig = await createExportRig();
  tree = path.join(rig.directory, 'tree');
  await mkdir(path.join(tree, 'dir'), { recursive: true });
});
after(() => rig[Symbol.asyncDispose]());

const use = { reason: undefined, sbomCore: undefined, inlineOnly: false };
const ref = () => rig.result(tree).ref!;

const file = (name: string): Attestation => ({
  ...use,
  kind: 'in-toto',
  predicateType: 'type',
  subjects: [],
  path: name,
  predicate: { kind: 'file', ref: ref() },
});

const bundle = (name: string, parts: Partial<AttestationBundle> = {}): Attestation => ({
  ...use,
  kind: 'bundle',
  predicateType: undefined,
  ref: ref(),
  path: name,
  ...parts,
});

const load = (...attestations: readonly Attestation[]) =>
  loadAttestations(attestations, rig.pool, rig.context);

/** Puts files into a directory of the tree that has no others. */
async function directoryWith(files: Readonly<Record<string, unknown>>): Promise<string> {
  const name = `bundle-${Math.random()}`;
  await mkdir(path.join(tree, name));
  for (const [entry, content] of Object.entries(files)) {
    const text = typeof content === 'string' ? content : JSON.stringify(content);
    await writeFile(path.join(tree, name, entry), text);
  }
  return name;
}

describe('attestations in files', () => {
  test('have predicates without white space, or none', async () => {
    await writeFile(path.join(tree, 'predicate.json'), '{ "b": 1.0,\n "a": "<" }\n');
    await writeFile(path.join(tree, 'empty.json'), '');
    await symlink('/predicate.json', path.join(tree, 'dir/link.json'));
    const loaded = await load(file('/dir/link.json'), file('empty.json'));
    assert.deepEqual(
      loaded.map((each) => [each.path, Buffer.from(each.predicate).toString()]),
      [
        ['/dir/link.json', '{"b":1.0,"a":"\\u003c"}'],
        ['empty.json', ''],
      ],
    );
  });

  test('that are made are made when they are read', async () => {
    const predicate = { kind: 'made', make: async () => Buffer.from('{"made":true}') } as const;
    const [made] = await load({ ...file('p.json'), predicate } as Attestation);
    assert.equal(Buffer.from(made!.predicate).toString(), '{"made":true}');
  });

  test('of a bundle come one by one, the SBOM of the result itself first', async () => {
    const statement = (name: string, extra: object = {}) => ({
      _type: 'https://in-toto.io/Statement/v1',
      predicateType: spdxPredicateType,
      predicate: { name, b: 1, a: 2 },
      ...extra,
    });
    const directory = await directoryWith({
      'a.json': statement('extra', { subject: [{ name: 'x', digest: { sha1: 'ab' } }, {}] }),
      'sbom.spdx.json': statement('core'),
    });
    const loaded = await load(bundle(directory, { predicateType: spdxPredicateType, sbomCore: 'sbom' }));
    assert.deepEqual(
      loaded.map((each) => [
        path.basename(each.path),
        each.isCoreSbom,
        each.subjects,
        Buffer.from(each.predicate).toString(),
      ]),
      [
        ['sbom.spdx.json', true, [], '{"a":2,"b":1,"name":"core"}'],
        [
          'a.json',
          false,
          [
            { kind: 'raw', name: 'x', digest: { sha1: 'ab' } },
            { kind: 'raw', name: undefined, digest: {} },
          ],
          '{"a":2,"b":1,"name":"extra"}',
        ],
      ],
    );
  });

  test('are refused by name when they are none', async () => {
    await writeFile(path.join(tree, 'text'), 'not JSON');
    await writeFile(path.join(tree, 'huge'), '');
    await writeFile(path.join(tree, 'deep'), '['.repeat(1_001) + ']'.repeat(1_001));
    const wrong = ['{', '{} {}', "{'a':1}", '[1,]', '"\n"'];
    for (const [at, text] of wrong.entries()) await writeFile(path.join(tree, `wrong-${at}`), text);
    await truncate(path.join(tree, 'huge'), 40 * 1024 * 1024 + 1);
    await symlink('circle', path.join(tree, 'circle'));
    await symlink('../../../../etc/hostname', path.join(tree, 'out'));
    execFileSync('mkfifo', [path.join(tree, 'fifo')]);
    // Nothing of this number can be opened.
    mknod(path.join(tree, 'device'), 0o060000 | 0o600, makeDevice(259, 300));
    const cases: readonly [string, RegExp][] = [
      ['text', /attestation text is not JSON/],
      ...wrong.map((_, at): [string, RegExp] => [`wrong-${at}`, /wrong-. is not JSON/]),
      ['deep', /attestation deep is nested more than 1000 levels deep/],
      ['huge', /attestation huge exceeds 41943040 bytes/],
      ['circle', /circle: too many levels of symbolic links/],
      ['out', /cannot read in-toto attestation out: no such file/],
      ['missing', /cannot read in-toto attestation missing: no such file/],
      ['dir', /attestation dir is not a regular file/],
      ['fifo', /attestation fifo is not a regular file/],
      ['device', /attestation device is not a regular file/],
      ['a\0b', /"a\\u0000b" has a NUL/],
      ['a'.repeat(300), /cannot read in-toto attestation a{300}: ENAMETOOLONG/],
    ];
    for (const [name, message] of cases) await assert.rejects(load(file(name)), { message });
  });

  test('of a bundle are refused by name when they are no statements, or not of the kind they should be', async () => {
    const cases: readonly [Readonly<Record<string, unknown>>, RegExp][] = [
      [{ a: '{} {}' }, /cannot decode in-toto statement bundle-[^/]*\/a:/],
      [{ a: `{"predicate":${'['.repeat(1_000)}` }, /\/a is nested more than 1000 levels deep/],
      [{ a: '[]' }, /\/a is not a JSON object/],
      [{ a: { predicateType: 'a b' } }, /\/a: invalid predicate type "a b"/],
      [{ a: { predicateType: 1 } }, /\/a: its predicateType is not a string/],
      [{ a: { subject: {} } }, /\/a: its subject is not a list/],
      [{ a: { subject: [1] } }, /a subject of in-toto statement .*\/a is not a JSON object/],
      [{ a: { subject: [{ digest: { sha256: 'x y' } }] } }, /invalid digest "sha256:x y"/],
      [{ a: { subject: new Array(100_001).fill({}) } }, /100001 subjects are more than 100000/],
      [{ a: { predicateType: 'other' } }, /other does not match required predicate type wanted/],
      [
        Object.fromEntries(Array.from({ length: 1_001 }, (_, at) => [`${at}`, '{}'])),
        /1001 entries are more/,
      ],
    ];
    for (const [files, message] of cases) {
      const directory = await directoryWith(files);
      await assert.rejects(load(bundle(directory, { predicateType: 'wanted' })), { message });
    }
    const provenance = await directoryWith({ a: { predicateType: 'https://slsa.dev/provenance/v1' } });
    await assert.rejects(load(bundle(provenance)), { message: /frontend may not bundle provenance/ });
    await assert.rejects(load(bundle('missing')), { message: /missing: no such file/ });
  });

  test('of a bundle are bounded by what is made of them: escaped text is longer', async () => {
    const content = JSON.stringify({ predicate: '<'.repeat(23 * 1024 * 1024) });
    const directory = await directoryWith({ a: content, b: content });
    await assert.rejects(load(bundle(directory)), {
      message: /\/b: all of one result together are too large/,
    });
  });
  test('of a result are counted with those of its bundles', async () => {
    const directory = await directoryWith(
      Object.fromEntries(Array.from({ length: 1_000 }, (_, at) => [`${at}`, '{}'])),
    );
    const [first, second] = [bundle(directory), bundle(directory)];
    assert.equal((await load(first, second)).length, 2_000);
    await assert.rejects(load(first, second, file('predicate.json')), { message: /more than 2000/ });
  });

  test('of a result are bounded by the subjects of their statements, too', async () => {
    const name = 'n'.repeat(30 * 1024 * 1024);
    const directory = await directoryWith({ a: { subject: [{ name }] } });
    await assert.rejects(load(...new Array(9).fill(bundle(directory))), { message: /are too large/ });
  });

  test('of a bundle are bounded by the number of their subjects: short ones take much more than their text', async () => {
    const content = JSON.stringify({ subject: new Array(100_000).fill({}) });
    const names = Array.from({ length: 20 }, (_, at) => `${at}`);
    const directory = await directoryWith(Object.fromEntries(names.map((name) => [name, content])));
    await assert.rejects(load(bundle(directory)), { message: /are too large/ });
  });
});
