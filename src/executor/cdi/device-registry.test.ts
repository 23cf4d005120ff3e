import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { DeviceRegistry } from './device-registry.ts';

/** CDI directories in a temporary one, and a registry that reads them. */
class RegistryRig implements Disposable {
  readonly problems: string[] = [];
  readonly registry: DeviceRegistry;
  readonly #root = mkdtempSync(path.join(tmpdir(), 'kiln-cdi-'));

  constructor(
    options: { readonly directories?: readonly string[]; readonly autoAllowed?: readonly string[] } = {},
  ) {
    const { directories = ['cdi'], autoAllowed = [] } = options;
    this.registry = new DeviceRegistry({
      directories: directories.map((name) => this.at(name)),
      autoAllowed,
      onProblem: (message) => this.problems.push(message),
    });
  }

  at(name: string): string {
    return path.join(this.#root, name);
  }

  /** As a program that replaces its file does. */
  write(name: string, text: string): void {
    mkdirSync(path.dirname(this.at(name)), { recursive: true });
    writeFileSync(this.at('new'), text);
    renameSync(this.at('new'), this.at(name));
  }

  async names(): Promise<readonly string[]> {
    return (await this.registry.current()).devices.map(({ name }) => name);
  }

  [Symbol.dispose](): void {
    rmSync(this.#root, { recursive: true });
  }
}

const spec = (kind: string, name: string, more = '') =>
  `cdiVersion: 0.6.0\nkind: ${kind}\ndevices:\n- name: ${name}\n  containerEdits:\n    env: [A=${name}]\n${more}`;

test('devices come from JSON and YAML files; other files, folders and missing directories count for nothing', async () => {
  using rig = new RegistryRig({ directories: ['missing', 'cdi'] });
  rig.write('cdi/one.yaml', spec('a.com/x', 'one'));
  rig.write('cdi/two.yml', spec('a.com/x', 'two'));
  rig.write(
    'cdi/three.json',
    JSON.stringify({
      cdiVersion: '0.3.0',
      kind: 'a.com/x',
      devices: [{ name: 'three', containerEdits: { env: ['A=3'] } }],
      containerEdits: null,
    }),
  );
  rig.write('cdi/notes.txt', 'not a device');
  mkdirSync(rig.at('cdi/folder.yaml'));
  assert.deepEqual(await rig.names(), ['a.com/x=one', 'a.com/x=three', 'a.com/x=two']);
  assert.deepEqual(rig.problems, []);
});

test('a file that comes, changes or goes is seen by the next who asks', async () => {
  using rig = new RegistryRig();
  assert.deepEqual(await rig.names(), []);
  rig.write('cdi/one.yaml', spec('a.com/x', 'one'));
  assert.deepEqual(await rig.names(), ['a.com/x=one']);
  rig.write('cdi/one.yaml', spec('a.com/x', 'six'));
  assert.deepEqual(await rig.names(), ['a.com/x=six']);
  rmSync(rig.at('cdi/one.yaml'));
  assert.deepEqual(await rig.names(), []);
});

test('a file of which nothing changed is not read again, and its faults are not told again', async () => {
  using rig = new RegistryRig();
  rig.write('cdi/bad.yaml', 'devices: [');
  const first = await rig.registry.current();
  assert.equal(await rig.registry.current(), first);
  assert.equal(rig.problems.length, 1);
});

for (const [what, text, said] of [
  ['is not YAML', 'kind: "a', /Missing closing/],
  ['is of no known version', spec('a.com/x', 'one').replace('0.6.0', '7.0.0'), /invalid version "7.0.0"/],
  [
    'uses what came later',
    spec('a.com/x', 'one').replace('0.6.0', '0.4.0').concat('annotations: {a: b}\n'),
    /0\.4\.0.*0\.6\.0/,
  ],
  ['has a kind without vendor', spec('x', 'one'), /kind "x" is not vendor\/class/],
  ['has a device without a good name', spec('a.com/x', 'a+'), /"a\+" cannot be the name/],
  [
    'has a device that changes nothing',
    'cdiVersion: 0.6.0\nkind: a/b\ndevices: [{name: one}]\n',
    /one has no containerEdits/,
  ],
  [
    'has fields that nobody knows',
    spec('a.com/x', 'one', '    mount: []\n'),
    /unknown field mount; did you mean mounts\?/,
  ],
  ['has a variable without value', spec('a.com/x', 'one').replace('A=one', 'A'), /"A" is not NAME=value/],
  [
    'has a hook of no known name',
    spec('a.com/x', 'one', '    hooks: [{hookName: later, path: /x}]\n'),
    /hookName: want one of prestart/,
  ],
  [
    'lets a node be used in other ways',
    spec('a.com/x', 'one', '    deviceNodes: [{path: /dev/x, permissions: rx}]\n'),
    /"rx"/,
  ],
] as const) {
  test(`a file that ${what} is told of by its name, and the others count`, async () => {
    using rig = new RegistryRig();
    rig.write('cdi/bad.yaml', text);
    rig.write('cdi/good.yaml', spec('a.com/good', 'one'));
    assert.deepEqual(await rig.names(), ['a.com/good=one']);
    assert.equal(rig.problems.length, 1);
    assert.ok(rig.problems[0]!.includes(rig.at('cdi/bad.yaml')), rig.problems[0]);
    assert.match(rig.problems[0]!, said);
  });
}

test('numbers are as YAML 1.1 has them, and annotations are text however they are written', async () => {
  using rig = new RegistryRig();
  const more =
    '    deviceNodes: [{path: /dev/x, fileMode: 0666}]\n  annotations: {on: true, at: 2020-01-02, of: 7}\n';
  rig.write('cdi/one.yaml', spec('a.com/x', 'one', more));
  const { devices } = await rig.registry.current();
  assert.deepEqual(rig.problems, []);
  assert.equal(devices[0]!.edits.deviceNodes[0]!.fileMode, 0o666);
  assert.deepEqual(Object.values(devices[0]!.annotations), ['true', '2020-01-02', '7']);
});

test('a device of a later directory takes the place of the same one of an earlier', async () => {
  using rig = new RegistryRig({ directories: ['first', 'second'] });
  rig.write('second/x.yaml', spec('a.com/x', 'one').replace('A=one', 'A=second'));
  rig.write('first/x.yaml', spec('a.com/x', 'one'));
  const { devices } = await rig.registry.current();
  assert.deepEqual(
    devices.map(({ edits }) => edits.env),
    [['A=second']],
  );
  assert.deepEqual(rig.problems, []);
});

test('a device that two files of one directory describe is neither', async () => {
  using rig = new RegistryRig();
  rig.write('cdi/a.yaml', spec('a.com/x', 'one'));
  rig.write('cdi/b.yaml', spec('a.com/x', 'one'));
  rig.write('cdi/c.yaml', spec('a.com/x', 'two'));
  assert.deepEqual(await rig.names(), ['a.com/x=two']);
  assert.match(rig.problems.join(), /a\.yaml and .*b\.yaml both describe a\.com\/x=one/);
});

test('devices are allowed from the start by name, by kind, or by an annotation of theirs or their file', async () => {
  using rig = new RegistryRig({ autoAllowed: ['a.com/x=one', 'a.com/kind'] });
  const allow = (value: string) => `org.mobyproject.buildkit.device.autoallow: ${value}`;
  rig.write('cdi/1.yaml', spec('a.com/x', 'one'));
  rig.write('cdi/2.yaml', spec('a.com/x', 'two'));
  rig.write('cdi/3.yaml', spec('a.com/kind', 'one'));
  rig.write('cdi/4.yaml', spec('a.com/y', 'device', `  annotations: {${allow('true')}}\n`));
  rig.write('cdi/5.yaml', spec('a.com/y', 'file', `annotations: {${allow('"1"')}}\n`));
  rig.write(
    'cdi/6.yaml',
    spec('a.com/y', 'no', `  annotations: {${allow('false')}}\nannotations: {${allow('true')}}\n`),
  );
  const { devices } = await rig.registry.current();
  assert.deepEqual(
    devices.filter(({ autoAllowed }) => autoAllowed).map(({ name }) => name),
    ['a.com/kind=one', 'a.com/x=one', 'a.com/y=device', 'a.com/y=file'],
  );
});
