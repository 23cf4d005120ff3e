import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { KilnError } from '../../src/base/errors.ts';
import { makeDevice, mknod } from '../../src/linux/mknod.ts';
import { listXattrs, setXattr } from '../../src/linux/xattr.ts';
import { files, local, merge, ociLayout, type State, scratch } from '../../src/llb/llb.ts';
import { craftImage, tarOf } from '../rig/crafted-image.ts';
import { Daemon } from '../rig/daemon.ts';
import { LlbEngine } from '../rig/llb-engine.ts';
import { openArchive } from '../rig/oci-archive.ts';
import { mustRun } from '../rig/run-program.ts';
import { rootOfStep } from '../rig/step-process.ts';

const engine = await LlbEngine.open();
after(() => engine[Symbol.asyncDispose]());

const shell = (script: string, ...args: readonly string[]) => ['sh', '-e', '-c', script, ...args];
const whiteout = { type: 'character-device', name: 'victim' } as const;
const victim = scratch().file(files().mkfile('/victim', 0o644, 'of the base'));

/** What `/out` holds after a copy of `/d`: the same step for whatever has the same files there. */
async function copied(from: State): Promise<readonly string[]> {
  const out = await engine.build(scratch().file(files().copy(from, '/d', '/out')));
  return readdirSync(path.join(out, 'out')).sort();
}

async function layout(name: string, ...tars: readonly Uint8Array[]) {
  const directory = engine.work.at(name);
  craftImage(
    directory,
    tars.map((tar) => ({ tar })),
  );
  const index = JSON.parse(readFileSync(path.join(directory, 'index.json'), 'utf8')) as {
    readonly manifests: readonly [{ readonly digest: string }];
  };
  return {
    state: ociLayout(`${name}@${index.manifests[0].digest}`, { storeId: name }),
    request: { layouts: new Map([[name, directory]]) },
  };
}

test('a step cannot hide what it copies from the digest under which the copy is kept', async () => {
  const below = engine.base.file(files().mkdir('/d', 0o755).mkfile('/d/backdoor', 0o755, 'evil'));
  const script = 'echo good > /d/good; until [ -e /go ]; do sleep 0.05; done; rm /go';
  const evil = copied(below.run(shell(script, 'marks-a-directory')).root);
  const root = await rootOfStep('marks-a-directory');
  setXattr(`${root}/d`, 'user.overlay.opaque', Buffer.from('y'));
  writeFileSync(`${root}/go`, '');
  assert.deepEqual(await evil, ['backdoor', 'good']);
  const good = scratch().file(files().mkdir('/d', 0o755).mkfile('/d/good', 0o644, 'good\n'));
  assert.deepEqual(await copied(good), ['good']);
});

test('a step cannot make in an empty mount what deletes in the layers that it is laid over', async () => {
  const script =
    'mkdir /out/d; mv /out/d /out/e; ln -s x /out/e/l; mknod /out/null c 1 3; mknod /out/victim c 0 0 || touch /out/refused';
  const made = engine.base.run(shell(script), { mounts: [{ dest: '/out', from: scratch() }] }).mount('/out');
  const out = await engine.build(merge([victim, made]));
  assert.deepEqual(readdirSync(out).sort(), ['e', 'null', 'refused', 'victim']);
});

test('the files of a client neither lead overlayfs elsewhere nor delete', async () => {
  const context = engine.work.tree({});
  mkdirSync(path.join(context, 'lib'));
  for (const [name, value] of [
    ['redirect', '/private'],
    ['opaque', 'y'],
    ['metacopy', ''],
  ] as const) {
    setXattr(path.join(context, 'lib'), `trusted.overlay.${name}`, Buffer.from(value));
    setXattr(path.join(context, 'lib'), `user.overlay.${name}`, Buffer.from(value));
  }
  writeFileSync(path.join(context, 'lib/own'), '');
  mknod(path.join(context, 'victim'), 0o020644, makeDevice(0, 0));
  const below = engine.base.file(
    files()
      .mkdir('/private', 0o700)
      .mkfile('/private/key', 0o600, 'secret')
      .mkdir('/lib', 0o755)
      .mkfile('/lib/theirs', 0o644, '')
      .copy(victim, '/victim', '/victim'),
  );
  const step = merge([below, local('context')]).run(shell('ls /lib /victim > /seen'));
  const out = await engine.build(step.root, { locals: new Map([['context', context]]) });
  assert.equal(readFileSync(path.join(out, 'seen'), 'utf8'), '/victim\n\n/lib:\nown\ntheirs\n');
  assert.equal(readFileSync(path.join(out, 'victim'), 'utf8'), 'of the base');
  assert.deepEqual(listXattrs(path.join(out, 'lib')), []);
});

test('an access list counts for the digest of a file that is copied with it', async () => {
  const context = engine.work.tree({});
  mkdirSync(path.join(context, 'd'));
  writeFileSync(path.join(context, 'd/key'), 'secret', { mode: 0o640 });
  const copy = scratch().file(files().copy(local('context'), '/d', '/out'));
  const request = { locals: new Map([['context', context]]) };
  // Lets user 1000 read what its mode keeps from everybody but the group.
  const readers = '0200000001000600ffffffff02000400e803000004000400ffffffff10000400ffffffff20000000ffffffff';
  const key = path.join(context, 'd/key');
  setXattr(key, 'system.posix_acl_access', Buffer.from(readers, 'hex'));
  const listed = await engine.build(copy, request);
  assert.deepEqual(listXattrs(path.join(listed, 'out/key')), ['system.posix_acl_access']);
  const other = engine.work.tree({});
  mkdirSync(path.join(other, 'd'));
  writeFileSync(path.join(other, 'd/key'), 'secret', { mode: 0o640 });
  const plain = await engine.build(copy, { locals: new Map([['context', other]]) });
  assert.deepEqual(listXattrs(path.join(plain, 'out/key')), []);
});

test('an archive with a device that would delete is refused, and its attributes steer nothing', async () => {
  const context = engine.work.tree({});
  const xattrs = new Map([
    ['trusted.overlay.opaque', 'y'],
    ['user.overlay.opaque', 'y'],
    ['security.selinux', 'x'],
  ]);
  writeFileSync(path.join(context, 'device.tar'), tarOf([whiteout]));
  writeFileSync(
    path.join(context, 'marked.tar'),
    tarOf([{ name: 'lib', type: 'directory', mode: 0o755, xattrs }]),
  );
  const request = { locals: new Map([['context', context]]) };
  const unpack = (name: string, on: State) =>
    engine.build(on.file(files().copy(local('context'), name, '/', { unpackArchive: true })), request);
  for (const on of [scratch(), victim]) {
    await assert.rejects(
      unpack('device.tar', on),
      (error) => error instanceof KilnError && /"victim" is a character device 0\/0/.test(error.message),
    );
  }
  const lib = victim.file(files().mkdir('/lib', 0o755).mkfile('/lib/theirs', 0o644, ''));
  const out = await unpack('marked.tar', lib);
  assert.deepEqual(readdirSync(path.join(out, 'lib')), ['theirs']);
  assert.deepEqual(listXattrs(path.join(out, 'lib')), []);
});

test('a device 0/0 in a layer deletes in its own image, and nothing of another one', async () => {
  const own = await layout(
    'own',
    tarOf([{ name: 'victim', data: 'x' }, { name: 'kept' }]),
    tarOf([whiteout]),
  );
  assert.deepEqual(readdirSync(await engine.build(own.state, own.request)), ['kept']);
  const bottom = await layout('bottom', tarOf([whiteout, { name: 'kept' }]));
  assert.deepEqual(readdirSync(await engine.build(bottom.state, bottom.request)), ['kept']);
  const over = await engine.build(merge([victim, bottom.state]), bottom.request);
  assert.deepEqual(readdirSync(over).sort(), ['kept', 'victim']);
});

test("a deletion that hides nothing is in nobody's way", async () => {
  const d = { name: 'd', type: 'directory', mode: 0o755 } as const;
  for (const deletion of [{ name: 'd/.wh.gone' }, { ...whiteout, name: 'd/gone' }]) {
    const name = `gone${deletion.name.length}`;
    const image = await layout(name, tarOf([{ name: 'a' }]), tarOf([d, deletion, { name: 'd/kept' }]));
    const copy = scratch().file(files().copy(image.state, '/d', '/out'));
    assert.deepEqual(readdirSync(path.join(await engine.build(copy, image.request), 'out')), ['kept']);
  }
});

test('where trees are plain directories, a device 0/0 is a file that counts, and goes into no archive', async () => {
  await using daemon = await Daemon.start({ args: ['--oci-worker-snapshotter=native'] });
  const context = (script: string) =>
    engine.work.tree({
      Dockerfile: `FROM base AS made
RUN mkdir /d; mknod /d/null c 1 3; ${script}
FROM base
RUN --mount=from=made,source=/d,target=/m ls /m > /seen
`,
    });
  const evil = context('mknod /d/victim c 0 0');
  assert.equal(await daemon.kiln.textOf('seen', evil), 'null\nvictim\n');
  assert.equal(await daemon.kiln.textOf('seen', context('true')), 'null\n');
  const [image, plain] = [engine.work.at('native.oci'), engine.work.at('native.tar')];
  await daemon.kiln.build(evil, ['--target', 'made', '-o', `type=oci,dest=${image}`]);
  await daemon.kiln.build(evil, ['--target', 'made', '-o', `type=tar,dest=${plain}`]);
  const opened = await openArchive(image, engine.work);
  const layer = path.join(opened.directory, 'blobs', ...opened.manifest.layers.at(-1)!.digest.split(':'));
  for (const archive of [layer, plain]) {
    const { stdout } = await mustRun('tar', ['-tf', archive, '--wildcards', 'd/*']);
    assert.equal(stdout.trim(), 'd/null');
  }
});
