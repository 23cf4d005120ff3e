import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { KilnError } from '../../src/base/errors.ts';
import { DeviceRegistry } from '../../src/executor/cdi/device-registry.ts';
import type { ProcessMount } from '../../src/executor/executor.ts';
import { ExecutorRig } from '../../src/executor/executor-rig.ts';
import { Kiln } from '../rig/kiln.ts';
import { LlbEngine } from '../rig/llb-engine.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

/** Targets by what they are after all. `link`, `deep` and `up` are links in the tree, `mounted/link` is one in a mount. */
const refused: Readonly<Record<string, string>> = {
  '/': '/',
  '/proc': '/proc',
  '/proc/': '/proc',
  '//proc': '/proc',
  '/./proc': '/proc',
  '/dev/../proc': '/proc',
  '/proc/sys': '/proc/sys',
  '/proc/kcore': '/proc/kcore',
  '/proc/self/root/x': '/proc/self/root/x',
  '/sys': '/sys',
  '/sys/': '/sys',
  '/link': '/proc',
  '/link/acpi': '/proc/acpi',
  '/deep': '/proc/sys',
  '/up': '/',
  '/mounted/link': '/proc',
};

for (const runtime of ['crun', 'runc']) {
  describe(`a container of ${runtime}`, () => {
    let work: WorkDirectory;
    let rig: ExecutorRig;
    let tree: string;
    before(async () => {
      work = new WorkDirectory();
      const devices = work.at('cdi');
      mkdirSync(devices);
      const mount = { hostPath: '/bin/busybox', containerPath: '/proc/cmdline', options: ['ro'] };
      const spec = {
        cdiVersion: '0.6.0',
        kind: 'vendor.example/device',
        devices: [{ name: 'over', containerEdits: { mounts: [mount] } }],
      };
      writeFileSync(path.join(devices, 'vendor.json'), JSON.stringify(spec));
      const registry = new DeviceRegistry({
        directories: [devices],
        autoAllowed: [],
        onProblem: assert.fail,
      });
      rig = await ExecutorRig.create({ runtime, devices: registry });
      symlinkSync('/proc', path.join(rig.base, 'link'));
      symlinkSync('up/tmp/../proc/sys', path.join(rig.base, 'deep'));
      symlinkSync('tmp/../../..', path.join(rig.base, 'up'));
      mkdirSync(path.join(rig.base, 'mounted'));
      tree = work.tree({ 'dir/file': 'mine' });
      symlinkSync('/proc', path.join(tree, 'link'));
    });
    after(async () => {
      await rig[Symbol.asyncDispose]();
      work[Symbol.dispose]();
    });

    const mountsAt = (dest: string): readonly ProcessMount[] => {
      const source = { kind: 'bind', source: tree, readonly: false } as const;
      return [
        { kind: 'tree', dest, mount: source, selector: '/', readonly: true },
        { kind: 'tree', dest, mount: source, selector: 'dir/file', readonly: false },
        { kind: 'tmpfs', dest, size: 0 },
        { kind: 'file', dest, data: Buffer.from('mine'), uid: 0, gid: 0, mode: 0o400 },
        { kind: 'host', dest, source: path.join(tree, 'dir/file'), readonly: false },
      ];
    };
    const run = (mounts: readonly ProcessMount[], more: object = {}) => {
      const io = { onOutput() {}, signal: new AbortController().signal };
      return rig.executor.run(rig.spec(['true'], { mounts, ...more }), io);
    };
    const first: ProcessMount = {
      kind: 'tree',
      dest: '/mounted',
      get mount() {
        return { kind: 'bind', source: tree, readonly: false } as const;
      },
      selector: '/',
      readonly: false,
    };

    test('has no mount of any kind over what the kernel shows, or over its root, however the target is written', async () => {
      for (const [dest, place] of Object.entries(refused)) {
        for (const mount of mountsAt(dest)) {
          await assert.rejects(
            run([first, mount]),
            (error: KilnError) =>
              error.code === 'invalid_argument' && error.message.startsWith(`cannot mount over ${place}`),
            `${mount.kind} at ${dest}`,
          );
        }
      }
      assert.deepEqual(readdirSync(tree).sort(), ['dir', 'link']);
      assert.equal(readFileSync(path.join(tree, 'dir/file'), 'utf8'), 'mine');
    });

    test('may have mounts beside it, and over the few files about the machine that mean nothing to the kernel', async () => {
      const source = { kind: 'bind', source: tree, readonly: false } as const;
      for (const dest of ['/process', '/system/proc', '/mounted/dir/new', '/tmp/sys', '/sys/kernel']) {
        await run([first, { kind: 'tmpfs', dest, size: 0 }]);
      }
      await run([
        { kind: 'tree', dest: '/proc/uptime', mount: source, selector: 'dir/file', readonly: true },
      ]);
    });

    test('does not get it from a device either', async () => {
      await assert.rejects(
        run([], { devices: [{ name: 'vendor.example/device=over', optional: false }] }),
        /cannot mount over \/proc\/cmdline/,
      );
    });

    test('is not started on a tree that has a link in the place of what the kernel shows', async () => {
      for (const name of ['proc', 'sys']) {
        const base = work.tree({ 'bin/true': '' });
        symlinkSync('/bin', path.join(base, name));
        const rootfs = { kind: 'bind', source: base, readonly: false } as const;
        await assert.rejects(
          run([], { rootfs }),
          new RegExp(`/${name} of the file system is a symbolic link`),
        );
      }
    });
  });
}

test('RUN --mount with a target that is the root by another name is refused where it is written', async () => {
  using work = new WorkDirectory();
  const kiln = new Kiln({ root: work.at('root') });
  for (const target of ['/.', '//', '/a/..', '.', '']) {
    const context = work.tree({
      Dockerfile: `FROM base\nWORKDIR /\nRUN --mount=type=bind,rw,target=${target} touch /written\n`,
    });
    const { stderr } = await kiln.failingBuild(context);
    assert.match(stderr, /Dockerfile:3[\s\S]*invalid mount target "\/[^"]*"/, target);
  }
});

test('a definition with a mount over the root, by whatever name and of whatever type, is refused', async () => {
  await using engine = await LlbEngine.open();
  const { base } = engine;
  for (const dest of ['/.', '//', '/a/..', '.']) {
    await assert.rejects(
      engine.build(base.run(['true'], { mounts: [{ dest, from: base }] }).root),
      /is the root/,
      dest,
    );
  }
  const tmpfs = base.run(['true'], { mounts: [{ dest: '/', type: { kind: 'tmpfs', size: 0 } }] });
  await assert.rejects(engine.build(tmpfs.root), /is the root/);
});
