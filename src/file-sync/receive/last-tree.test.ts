import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { FileSync } from '../../api/gen/session_filesync_pb.js';
import type { CallHandler, Metadata } from '../../api/message-stream.ts';
import { methodPath } from '../../api/unary-call.ts';
import { utimens } from '../../linux/utimens.ts';
import { getXattr, setXattr } from '../../linux/xattr.ts';
import { inMemorySession } from '../../session/in-memory-session.ts';
import { createServiceHost } from '../../session/service-host.ts';
import { FileSyncRig, made, type Synced, treeOf, writeSample } from '../file-sync-rig.ts';
import { fileSyncService } from '../file-sync-service.ts';
import { decodePacket } from '../protocol/packet.ts';
import { sendTrees } from '../send/send.ts';

const rig = new FileSyncRig();
after(() => rig[Symbol.asyncDispose]());
const { pool, newDir } = rig;
const sync = rig.sync.bind(rig);
const receive = rig.receive.bind(rig);

for (const access of ['change', 'read'] as const) {
  test(`a second sync moves only what changed, when it may ${access} the last tree`, async () => {
    const source = newDir();
    writeSample(source);
    const first = made(await sync(source));
    const before = treeOf(first.dir);
    const { ino } = statSync(path.join(first.dir, 'large'));
    const same = await sync(source, {}, { tree: first, access });
    assert.deepEqual([same.result.kind, same.dir], ['unchanged', undefined]);

    writeFileSync(path.join(source, 'a-file'), 'changed');
    rmSync(path.join(source, 'empty'));
    mkdirSync(path.join(source, 'empty'));
    rmSync(path.join(source, 'fifo'));
    chmodSync(path.join(source, 'setuid'), 0o700);
    setXattr(path.join(source, 'closed'), 'user.note', Buffer.from('new'));
    const second = made(await sync(source, {}, { tree: first, access }));
    assert.ok(second.result.kind === 'changed');
    assert.equal(second.result.transferred, 2, 'a-file and setuid');
    assert.deepEqual(treeOf(second.dir), treeOf(source));
    assert.equal(getXattr(path.join(second.dir, 'closed'), 'user.note')?.toString(), 'new');
    const content = second.digests.find((digest) => digest.path === 'a-file')?.content;
    assert.equal(content?.sha256, createHash('sha256').update(`${content?.header}changed`).digest('hex'));
    if (access === 'change') {
      assert.deepEqual([second.result.made, second.dir], ['in-place', first.dir]);
      assert.equal(statSync(path.join(second.dir, 'large')).ino, ino);
      assert.deepEqual(
        second.digests.map((digest) => digest.path),
        ['a-file', 'setuid', 'fifo'],
      );
    } else {
      assert.deepEqual(treeOf(first.dir), before, 'the first tree is as it was');
      assert.notEqual(statSync(path.join(second.dir, 'large')).ino, ino);
      assert.equal(second.digests.length, first.digests.length - 1);
    }
  });

  test(`a removed file alone makes another tree, when it may ${access} the last one`, async () => {
    const source = newDir();
    writeSample(source);
    const first = made(await sync(source));
    rmSync(path.join(source, 'ümläut'));
    const second = made(await sync(source, {}, { tree: first, access }));
    assert.ok(second.result.kind === 'changed');
    assert.equal(second.result.transferred, 0);
    assert.deepEqual(treeOf(second.dir), treeOf(source));
  });

  test(`names of one file stay names of one file, and others do not become so, when it may ${access} the last tree`, async () => {
    const source = newDir();
    const at = (name: string) => path.join(source, name);
    mkdirSync(at('d'));
    for (const name of ['a', 'lone', 'x']) writeFileSync(at(name), name);
    linkSync(at('a'), at('b'));
    linkSync(at('a'), at('d/c'));
    linkSync(at('x'), at('y'));
    let last = made(await sync(source));
    const edits: readonly (() => void)[] = [
      () => linkSync(at('lone'), at('d/another')),
      () => rmSync(at('b')),
      () => rmSync(at('a')),
      () => {
        rmSync(at('x'));
        writeFileSync(at('x'), 'alone now');
      },
      () => writeFileSync(at('d/another'), 'written through one name'),
    ];
    for (const edit of edits) {
      edit();
      last = made(await sync(source, {}, { tree: last, access }));
      assert.deepEqual(treeOf(last.dir), treeOf(source));
    }
  });
}

test('a tree that is wanted as it is, too, is changed only when little of it goes', async () => {
  const source = newDir();
  for (let at = 0; at < 20; at++) writeFileSync(path.join(source, `f${at}`), 'x'.repeat(at));
  for (const [excludePatterns, made] of [
    [['f1*'], 'new'],
    [['f19'], 'in-place'],
  ] as const) {
    const tree = { ...(await sync(source)) } as Synced & { readonly dir: string };
    const { result } = await sync(source, { excludePatterns }, { tree, access: 'change', superseded: false });
    assert.equal(result.kind === 'changed' && result.made, made);
  }
});

test('other data of the same size and time is seen where the client tells change stamps, and by nobody else', async () => {
  const source = newDir();
  const files = ['written', 'replaced', 'same', 'touched'].map((name) => path.join(source, name));
  const write = (file: string, data: string) => {
    writeFileSync(file, data);
    utimens(file, 0n, 0n);
  };
  for (const file of files) write(file, 'one');
  const [written, replaced, , touched] = files;
  const change = (data: string) => {
    write(written!, data);
    write(`${replaced}.new`, data);
    renameSync(`${replaced}.new`, replaced!);
    chmodSync(touched!, 0o600);
    chmodSync(touched!, 0o644);
  };
  const first = made(await sync(source));
  change('two');
  const second = made(await sync(source, {}, { tree: first, access: 'read' }));
  assert.ok(second.result.kind === 'changed');
  assert.equal(second.result.transferred, 3, 'the two that changed, and the one that may have');
  assert.equal(readFileSync(path.join(second.dir, 'written'), 'utf8'), 'two');
  assert.equal(readFileSync(path.join(second.dir, 'replaced'), 'utf8'), 'two');
  assert.equal((await sync(source, {}, { tree: second, access: 'read' })).result.kind, 'unchanged');

  const unstamped: CallHandler = ({ stream }) =>
    sendTrees(stream, [{ dir: source, owner: { uid: 0, gid: 0 } }], { pool });
  const service = { [methodPath(FileSync.method.diffCopy)]: unstamped };
  await using other = inMemorySession(createServiceHost([service]), { id: 's', name: '', sharedKey: '' });
  change('six');
  const third = await receive(other, {}, { tree: second, access: 'read' });
  assert.equal(third.result.kind, 'unchanged');
});

test('change stamps are told only to who asks for them, and never become part of a tree', async () => {
  const source = newDir();
  writeFileSync(path.join(source, 'file'), 'data');
  const service = fileSyncService(new Map([['context', source]]), { pool });
  await using session = inMemorySession(createServiceHost([service]), { id: 's', name: '', sharedKey: '' });
  const stamps = async (metadata: Metadata) => {
    await using stream = await session.open(methodPath(FileSync.method.diffCopy), {
      'dir-name': ['context'],
      ...metadata,
    });
    for await (const message of stream) {
      const packet = decodePacket(Buffer.from(message));
      if (packet.kind === 'stat' && packet.stat) return packet.stat.changeStamp;
    }
    return undefined;
  };
  assert.equal(await stamps({}), undefined);
  assert.equal(typeof (await stamps({ 'kiln-change-stamps': ['true'] })), 'bigint');
  const request = { metadataOnly: { exceptions: [] } };
  const metadataOf = async () =>
    readFileSync(path.join(made(await sync(source, request)).dir, '.fsutil-metadata'));
  const before = await metadataOf();
  chmodSync(path.join(source, 'file'), 0o600);
  chmodSync(path.join(source, 'file'), 0o644);
  assert.deepEqual(await metadataOf(), before);
});
