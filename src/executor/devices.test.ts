import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { KilnError } from '../base/errors.ts';
import { makeDevice, mknod } from '../linux/mknod.ts';
import { DeviceList } from './cdi/device-list.ts';
import { parseDeviceSpec } from './cdi/parse-device-spec.ts';
import { ExecutorRig } from './executor-rig.ts';

const kind = 'a.com/x';
const request = (name: string) => ({ name: `${kind}=${name}`, optional: false });

/** What knows one device, `a.com/x=it`, with these edits. */
function deviceWith(containerEdits: object) {
  const spec = parseDeviceSpec({ cdiVersion: '0.7.0', kind, devices: [{ name: 'it', containerEdits }] });
  const list = new DeviceList(
    spec.devices.map(({ name, annotations, edits }) => ({
      name: `${kind}=${name}`,
      annotations,
      edits,
      spec,
      autoAllowed: true,
    })),
  );
  return { current: () => Promise.resolve(list) };
}

/** All names below a directory. */
const namesBelow = (dir: string) => readdirSync(dir, { recursive: true, encoding: 'utf8' }).sort();

for (const runtime of ['crun', 'runc']) {
  describe(`a process with a device, run by ${runtime}`, () => {
    test('has its variables and groups', async () => {
      const devices = deviceWith({ env: ['A=device', 'PATH=/bin:/device'], additionalGids: [4321] });
      await using rig = await ExecutorRig.create({ runtime, devices });
      const said = await rig.sh('echo $A $PATH; grep Groups /proc/self/status', {
        devices: [request('it')],
        env: ['PATH=/bin', 'A=step'],
      });
      assert.match(said, /^device \/bin:\/device\nGroups:.*\b4321\b/);
    });

    test('may use the node of its device in the ways that are given, and no other node', async () => {
      await using host = await ExecutorRig.create();
      const hostPath = path.join(host.dir, 'kernel-log');
      mknod(hostPath, 0o020640, makeDevice(1, 11));
      chmodSync(hostPath, 0o640);
      const devices = deviceWith({ deviceNodes: [{ path: '/dev/log', hostPath, permissions: 'w' }] });
      await using rig = await ExecutorRig.create({ runtime, devices });
      const used = (node: string) =>
        `(: > ${node}) 2>/dev/null && echo written; (head -c 1 ${node}) >/dev/null 2>&1 && echo read; true`;
      assert.equal(
        await rig.sh(`stat -c "%t %T %u %g %a" /dev/log; ${used('/dev/log')}`, { devices: [request('it')] }),
        '1 b 0 0 640\nwritten\n',
      );
      assert.equal(await rig.sh(`mknod /tmp/log c 1 11; ${used('/tmp/log')}`), '');
    });

    test('owns the node unless the file says whose it is', async () => {
      const devices = deviceWith({
        deviceNodes: [
          { path: '/dev/own', type: 'c', major: 1, minor: 5, fileMode: 0o600 },
          { path: '/dev/other', hostPath: '/dev/zero', uid: 7, gid: 8, fileMode: 0o604 },
        ],
      });
      await using rig = await ExecutorRig.create({ runtime, devices });
      assert.equal(
        await rig.sh('stat -c "%u:%g %a" /dev/own /dev/other; head -c 3 /dev/own | grep -c ""', {
          devices: [request('it')],
          user: 'app',
        }),
        '1000:1001 600\n7:8 604\n1\n',
      );
    });

    test('leaves nothing of it in the tree, wherever the device has its nodes and mounts', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const library = path.join(rig.dir, 'library.so');
      writeFileSync(library, 'library');
      mkdirSync(path.join(rig.dir, 'data'));
      writeFileSync(path.join(rig.dir, 'data/one'), 'one');
      const devices = deviceWith({
        deviceNodes: [
          { path: '/opt/nodes/null', hostPath: '/dev/null' },
          { path: '/dev/sub/null', hostPath: '/dev/null' },
          { path: '/tmp/fifo', type: 'p' },
        ],
        mounts: [
          { hostPath: library, containerPath: '/usr/lib/device/library.so', options: ['ro', 'bind'] },
          { hostPath: path.join(rig.dir, 'data'), containerPath: '/data' },
        ],
      });
      await using own = await ExecutorRig.create({ runtime, devices });
      const plain = own.overlay();
      await own.sh('true', { rootfs: plain });
      const rootfs = own.overlay();
      const said = await own.sh(
        [
          'echo gone > /opt/nodes/null; echo gone > /dev/sub/null; test -p /tmp/fifo',
          'cat /usr/lib/device/library.so /data/one',
          '(echo > /usr/lib/device/library.so) 2>/dev/null || echo , read-only',
        ].join('\n'),
        { rootfs, devices: [request('it')] },
      );
      assert.equal(said, 'libraryone, read-only\n');
      assert.deepEqual(
        namesBelow(rootfs.upperDir).filter((name) => name !== 'tmp'),
        namesBelow(plain.upperDir),
      );
      assert.equal(
        statSync(path.join(rootfs.upperDir, 'tmp')).mtimeMs,
        statSync(path.join(own.base, 'tmp')).mtimeMs,
      );
      assert.equal(readFileSync(library, 'utf8'), 'library');
    });

    test('has its hooks run on the host', async () => {
      await using rig = await ExecutorRig.create({ runtime });
      const told = path.join(rig.dir, 'told');
      const devices = deviceWith({
        hooks: ['createRuntime', 'poststop'].map((hookName) => ({
          hookName,
          path: '/bin/sh',
          // crun fails if a hook ends before it has taken the state of the container.
          args: ['sh', '-c', `cat > /dev/null; echo ${hookName} $A >> ${told}`],
          env: ['A=hook'],
        })),
      });
      await using own = await ExecutorRig.create({ runtime, devices });
      await own.sh('true', { devices: [request('it')] });
      assert.equal(readFileSync(told, 'utf8'), 'createRuntime hook\npoststop hook\n');
    });
  });
}

describe('a process', () => {
  const failure = async (
    devices: object,
    more: object = { devices: [request('it')] },
  ): Promise<KilnError> => {
    await using rig = await ExecutorRig.create({ devices: deviceWith(devices) });
    const error: unknown = await rig.sh('true', more).catch((reason) => reason);
    assert.ok(error instanceof KilnError, String(error));
    assert.deepEqual(readdirSync(path.join(rig.dir, 'executor')), ['state']);
    return error;
  };

  test('does not start without a device that it must have', async () => {
    const { code, message } = await failure({ env: ['A=1'] }, { devices: [request('other')] });
    assert.deepEqual(
      { code, message },
      { code: 'not_found', message: 'required device "a.com/x=other" is not registered' },
    );
  });

  test('does not start when the host lacks what the device is made of', async () => {
    const node = await failure({ deviceNodes: [{ path: '/dev/x', hostPath: '/dev/kiln-none' }] });
    assert.match(node.message, /device node \/dev\/kiln-none of the host: it does not exist/);
    const file = await failure({ deviceNodes: [{ path: '/dev/x', hostPath: '/etc/hosts' }] });
    assert.match(file.message, /\/etc\/hosts of the host: it is not a device node/);
    const block = await failure({ deviceNodes: [{ path: '/dev/null', type: 'b' }] });
    assert.match(block.message, /it is of type c, not b/);
    const mount = await failure({ mounts: [{ hostPath: '/kiln-none', containerPath: '/x' }] });
    assert.match(mount.message, /\/kiln-none, to be mounted at \/x, does not exist/);
    assert.ok([node, file, block, mount].every(({ code }) => code === 'failed_precondition'));
  });
});
